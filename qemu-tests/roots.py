# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Applications of Debian's packages (tools/fetch-roots), booted by the pipelines in configs/ and asked from the host."""
import functools
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

import kt

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
        kt.write_bytes(os.path.join(folder, path), text.encode())
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
