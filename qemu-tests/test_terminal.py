#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""On a terminal of 80 columns no line that the command writes is wider; what kernels print is theirs."""
import fcntl
import os
import pty
import re
import struct
import termios

import kt

COLUMNS = 80
FILES = {"/fault": "build/kernels/fault.elf", "/hello": "build/kernels/hello.elf", "/primes": "build/kernels/primes.elf"}
COMMANDS = re.findall(r"(?m)^  (\w+) +\w", kt.kchain("--help").out)


def on_terminal(*args, folder="."):
    """(exit status, lines as they stand on the terminal in the end)"""
    try:
        main, other = pty.openpty()
    except OSError as error:
        raise kt.Skip(f"no terminal can be made here: {error} (a chroot has one where /dev/pts is mounted)") from None
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    pid = os.fork()
    if pid == 0:
        attach(other)
        os.chdir(folder)
        os.execve(kt.KCHAIN, [kt.KCHAIN, *map(str, args)], {**os.environ, "TERM": "xterm"})
    os.close(other)
    out = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # how a terminal ends
            break
        out += piece
    os.close(main)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", out.decode("utf-8")).replace("\r\n", "\n")
    return status, [line.split("\r")[-1] for line in text.split("\n")]


def attach(terminal):
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(terminal, number)


def fits(*args, folder=".", exit_status=0):
    status, lines = on_terminal(*args, folder=folder)
    kt.check(status == exit_status, f"kchain {args}: exit status {status}", *lines)
    wide = [line for line in lines if len(line) > COLUMNS and not re.match(r" *[\d.]+  │ ", line)]
    kt.check(not wide, f"kchain {args}: too wide for a terminal", *wide)
    return "\n".join(lines)


@kt.test
def help_fits():
    for command in ((), *((c,) for c in COMMANDS)):
        fits(*command, "--help")


@kt.test
def what_is_said_of_an_image_fits():
    pipeline = kt.write_json(kt.scratch("p.json"), kt.pipeline([{"name": "map", "call": "fs:/primes", "args": "{{self.index}}", "fanout": {"count": 3}},
                                                                {"name": "k", "boot": "fs:/hello"}], FILES))
    folder = os.path.dirname(pipeline)
    fits("bake", "p.json", "-o", "image.elf", folder=folder)
    for command in ("inspect", "verify", "ls", "plan"):
        fits(command, "image.elf", folder=folder)


@kt.test
def a_run_fits():
    steps = [{"name": "first", "call": "fs:/fault", "args": "null", "retries": 1, "on_error": "continue"},
             {"name": "second", "call": "fs:/fault", "args": "div0", "on_error": {"boot": "fs:/hello"}}]
    image = kt.bake(kt.pipeline(steps, FILES, block={"data": {"match": {"serial": "NOT-THERE"}, "need": "optional"}}))
    said = fits("run", os.path.basename(image), folder=os.path.dirname(image))
    for part in ("retry 1 of 1", "because second failed", "address"):
        kt.check(part in said, f"not said: {part}", said)


@kt.test
def errors_are_wrapped_and_whole():
    pipeline = kt.write_json(kt.scratch("p.json"), kt.pipeline([{"name": "k", "boot": "fs:/notes"}], {"/notes": kt.write_bytes(kt.scratch("n"), b"words\n")}))
    folder = os.path.dirname(pipeline)
    said, plain = fits("bake", "p.json", folder=folder, exit_status=3), kt.kchain("bake", "p.json", cwd=folder)
    kt.check(" ".join(said.split()) == " ".join(plain.err.split()) and "\n    " in said, "wrapped at blanks, nothing left out", said, plain)
    kt.check(all(line.startswith(("kchain: ", "  hint: ")) for line in plain.err.splitlines()), "elsewhere each stands in one line", plain)


if __name__ == "__main__":
    kt.main()
