#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""tools/run-tests: what it adds up, and that nothing is left of programs that hang or are interrupted."""
import os
import signal
import subprocess
import sys
import time

import kt

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RUN_TESTS = os.path.abspath("tools/run-tests")


def program(script, hang_after_s=60):
    path = kt.scratch("program")
    kt.write_bytes(path, f"#!/bin/sh\n# hang-after: {hang_after_s}\n{script}".encode())
    os.chmod(path, 0o755)
    return path


def hear_all():
    """Also where this test is run by nohup, or in the background of a shell."""
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_DFL)


def begin(*programs):
    """run-tests, and the folder that its programs have their temporary files in."""
    folder = kt.scratch("tmp")
    os.mkdir(folder)
    return folder, subprocess.Popen([RUN_TESTS, *programs], env=dict(os.environ, TMPDIR=folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, preexec_fn=hear_all)


def is_gone(pid, hang_after_s=20):
    deadline = time.monotonic() + hang_after_s
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@kt.test
def what_is_seen_is_added_up():
    folder, process = begin(program('echo 1..3; echo ok 1 - a; echo "ok 2 - b # SKIP why"; echo not ok 3 - c; exit 1'), program("echo 1..2; echo ok 1 - a"),
                            program("echo 1..1; echo ok 1 - a; exit 3"), program("echo 1..1; echo ok 1 - a"))
    out, _ = process.communicate(timeout=60)
    kt.check(process.returncode == 1 and out.splitlines()[-1] == "4 passed, 3 failed, 1 skipped", "sums", out)
    for line in ("skipped: b # SKIP why", "failed: c", "failed: 2 tests planned, 1 seen, exit status 0", "failed: exit status 3 without a failed test"):
        kt.check(line in out, f"not said: {line}", out)
    kt.check(not os.listdir(folder), "something is left", os.listdir(folder))


@kt.test
def one_that_hangs_is_ended_with_what_it_started():
    said = kt.scratch("said")
    folder, process = begin(program(f'echo 1..1; echo x >"$TMPDIR/file"; sleep 1000 & echo $! >{said}; wait', hang_after_s=1))
    out, _ = process.communicate(timeout=60)
    kt.check(process.returncode == 1 and "failed: hangs: no end after 1 s" in out, "a hang", out)
    kt.check(is_gone(int(kt.read_bytes(said))) and not os.listdir(folder), "something is left", os.listdir(folder))


def each_interruption(number):
    said = kt.scratch("said")
    hangs = f'echo 1..1; echo x >"$TMPDIR/file"; sleep 1000 & echo $! >{said}; mv {said} {said}.now; wait'
    never = kt.scratch("never")
    folder, process = begin(program(hangs), program("sleep 1000"), program(f"echo 1..1; echo ok 1; echo >{never}"))
    deadline = time.monotonic() + 30
    while not os.path.exists(said + ".now"):
        kt.check(time.monotonic() < deadline, "it does not begin")
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    kt.check(process.returncode == 130 and out.splitlines()[-1] == "interrupted; until then 0 passed, 0 failed, 0 skipped", "an interruption", out)
    kt.check(is_gone(int(kt.read_bytes(said + ".now"))) and not os.listdir(folder), "something is left", os.listdir(folder))
    kt.check(not os.path.exists(never), "another one was begun")


for interruption in INTERRUPTIONS:
    kt.add_test(f"interrupted_by_{interruption.name}", lambda n=interruption: each_interruption(n))


@kt.test
def a_test_that_is_killed_leaves_no_machine():
    said = kt.scratch("said")
    image = kt.bake(kt.pipeline([{"name": "halt", "call": "fs:/spin", "timeout": "1h"}], {"/spin": "build/kernels/spin.elf"}))
    scripts = {"by QEMU alone": f"kt.boot({image!r}, qemu=['-pidfile', {said!r}])", "by kchain run": f"kt.run({image!r}, qemu=['-pidfile', {said!r}])"}
    for way, script in scripts.items():
        test = subprocess.Popen([sys.executable, "-c", f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\nimport kt\n{script}"],
                                stdin=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=os.path.dirname(said)))
        deadline = time.monotonic() + 60
        while not (os.path.exists(said) and kt.read_bytes(said).strip()):
            kt.check(time.monotonic() < deadline and test.poll() is None, f"{way}: no machine")
            time.sleep(0.05)
        pid = int(kt.read_bytes(said))
        os.unlink(said)
        test.kill()
        test.wait()
        kt.check(is_gone(pid), f"{way}: QEMU is left")


if __name__ == "__main__":
    kt.main()
