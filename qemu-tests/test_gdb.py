#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""`kchain run --gdb`: each session that docs/DEBUGGING.md shows is held with gdb; the lines it prints name symbols that fit."""
import importlib.machinery
import os
import re
import shutil
import socket
import subprocess

import kt

docs = importlib.machinery.SourceFileLoader("check_docs", "tools/check-docs").load_module()
HEAD = r"halted, until gdb comes to port (\d+) of 127\.0\.0\.1 and lets it go on:\n"


class Halted:
    """`kchain run --gdb=0`, until its last line for gdb is there."""

    def __init__(self, *args, folder="."):
        self.out, self.err = kt.scratch("out"), kt.scratch("err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([kt.KCHAIN, "run", *args], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder,
                                            preexec_fn=kt.end_with_test)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def said(self):
        with open(self.err, encoding="utf-8") as f:
            return f.read()

    def lines(self):
        """(port, {name: command line of gdb})"""
        probe = kt.Machine.wait_until(self, lambda: re.search(HEAD + r"(?:  .*\n)+", self.said()))
        kt.check(probe, "no line for gdb", self.said())
        return int(re.search(HEAD, self.said()).group(1)), dict(re.findall(r"(?m)^  (\S+) +(gdb .*)$", self.said()))

    def end(self):
        kt.check(self.process.wait(kt.HANG_AFTER_S) is not None, "hangs")
        return self.process.returncode


def gdb(line, commands):
    if not shutil.which("gdb"):
        raise kt.Skip("no gdb")
    script = kt.write_bytes(kt.scratch("script"), "".join(c + "\n" for c in commands).encode())
    return kt.command(["sh", "-c", f"{line} -nx -batch -x {script}"])


def session(command, body):
    """One of the page: the commands behind (gdb), and between them what must be seen."""
    prompts = [line[len("(gdb) "):] for line in body.splitlines() if line.startswith("(gdb) ")]
    shown = [line for line in body.splitlines() if not line.startswith("(gdb) ")]
    argv = command.split()
    kt.check(argv[:3] == ["build/kchain", "run", "--gdb"], "not a session's command", command)
    with Halted("--gdb=0", *argv[3:]) as halted:
        _, lines = halted.lines()
        kt.check(len(lines) == 1, "one line, of one kernel", halted.said())
        done = gdb(*lines.values(), prompts)
        wrong = docs.matches(shown, done.out.splitlines())
        kt.check(done.exit == 0 and not wrong, f"{wrong}", done, halted.said())
        kt.check(halted.end() == 0, "the run does not end well", halted.said())


with open("docs/DEBUGGING.md", encoding="utf-8") as f:
    page = f.read()
commands = [next(iter(docs.sessions(body)))[0] for _, body in docs.blocks(page, "console")]
bodies = [body for _, body in docs.blocks(page, "gdb")]
assert len(commands) == len(bodies) == 3
for title, (typed, transcript) in zip(("a called kernel", "a booted kernel", "a kernel alone"), zip(commands, bodies)):
    kt.add_test("page: " + title, lambda c=typed, b=transcript: session(c, b))


@kt.test
def in_a_folder_of_ones_own():
    """Of `kchain init`, with what shells and gdb take for their own in its name; two kernels, a line each, and each line's symbols fit."""
    folder = kt.scratch("it's \"mine\", a\\b")
    kt.check(kt.kchain("init", "--template", "chain", folder).exit == 0, "init failed")
    plain = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "KCHAIN_DEPS")}
    kt.check(kt.command(["make", "-C", folder], env=plain).exit == 0, "make failed")
    for operand in (folder, folder + "/pipeline.json"):
        with Halted("--gdb=0", operand) as halted:
            _, lines = halted.lines()
            kt.check(sorted(lines) == ["count", "last"], "lines", halted.said())
            done = gdb(lines["last" if operand == folder else "count"], ["hbreak last.c:main" if operand == folder else "hbreak count.c:main", "continue", "print argv[1]"])
            kt.check(re.search('= 0x[0-9a-f]+ .*"(168|1000)"', done.out), "not at its main", done, halted.said())
    # The image lies beside them.
    with Halted("--gdb=0", folder + "/image.elf") as halted:
        kt.check(sorted(halted.lines()[1]) == ["count", "last"], "beside the image", halted.said())
    # A kernel that was built again without its file beside it, and one whose file is another's, have no symbols here.
    os.unlink(folder + "/count.debug")
    shutil.copy("build/kernels/sum.debug", folder + "/last.debug")
    with Halted("--gdb=0", folder) as halted:
        kt.check(list(halted.lines()[1]) == ["stage"], "symbols that do not fit", halted.said())


@kt.test
def of_an_image_the_stage_is_known():
    image = kt.bake(kt.pipeline([{"name": "k", "call": "fs:/k"}], {"/k": "build/kernels/hello.elf"}))
    with Halted("--gdb=0", image) as halted:
        lines = halted.lines()[1]
        kt.check(list(lines) == ["stage"], "lines", halted.said())
        done = gdb(lines["stage"], ["hbreak main", "continue", "backtrace"])
        kt.check("main () at stage/main.c" in done.out, "not at the stage's main", done)
    # Another stage's symbols are not given out as its own.
    image = kt.bake(kt.pipeline([{"name": "k", "call": "fs:/k"}], {"/k": "build/kernels/hello.elf"}), "--stage", "build/stage-test/stage.elf")
    with Halted("--gdb=0", image) as halted:
        kt.check(list(halted.lines()[1]) == ["machine"], "the stage's symbols do not fit", halted.said())


@kt.test
def ports():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = kt.kchain("run", f"--gdb={port}", "build/kernels/hello.elf")
        kt.check(done.exit == 3 and re.fullmatch(rf"kchain: --gdb: port {port} of 127\.0\.0\.1 can't be had: Address already in use\n  hint: .*\n", done.err), "in use", done)
    with Halted(f"--gdb={port}", "build/kernels/hello.elf") as halted:
        kt.check(halted.lines()[0] == port, "another port", halted.said())
    for text in ("65536", "-1", "x", "1 2", "99999999999999999999", "0x10"):
        done = kt.kchain("run", f"--gdb={text}", "build/kernels/hello.elf")
        kt.check(done.exit == 2 and f"--gdb: '{text}' is no port from 0 to 65535\n" in done.err, text, done)
    done = kt.kchain("run", "--gdb=1", "--gdb=2", "build/kernels/hello.elf")
    kt.check(done.exit == 2 and "--gdb is given twice" in done.err, "twice", done)


@kt.test
def it_stands_still_until_gdb_comes():
    with Halted("--gdb=0", "--timeout", "1s", "build/kernels/hello.elf") as halted:
        halted.lines()
        kt.check(halted.end() == 124 and not kt.read_bytes(halted.out), "it ran", halted.said())


if __name__ == "__main__":
    kt.main()
