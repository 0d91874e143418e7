#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""`kchain run --shell`: a shell of the root's on one's own terminal, in the place of its program. Skipped where no kernel can be had."""
import os
import shutil
import signal
import subprocess
import time

import kt
import linux
import roots


def image_with(*files, args=""):
    """A root of busybox under these names; its program would fail."""
    roots.kernel()
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    top = kt.scratch("root")
    for folder in ("dev", "proc", "sys", "run", "tmp"):
        os.makedirs(os.path.join(top, folder))
    for name in files:
        os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
        shutil.copy(system.busybox, os.path.join(top, name))
    root = {"from": top, "owner": "0:0", "entrypoint": ["/" + files[0], "false"], "args": args}
    return kt.bake({"kchain": 1, "name": "shell", "root": root, "steps": [{"name": "shell", "boot": "linux"}]})


def run_with(typed, *args):
    """What it writes, what is said beside it, and its exit status."""
    done = subprocess.run([kt.KCHAIN, "run", *args], input=typed, capture_output=True, text=True, timeout=200, check=False)
    return done.stdout, done.stderr, done.returncode


@kt.test
def what_is_typed_reaches_a_shell():
    image = image_with("bin/busybox")
    out, err, status = run_with("echo hi-$((40 + 2))\n", image, "--shell", "--handoff", kt.write_json(kt.scratch("h.json"), {"state": {"x": 1}}))
    kt.check("hi-42" in out and status == 0, "no shell, or its end was none", out, err, status)
    out, err, status = run_with("exit 3\n", image, "--shell")
    kt.check(status == 1, "the shell's status is not the run's", out, err, status)
    out, err, status = run_with("", image)
    kt.check(status == 1 and "program" in err, "its program was not started", out, err, status)


@kt.test
def what_asks_for_a_shell():
    """True as a member of the handoff, and that alone: a state is the pipeline's own. The image's words come last."""
    image = image_with("bin/busybox")
    for doc, is_shell in (({"shell": True}, True), ({"shell": "/bin/zsh", "state": {"shell": {"a": 1}}}, False), ({"state": {"shell": 1}}, False)):
        out, err, status = run_with("", image, "--handoff", kt.write_json(kt.scratch("h.json"), doc), "--timeout", "100s" if not is_shell else "20s")
        kt.check(("shell      /bin" in err) == is_shell and (is_shell or status == 1), f"{doc}: another program", out, err, status)
    out, err, status = run_with("echo hi\n", image_with("bin/busybox", args="kchain.shell=0"), "--shell")
    kt.check(status == 1 and "program" in err and "hi" not in out, "a shell where the image allows none", out, err, status)


@kt.test
def a_machine_that_takes_nothing_can_be_ended():
    """QEMU is stopped while endlessly much is typed: a signal ends the run all the same."""
    command = [kt.KCHAIN, "run", image_with("bin/busybox"), "--shell"]
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as typist, \
         subprocess.Popen(command, stdin=typist.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        typist.stdout.close()
        while b"y" not in run.stdout.readline().strip()[:1]:
            kt.check(run.poll() is None, "it ended too early")
        with open(f"/proc/{run.pid}/task/{run.pid}/children", encoding="ascii") as f:
            child = int(f.read().split()[0])
        os.kill(child, signal.SIGSTOP)
        time.sleep(3)  # until all buffers are full
        run.terminate()
        try:
            run.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.kill(child, signal.SIGKILL)
            run.kill()
        typist.kill()
    kt.check(run.returncode == 130, "it was not ended", run.returncode)


@kt.test
def where_there_is_none():
    out, err, status = run_with("echo\n", image_with("bin/true"), "--shell")
    kt.check(status in (1, 4) and "the root has none of /bin/bash, sh, ash and busybox" in out + err, "not said so", out, err, status)
    done = kt.kchain("run", "--shell", kt.config_image("01-hello"))
    kt.check(done.exit == 2 and "has no root" in done.err, "another kernel's shell", done)
    done = kt.kchain("run", "--shell", "--json", kt.config_image("01-hello"))
    kt.check(done.exit == 2 and "--shell" in done.err, "with --json", done)


kt.main()
