#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 1500
"""`make apps`: whole applications out of Debian's packages, each one image, answer the host."""
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import kt
import roots


def redis(port, line, until_s=10):
    """What the server says to one line of its protocol."""
    until = time.monotonic() + until_s
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(line.encode() + b"\r\n")
                return s.recv(1000).decode()
        except OSError:
            kt.check(time.monotonic() < until, "no Redis on the host")
            time.sleep(0.1)


kt.add_test("nginx", roots.answers("nginx", "check", "Welcome from a root"))
kt.add_test("python_http_server", roots.answers("python", "check", "Directory listing"))
kt.add_test("php", roots.answers("php", "apps", "says 42"))
kt.add_test("python_with_third_party_modules", roots.answers("modules", "apps", "YAML and Jinja"))
kt.add_test("java", roots.answers("java", "apps", "Java says 42", memory="1G", hang_after_s=600))
kt.add_test("ruby_webrick", roots.answers("ruby", "apps", "Ruby 3 says 42"))


@kt.test
def redis_on_the_host_answers_a_client_inside():
    image, port = roots.prepare("redis-client", "apps", "modules"), roots.free_port()
    server = [roots.packages("apps") + "/redis" + part for part in ("/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu", "/usr/bin/redis-server")]
    argv = [server[0], "--library-path", server[1], server[2], "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    handoff = kt.write_json(kt.scratch("handoff.json"), {"state": {"redis": f"10.0.2.2:{port}"}})
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=kt.end_with_test) as process:
        try:
            redis(port, "SET question 42")
            found = kt.run(image, "--memory", "256M", "--handoff", handoff, hang_after_s=300)
            kt.expect_boot(found)
            kt.check(found.result["results"]["client"].get("result") == {"question": "42"}, "another result", found.result["results"])
            kt.check("an answer" in redis(port, "GET from-inside"), "nothing came from inside")
        finally:
            process.terminate()
            process.wait()


class Sums(http.server.BaseHTTPRequestHandler):
    """Adds the numbers that are posted to it."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(json.dumps({"sum": sum(asked["numbers"])}).encode())

    def log_message(self, *_):
        """Nobody reads it."""


@kt.test
def a_service_of_the_host_answers_a_rest_call_from_inside():
    image = roots.prepare("rest-client", "apps", "modules")
    with http.server.HTTPServer(("127.0.0.1", 0), Sums) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handoff = kt.write_json(kt.scratch("handoff.json"), {"state": {"service": f"10.0.2.2:{server.server_port}"}})
        found = kt.run(image, "--memory", "256M", "--handoff", handoff, hang_after_s=300)
        server.shutdown()
    kt.expect_boot(found)
    kt.check(found.result["results"]["client"].get("result") == {"status": 201, "sum": 42}, "another result", found.result["results"])


def as_nobody(command, **more):
    """A process of a user who has nothing."""
    return subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command], stdin=subprocess.DEVNULL, **more)


@kt.test
def a_blog_in_two_commands_by_an_ordinary_user_with_an_empty_cache():
    """What is fetched is said. Where there is a Chromium, it paints the page: build/roots/blog.png is there to be looked at."""
    if os.geteuid() != 0:
        raise kt.Skip("only root can become another user")
    home, port = kt.scratch("home"), roots.free_port()
    os.mkdir(home)
    os.chmod(home, 0o777)
    for above in (os.path.dirname(home), os.path.dirname(os.path.dirname(home))):
        os.chmod(above, 0o755)
    env = {k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"} | {"HOME": home}
    started = time.monotonic()
    with as_nobody(["sh", "-c", '"$0" init blog --template site && exec "$0" run blog -p "$1":80', kt.KCHAIN, str(port)], cwd=home, env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE) as process:
        said = []
        threading.Thread(target=lambda: said.extend(process.stderr), daemon=True).start()
        try:
            page = roots.ask(port, started + 600)
            print(f"# answered after {time.monotonic() - started:.0f} s")
            kt.check(page and "<title>My blog</title>" in page, "another page, or none", page, said)
            sizes = [line for line in said if b" MB of packages" in line]
            kt.check(len(sizes) == 2, "what was fetched is not said", said)
            if shutil.which("chromium"):
                paint(port)
        finally:
            process.terminate()
            process.wait()


def paint(port):
    picture = os.path.abspath("build/roots/blog.png")
    done = kt.command(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={kt.scratch('profile')}", "--window-size=900,700",
                       f"--screenshot={picture}", f"http://127.0.0.1:{port}/"], hang_after_s=200)
    kt.check(os.path.exists(picture) and kt.read_bytes(picture)[1:4] == b"PNG", "no picture", done)


kt.main()
