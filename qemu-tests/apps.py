#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 1500
"""`make apps`: whole applications out of Debian's packages, each one image, answer the host."""
import socket
import subprocess
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


kt.main()
