# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Applications of Debian's packages (tools/fetch-roots), booted by the pipelines in configs/ and asked from the host."""
import functools
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
import urllib.request

import kt

# The methods that the server in Java calls, as (kind of constant, class, name, type).
JAVA = (("java/net/ServerSocket", "<init>", "(I)V"), ("java/net/ServerSocket", "accept", "()Ljava/net/Socket;"),
        ("java/net/Socket", "getInputStream", "()Ljava/io/InputStream;"), ("java/io/InputStream", "read", "([B)I"),
        ("java/net/Socket", "getOutputStream", "()Ljava/io/OutputStream;"), ("java/lang/String", "getBytes", "()[B"),
        ("java/io/OutputStream", "write", "([B)V"), ("java/net/Socket", "close", "()V"))


def java_class(text):
    """Server.class, which answers each request with a text (JVM specification, chapters 4 and 6): a runtime has no compiler, and nobody should
    have to install one. Of version 49, whose methods need no frames of the verifier's."""
    pool = []

    def constant(data):
        if data not in pool:
            pool.append(data)
        return struct.pack(">H", pool.index(data) + 1)

    def utf8(name):
        return constant(b"\1" + struct.pack(">H", len(name)) + name.encode())

    def of_class(name):
        return constant(b"\7" + utf8(name))

    def method(row):
        owner, name, kind = row
        return constant(b"\12" + of_class(owner) + constant(b"\14" + utf8(name) + utf8(kind)))

    said = constant(b"\10" + utf8(text))
    init, accept, to_read, read, to_write, encode, write, close = (method(row) for row in JAVA)
    code = (b"\xbb" + of_class(JAVA[0][0]) + b"\x59\x10\x50\xb7" + init + b"\x4c"  # server = new ServerSocket(80)
            b"\x2b\xb6" + accept + b"\x4d"  # client = server.accept()
            b"\x2c\xb6" + to_read + b"\x11\x10\x00\xbc\x08\xb6" + read + b"\x57"  # client.getInputStream().read(new byte[4096])
            b"\x2c\xb6" + to_write + b"\x13" + said + b"\xb6" + encode + b"\xb6" + write +  # client.getOutputStream().write(text.getBytes())
            b"\x2c\xb6" + close)  # client.close()
    code += b"\xa7" + struct.pack(">h", 10 - len(code))  # and again
    attribute = struct.pack(">HHI", 4, 3, len(code)) + code + bytes(4)
    body = (struct.pack(">H", 0x21) + of_class("Server") + of_class("java/lang/Object") + bytes(4) + b"\0\1" + struct.pack(">H", 9) + utf8("main") +
            utf8("([Ljava/lang/String;)V") + b"\0\1" + utf8("Code") + struct.pack(">I", len(attribute)) + attribute + bytes(2))
    return b"\xca\xfe\xba\xbe\0\0\0\x31" + struct.pack(">H", len(pool) + 1) + b"".join(pool) + body


# What is added to each root, as (path, text): what it serves.
OWN = {
    "nginx": [("var/www/html/index.html", "<h1>Welcome from a root</h1>\n")],
    "python": [("srv/welcome", "")],
    "php": [("srv/index.php", "<?php echo 'PHP ', PHP_MAJOR_VERSION, ' says ', array_sum([40, 2]);")],
    "modules": [("srv/page.py", """
import http.server, jinja2, yaml
text = jinja2.Template("{{ a }} and {{ b }}").render(yaml.safe_load("{a: YAML, b: Jinja}"))
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
http.server.HTTPServer(("", 80), Page).serve_forever()
""")],
    "redis-client": [("srv/client.py", """
import json, os, redis
host, port = os.environ["REDIS"].split(":")
store = redis.Redis(host, int(port))
store.set("from-inside", "an answer")
json.dump({"question": store.get("question").decode()}, open("/run/kchain/result.json", "w"))
""")],
    "rest-client": [("srv/client.py", """
import json, os, requests
posted = requests.post(f"http://{os.environ['SERVICE']}/sums", json={"numbers": [40, 2]}, timeout=60)
json.dump({"status": posted.status_code, "sum": posted.json()["sum"]}, open("/run/kchain/result.json", "w"))
""")],
    "java": [("srv/Server.class", java_class("HTTP/1.0 200 OK\r\n\r\nJava says 42"))],
    "ruby": [("srv/server.rb", """
require "webrick"
server = WEBrick::HTTPServer.new(Port: 80)
server.mount_proc("/") { |_, response| response.body = "Ruby #{RUBY_VERSION.to_i} says #{[40, 2].sum}" }
server.start
""")],
}


@functools.lru_cache(maxsize=None)
def kernel():
    """`bake` finds it in the cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.exists(os.path.join(cache, "kchain/kernels/linux-image-cloud-amd64/kernel.json")):
        return
    done = kt.kchain("kernel", "fetch")
    if done.exit != 0:
        raise kt.Skip(f"no kernel: {done.err.strip()}")


@functools.lru_cache(maxsize=None)
def packages(group):
    done = kt.command(["tools/fetch-roots", group], hang_after_s=600)
    if done.exit != 0:
        raise kt.Skip(f"no packages: {done.err.strip()}")
    return done.out.strip()


def prepare(name, group, of=None):
    """build/roots/NAME, which the pipeline in configs/ names: the root `of`, or the one of that name. Returns the baked image."""
    kernel()
    folder = os.path.join("build/roots", name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(packages(group), of or name), folder, symlinks=True)
    for path, text in OWN.get(name, []):
        kt.write_bytes(os.path.join(folder, path), text.encode() if isinstance(text, str) else text)
    return kt.bake(os.path.abspath(f"configs/root-{name}.json"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, until):
    """What is served there, as soon as anything is; None: nothing is, in time."""
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as reply:
                return reply.read().decode()
        except OSError:
            time.sleep(0.2)
    return None


def first_answer(image, memory, port=None):
    """Seconds until it answers, since QEMU's start and since its program's."""
    port, started, entered = port or free_port(), time.monotonic(), []
    net = ["-netdev", f"user,id=lan,hostfwd=tcp:127.0.0.1:{port}-:80", "-device", "virtio-net-pci,netdev=lan,romfile="]
    with kt.Machine(kt.qemu_argv("pc", memory, "-cpu", "max", "-kernel", image, *net)) as booted:
        kt.check(booted.wait_for_record("application", 240), "its program does not start", booted.explain())
        entered = time.monotonic()
        kt.check(ask(port, entered + 240), "no answer", booted.explain())
        return time.monotonic() - started, time.monotonic() - entered


def answers(name, group, text, memory="256M", hang_after_s=240):
    """A test: it is booted, and answers with that text."""
    def test():
        image, port, said = prepare(name, group), free_port(), []
        page = threading.Thread(target=lambda: said.append(ask(port, time.monotonic() + hang_after_s)))
        page.start()
        console = kt.scratch("console")
        argv = [kt.KCHAIN, "run", image, "-p", f"{port}:80", "--memory", memory, "--console", console]
        with open(kt.scratch("log"), "w+b") as log, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=kt.end_with_test) as process:
            page.join()
            process.terminate()
            process.wait()
            log.seek(0)
            kt.check(said[0] and text in said[0], f"no answer with {text!r}", said, log.read().decode("utf-8", "replace"))
    return test
