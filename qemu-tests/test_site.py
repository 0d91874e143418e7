#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""`kchain init --template site` and `kchain run`: a web site in two commands. Debian's packages come from the user's cache, and are fetched
where they are not there (45 MB, of which the kernel is 27); skipped where they can't be."""
import json
import os
import re
import subprocess
import threading
import time
import urllib.request

import kt
import linux
import roots


def made():
    """A site's folder of one's own; its packages are there."""
    roots.kernel()
    folder = kt.scratch("blog")
    done = kt.kchain("init", folder, "--template", "site")
    kt.check(done.exit == 0 and done.out.endswith(f"run it: kchain run {folder} -p 8080:80\n"), "init", done)
    done = kt.kchain("bake", folder, "-o", kt.scratch("site.elf"), hang_after_s=300)
    if done.exit != 0 and "could not be fetched" in done.err:
        raise kt.Skip(f"no packages: {done.err.strip()}")
    kt.check(done.exit == 0, "not baked", done)
    return folder


def lines_of(stream, into):
    for line in stream:
        into.append(line.rstrip("\n"))


def reached(process, lines, pattern, hang_after_s=200):
    until = time.monotonic() + hang_after_s
    while time.monotonic() < until and process.poll() is None:
        found = [m for m in (re.search(pattern, line) for line in list(lines)) if m]
        if found:
            return found[0]
        time.sleep(0.1)
    kt.check(False, f"nothing says {pattern}", lines)
    return None


@kt.test
def a_site_in_two_commands():
    """Its port is forwarded without being told to, and told; the pages are those of the folder, and what nginx tells is shown."""
    folder = made()
    os.mkdir(folder + "/site/more")
    kt.write_bytes(folder + "/site/more/deep.txt", b"added later\n")
    lines = []
    with subprocess.Popen([kt.KCHAIN, "run", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        threading.Thread(target=lines_of, args=(process.stderr, lines), daemon=True).start()
        try:
            port = reached(process, lines, r"^  127\.0\.0\.1:(\d+) is port 80 inside$").group(1)
            kt.check(roots.ask(int(port), time.monotonic() + 200) == kt.read_bytes(folder + "/site/index.html").decode(), "another page")
            for path, file in (("first-post", "first-post.html"), ("style.css", "style.css"), ("more/deep.txt", "more/deep.txt")):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as reply:
                    kt.check(reply.read() == kt.read_bytes(f"{folder}/site/{file}"), f"{path}: other bytes")
        finally:
            process.terminate()
            process.wait()


@kt.test
def its_programs_have_their_libraries():
    """Whatever the programs of the root and nginx's modules need, and what that needs, is in the root."""
    made()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    files, asked = {}, []
    for folder, _, names in os.walk(f"{cache}/kchain/roots/nginx-light/usr"):
        for path in (os.path.join(folder, name) for name in names):
            files.setdefault(os.path.basename(path), os.path.realpath(path))
            if re.search("/(bin|sbin|nginx/modules)/", path) and os.path.isfile(path) and not os.path.islink(path) and kt.read_bytes(path)[:4] == b"\x7fELF":
                asked.append(path)
    kt.check(any(path.endswith("/sbin/nginx") for path in asked), "no nginx", asked)
    seen = set()
    while asked:
        shown = kt.command(["readelf", "-dW", *asked], env=dict(os.environ, LC_ALL="C")).out
        needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", shown)) - seen
        kt.check(needed <= set(files), "the root lacks libraries", sorted(needed - set(files)))
        seen |= needed
        asked = [files[name] for name in needed]
    kt.check("libc.so.6" in seen and len(seen) > 5, "few libraries", seen)


def small_root(**members):
    """A pipeline's folder whose root's program ends at once."""
    roots.kernel()
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    folder, small = kt.scratch("ports"), kt.scratch("small")
    os.makedirs(small + "/bin", exist_ok=True)
    kt.write_bytes(small + "/bin/true", kt.read_bytes(system.busybox))
    os.chmod(small + "/bin/true", 0o755)
    os.makedirs(folder, exist_ok=True)
    kt.write_json(folder + "/pipeline.json", {"kchain": 1, "name": "ports", "net": {"lan": {"dhcp": True}},
                                              "root": {"from": small, "owner": "0:0", "entrypoint": ["true"], **members}})
    return folder


@kt.test
def ports_that_are_taken_are_passed_over():
    """What the command line names is not forwarded twice; of UDP nothing is; a port that is taken gives way to a free one."""
    taken, other = roots.free_port(), roots.free_port()
    folder = small_root(ports=["80", f"{taken}/tcp", "53/udp"])
    with roots.socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        holder.listen(1)
        done = kt.kchain("run", folder, "-p", f"{other}:80", "--json", hang_after_s=200)
    ports = done.json()["ports"]
    kt.check(done.exit == 0 and ports[0] == {"host": other, "guest": 80} and len(ports) == 2, "other ports", done)
    kt.check(ports[1]["guest"] == taken and ports[1]["host"] not in (taken, 0), "the port that is taken", ports)


@kt.test
def no_port_here_is_forwarded_twice():
    """Two ports inside that would be the same here, of one root, and of the command line and a root."""
    for more, guests in (((), [80, 8080]), (("-p", "8443:80"), [80, 443])):
        folder = small_root(ports=[str(guest) for guest in guests])
        done = kt.kchain("run", folder, *more, "--json", hang_after_s=200)
        kt.check(done.exit == 0, "it does not start", done)
        ports = done.json()["ports"]
        kt.check([port["guest"] for port in ports] == guests and len({port["host"] for port in ports}) == 2, "the same port here", ports)


@kt.test
def no_port_is_left_out_in_silence():
    """As many as are forwarded, one more, and those that have no place here; a network of one's own is the only one."""
    folder = small_root(ports=[str(20000 + n) for n in range(64)])
    done = kt.kchain("run", folder, "--json", hang_after_s=200)
    kt.check(done.exit == 0 and [port["guest"] for port in done.json()["ports"]] == list(range(20000, 20064)), "not all of them", done)
    done = kt.kchain("run", folder, "--json", "--", "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n", hang_after_s=200)
    kt.check(done.exit == 0 and done.json()["ports"] == [] and ", net\n" not in done.err, "a second card", done)
    folder = small_root(ports=[str(20000 + n) for n in range(65)])
    done = kt.kchain("run", folder, hang_after_s=200)
    kt.check(done.exit == 3 and "ports: 65 forwarded ports exceed the limit of 64" in done.err, "not refused so", done)
    alone = ["unshare", "-rn", "sh", "-c", 'echo "8080 8080" > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"', "sh"]
    if kt.command([*alone, "true"]).exit == 0:  # where port 80 has the only one that the kernel hands out
        done = kt.command([*alone, kt.KCHAIN, "run", small_root(ports=["80", "8080"])], hang_after_s=200)
        said = "  127.0.0.1:8080 is port 80 inside\n  port 8080 inside is not reached: 127.0.0.1 has no free port for it\n"
        kt.check(done.exit == 0 and said in done.err, "not said so", done)


@kt.test
def what_is_refused():
    folder = made()
    path = folder + "/pipeline.json"
    with open(path, encoding="utf-8") as f:
        whole = json.load(f)
    for change, words in (({"from": "debian:"}, "these are no names of Debian packages"), ({"from": "debian:-x"}, "these are no names of Debian packages"),
                          ({"from": "debian:a,,b"}, "these are no names of Debian packages"), ({"from": "debian:" + ",".join(["nginx-light"] * 17)}, "203 bytes of packages' names exceed the limit of 200"),
                          ({"from": "debian:" + ",".join("a" * 65)}, "65 packages exceed the limit of 64"), ({"ports": ["http"]}, '"80", "80/tcp" or "53/udp" expected, "http" found'),
                          ({"ports": "80"}, "an array of ports"), ({"add": {"srv": "site/"}}, "it does not begin with /"),
                          ({"add": {"/srv": "pipeline.json"}}, "pipeline.json"), ({"add": {"/usr/sbin/nginx": "site/"}}, "is a folder in the root and a file in what is added")):
        kt.write_json(path, {**whole, "root": {**whole["root"], **change}})
        out = kt.scratch("not.elf")
        done = kt.kchain("bake", folder, "-o", out)
        kt.check(done.exit == 3 and words in done.err, f"{change}: not refused so", done)
        kt.check(not os.path.exists(out), "something was written")


kt.main()
