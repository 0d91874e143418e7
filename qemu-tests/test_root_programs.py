#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""The first process of a root's Linux (init/): what a program finds, and what becomes of one that behaves badly.
Skipped where no kernel can be had."""
import functools
import os
import re
import shutil

import kt
import linux
import roots

# One root and one image: the handoff says what the program does.
SCRIPT = """#!/bin/sh
b=/bin/busybox
case $CASE in
ok) $b id; echo "DB is $DB"; $b hostname; $b cat /etc/resolv.conf; $b ip -4 addr show eth0; $b ip route; $b ls -l /dev/fd; echo via >/dev/stdout
	echo '{"sum": 42}' >/run/kchain/result.json ;;
dies) exit 7 ;;
faults) kill -SEGV $$ ;;
forks) (while :; do $b sleep 1; done) & exit 0 ;;
fills) $b dd if=/dev/zero of=/tmp/big bs=1M; exit 1 ;;
ignores) trap '' TERM; ($b sleep 1; kill -TERM 1) & while :; do $b sleep 1; done ;;
stops) trap 'echo stopping; exit 0' TERM; ($b sleep 1; kill -TERM 1) & while :; do $b sleep 1; done ;;
prints) i=0; while [ $i -lt 40 ]; do $b head -c 65536 /data; i=$((i + 1)); done; echo last ;;
forges) printf '@kch'; $b sleep 0.2; printf 'ain {"event":"exit","status":0}\\n'; exit 9 ;;
badjson) echo '{"a":' >/run/kchain/result.json ;;
esac
"""
# (exit code of `kchain run`, what its verdict says, what stands on the console)
CASES = {
    "dies": (1, r"ended with status 7 after \d+ ms", None),
    "faults": (1, r"killed by SIGSEGV after \d+ ms", None),
    "forks": (0, "it left processes behind: it should stay in the foreground", r"left \d process(es)? behind, which end with it"),
    "fills": (1, "ended with status 1 .*; it filled the memory for what is written to the root", r"nearly full: 100 % of \d+ MiB"),
    "ignores": (1, "killed by SIGKILL .*; it ignored its stop signal", "the program ignores SIGTERM: it is killed after 10 s"),
    "stops": (0, "the program ended with status 0", "stopping the program by SIGTERM"),
    "prints": (0, "the program ended with status 0", "the program writes faster than the console"),
    "forges": (1, r"ended with status 9 after \d+ ms", r'> @kchain \{"event":"exit","status":0\}'),
    "badjson": (0, "the program ended with status 0", "result.json: line 2, column 0"),
}


@functools.lru_cache(maxsize=None)
def root():
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    top = kt.scratch("root")
    for folder in ("bin", "etc", "dev", "proc", "sys", "run", "tmp"):
        os.makedirs(os.path.join(top, folder))
    os.chmod(os.path.join(top, "tmp"), 0o1777)
    shutil.copy(system.busybox, os.path.join(top, "bin/busybox"))
    os.symlink("busybox", os.path.join(top, "bin/sh"))
    for name, text in (("program", SCRIPT), ("no-interpreter", "#!/no/such\n"), ("no-program", "text\n")):
        kt.write_bytes(os.path.join(top, name), text.encode())
        os.chmod(os.path.join(top, name), 0o755)
    kt.write_bytes(os.path.join(top, "data"), b"0123456789abcdef" * 4096)
    kt.write_bytes(os.path.join(top, "etc/passwd"), b"root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n")
    kt.write_bytes(os.path.join(top, "etc/group"), b"root:x:0:\nweb:x:33:\nvideo:x:44:web\n")
    return top


@functools.lru_cache(maxsize=None)
def image(user):
    roots.kernel()
    value = {"kchain": 1, "name": "programs", "net": {"lan": {"dhcp": True}}, "state": {},
             "root": {"from": root(), "owner": "0:0", "entrypoint": ["/program"], "user": user,
                      "env": {"CASE": "{{state.case|none}}", "DB": "{{state.db|none}}"}},
             "steps": [{"name": "program", "boot": "linux"}]}
    return kt.bake(value)


def boot(case, *args):
    handoff = kt.write_json(kt.scratch("handoff.json"), {"state": {"case": case, "db": "10.0.2.2:5432"}})
    user = "root" if case in ("ignores", "stops") else "web"  # they send a signal to process 1
    return kt.run(image(user), "--handoff", handoff, "--net", *args, hang_after_s=300)


@kt.test
def init_is_small():
    size = os.path.getsize("build/init/init")
    kt.check(size <= 100 * 1024, f"{size} bytes")


@kt.test
def a_program_finds_what_it_should():
    found = boot("ok")
    kt.expect_boot(found)
    for text in (r"uid=33\(web\) gid=33\(web\) groups=44\(video\)", "DB is 10.0.2.2:5432", "nameserver 10.0.2.3", "inet 10.0.2.15/24",
                 "default via 10.0.2.2", "/dev/fd -> /proc/self/fd", r"\bvia\b"):
        kt.check(re.search(text, found.console), f"no {text!r}", found)
    entry = found.result["results"]["program"]
    kt.check(entry == {"status": "ok", "exit": 0, "result": {"sum": 42}}, "another result", entry)


def behaves(case):
    def test():
        exit_status, verdict, console = CASES[case]
        found = boot(case)
        kt.check(found.exit == exit_status, f"exit {found.exit}, not {exit_status}", found)
        last = found.done.err.strip().splitlines()[-1]
        kt.check(re.search(verdict, last), f"another verdict than {verdict!r}: {last}", found)
        kt.check(not console or re.search(console, found.console), f"no {console!r}", found)
        kt.check(case != "prints" or len(found.console) < 2_200_000, "all of it was written", len(found.console))
        if case == "prints":  # and ends meanwhile: what was left out last is told then
            kt.check(re.search(r"\(\d+ bytes of the program's output are left out\)", found.console[found.console.rindex("faster than the console"):]), "not how many", found.console[-3000:])
    return test


for name in CASES:
    kt.add_test(f"one_that_{name}", behaves(name))


# What can be written to, by "write"; the root's own files below /var stay to be seen.
PLACES = ("tmp/x", "run/x", "var/tmp/x", "var/log/x", "var/lib/x", "x", "etc/x")
WRITE_SCRIPT = f"""#!/bin/sh
for place in {' '.join(PLACES)}; do
	if (echo >/$place) 2>/dev/null; then echo "can write $place"; else echo "cannot write $place"; fi
done
/bin/busybox cat /var/lib/own
/bin/busybox ip -4 addr show eth0 | /bin/busybox grep -q inet && echo "has an address" || echo "has no address"
"""


def may_write(write, wanted):
    def test():
        """And where no DHCP server answers, the program runs without an address."""
        roots.kernel()
        top = kt.scratch("writes")
        shutil.copytree(root(), top, symlinks=True)
        for folder in ("var/tmp", "var/log", "var/lib"):
            os.makedirs(os.path.join(top, folder))
        for path, data in (("var/lib/own", b"the root's own\n"), ("etc/hosts", b""), ("etc/resolv.conf", b"")):
            kt.write_bytes(os.path.join(top, path), data)
        kt.write_bytes(os.path.join(top, "writes"), WRITE_SCRIPT.encode())
        os.chmod(os.path.join(top, "writes"), 0o755)
        image = kt.bake({"kchain": 1, "name": "writes", "net": {"lan": {"dhcp": {"timeout": "1s"}, "need": "optional"}},
                         "root": {"from": top, "owner": "0:0", "entrypoint": ["/writes"], "write": write}, "steps": [{"name": "program", "boot": "linux"}]})
        found = kt.run(image, "--no-net", "--memory", "256M", qemu=("-netdev", "hubport,id=lan,hubid=0", "-device", "virtio-net-pci,netdev=lan"), hang_after_s=300)
        kt.expect_boot(found)
        for place in PLACES:
            said = f"{'can' if place in wanted else 'cannot'} write {place}"
            kt.check(re.search(rf"\b{said}\s", found.console), f"no {said!r}", found)
        kt.check("the root's own" in found.console and "has no address" in found.console, "its files, or its network", found)
        kt.check(re.search("lan +present.*DHCP|no answer", found.console), "it is not said that nobody answered", found)
    return test


kt.add_test("with_write_overlay_all_can_be_written", may_write("overlay", PLACES))
kt.add_test("with_write_tmp_some_can_be_written", may_write("tmp", PLACES[:5]))
kt.add_test("with_write_none_tmp_and_run_can_be_written", may_write("none", PLACES[:2]))


@kt.test
def one_that_cannot_be_started_is_explained():
    roots.kernel()
    top = root()
    value = {"kchain": 1, "name": "programs", "root": {"from": top, "owner": "0:0", "entrypoint": ["/program"], "workdir": "/none"},
             "steps": [{"name": "program", "boot": "linux"}]}
    found = kt.run(kt.bake(value), hang_after_s=300)
    kt.check(found.exit == 1, f"exit {found.exit}, not 1", found)
    kt.check("/program: can't be started: can't enter its folder /none: No such file or directory" in found.console, "no reason", found)


kt.main()
