#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Large contents hashed by all of a machine's processors: the same digests, damage found in its block, the work shared,
processors that do not come and that are lost, and the next kernel finds them as after a reset."""
import collections
import os
import random
import re
import socket
import subprocess

import kt

ECHO = "build/kernels/echo.elf"
DEBUG = "build/stage/stage.debug"
CPUS = (1, 2, 3, 8)
RUN = 128 * 4096  # what one processor hashes at a time
BIG = 13 * RUN + 5000


def echo_of(size):
    """A kernel with bytes behind it that nobody reads, but for their digest."""
    kernel = kt.read_bytes(ECHO)
    return kt.write_bytes(kt.scratch("big.elf"), kernel + random.Random(7).randbytes(size - len(kernel)))


def booted(image, cpus, *qemu, **more):
    return kt.boot(image, "pc", "256M", ["-cpu", "max", "-smp", cpus, *qemu], **more)


@kt.test
def the_same_digests():
    """Of a file that is used, of all files at entry, of a disk's contents; each pinned to what the host finds."""
    big = echo_of(BIG)
    wanted = "fsverity:" + kt.fsverity(kt.read_bytes(big))
    disk = kt.write_bytes(kt.scratch("disk"), kt.read_bytes(big) + bytes(-BIG % 512))
    piece = {"name": "echo", "call": f"block:data@0+{BIG}", "memory": "16M", "fsverity": wanted.split(":")[1]}
    step = {"name": "echo", "call": "fs:/echo", "memory": "16M"}
    cases = [(kt.bake(kt.pipeline([step], {"/echo": big}, verify=how)), ()) for how in ("used", "all")]
    cases.append((kt.bake(kt.pipeline([piece], {}, block={"data": {"need": "required"}})), [*kt.virtio_disk(disk), "-snapshot"]))
    for image, qemu in cases:
        def one(cpus, image=image, qemu=qemu):
            ended = kt.expect_end(booted(image, cpus, *qemu))
            kt.check(ended.of("step")[0]["digest"] == wanted, f"{cpus}: another digest", ended)

        kt.in_parallel(one, CPUS)


@kt.test
def damage_is_found_in_its_block():
    """In the first piece, in one behind it, and in what is no whole one."""
    big = kt.read_bytes(echo_of(BIG))
    wholes = {how: kt.read_bytes(kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo", "memory": "16M"}], {"/echo": echo_of(BIG)}, verify=how)))
              for how in ("used", "all")}
    blocks = (BIG + 4095) // 4096

    def one(case):
        how, cpus, block = case
        data = bytearray(wholes[how])
        data[data.index(big) + block * 4096 + 99] ^= 16
        with kt.Machine(kt.qemu_argv("pc", "256M", "-cpu", "max", "-smp", str(cpus), "-kernel", kt.write_bytes(kt.scratch("bad.elf"), data))) as m:
            m.wait_for_end(300)
            said = [r["message"] for r in m.records("error")]
            last = min((block + 1) * 4096, BIG) - 1
            place = f"; block {block + 1} of {blocks} is damaged, bytes {block * 4096} to {last}"
            kt.check(len(said) == 1 and "/echo: " in said[0] and place in said[0], f"{case} is not told", said, m.explain())

    kt.in_parallel(one, [("used", 2, 5), ("used", 8, 300), ("all", 3, 1000), ("all", 8, 1500), ("used", 3, blocks - 1), ("all", 1, 1500)])


def address_of(function):
    for line in subprocess.run(["nm", DEBUG], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.split()[2] == function:
            return int(line.split()[0], 16)
    raise AssertionError(f"{function} is not in {DEBUG}")


@kt.test
def all_take_their_part():
    """Counted by instructions, the processors take turns, each for as long as the others, so that the shares hang on nothing but the
    work (not two of them, in QEMU 7.2). One that is alone looks for nobody."""
    kernel = echo_of(64 * RUN)
    image = kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo", "memory": "64M"}], {"/echo": kernel}))

    def one(cpus):
        trace, counted = kt.scratch("trace"), [] if cpus == 2 else ["-icount", "shift=0,sleep=off"]
        os.mkfifo(trace)
        argv = kt.qemu_argv("pc", "256M", "-cpu", "qemu64", "-smp", str(cpus), *counted, "-kernel", image, "-d", "exec,nochain", "-dfilter", f"{address_of('run_hash'):#x}+1", "-D", trace)
        with kt.Machine(argv) as m:
            with open(trace, "rb") as lines:
                taken = collections.Counter(int(found[1]) for found in (re.match(rb"Trace (\d+): ", line) for line in lines) if found)
            kt.check(m.wait_for_end(300) == kt.OK, "does not end well", m.explain())
        wanted = 0 if cpus == 1 else 64
        kt.check(not counted or sum(taken.values()) == wanted, f"{cpus}: not each piece once", taken)
        kt.check(cpus == 1 or len(taken) == cpus, f"{cpus}: not shared", taken)
        kt.check(cpus != 3 or max(taken.values()) <= wanted * 1.5 / cpus, f"{cpus}: not shared alike", taken)

    kt.in_parallel(one, CPUS)


@kt.test
def small_contents_start_nobody():
    image = kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo", "memory": "16M"}], {"/echo": echo_of(2 * RUN)}))
    for cpus in (1, 2):
        ended = kt.expect_end(booted(image, cpus, "-icount", "shift=0,sleep=off"))
        kt.check(ended.of("step")[0]["digest"], "no digest", ended)


@kt.test
def the_next_kernel_finds_them_as_after_a_reset():
    """A stage whose image is large is booted, hashes by all processors itself, and gives each of them kernels."""
    fan = {"name": "map", "call": "fs:/echo", "fanout": {"count": 40, "console": "mute", "concurrency": 3}}
    inner = kt.bake(kt.pipeline([fan], {"/echo": ECHO, "/data": echo_of(BIG)}, verify="all", name="inner"))
    image = kt.bake(kt.pipeline([{"name": "inner", "boot": "fs:/inner"}], {"/inner": inner}, verify="all", name="outer"))
    for cpus in (3, 8):
        ended = kt.expect_end(booted(image, cpus))
        kt.check([r["name"] for r in ended.of("entered")] == ["outer", "inner"], "not both", ended)
        kt.check(ended.of("result")[0]["ok"] == 40 and ended.of("result")[0]["machine"]["processors_failed"] == 0, "not all", ended)


class Debugger:
    """As little of GDB's protocol as lets single processors stand still."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.got = b""

    def send(self, text):
        self.socket.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) % 256))

    def answer(self):
        while not (found := re.search(rb"\$([^#]*)#..", self.got)):
            more = self.socket.recv(4096)
            kt.check(more, "QEMU has ended")
            self.got += more
        self.got = self.got[found.end():]
        self.socket.sendall(b"+")
        return found[1].decode()

    def ask(self, text):
        self.send(text)
        return self.answer()


def debugged(image, body):
    path = kt.scratch("gdb")
    argv = kt.qemu_argv("pc", "256M", "-cpu", "max", "-smp", "3", "-S", "-chardev", f"socket,id=gdb,path={path},server=on,wait=off", "-gdb", "chardev:gdb",
                        "-kernel", image)
    with kt.Machine(argv) as m:
        kt.check(m.wait_until(lambda: os.path.exists(path)), "no socket", m.explain())
        body(Debugger(path))
        kt.check(m.wait_for_end(300) == kt.OK, "does not end well", m.explain())
        return m.records()


def large():
    return kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo", "memory": "64M"}], {"/echo": echo_of(40 * RUN)}))


@kt.test
def one_that_does_not_come_is_done_without():
    """The firmware has listed three; the third stands still when the stage asks for it."""
    def body(gdb):
        kt.check(gdb.ask(f"Z1,{address_of('main'):x},1") == "OK", "no breakpoint")
        gdb.send("vCont;c")
        kt.check("thread" in gdb.answer(), "not stopped")
        kt.check(gdb.ask(f"z1,{address_of('main'):x},1") == "OK", "no breakpoint")
        gdb.send("vCont;c:1;c:2")

    records = debugged(large(), body)
    kt.check([r["status"] for r in records if r["event"] == "end"] == ["ok"], "not well", records)


@kt.test
def one_that_is_lost_is_done_without():
    """It stands still for good where it has taken a piece."""
    at = address_of("run_hash")

    def body(gdb):
        kt.check(gdb.ask(f"Z1,{at:x},1") == "OK", "no breakpoint")
        gdb.send("vCont;c")
        while (stopped := int(re.search(r"thread:(?:p\d+\.)?(\w+);", gdb.answer())[1], 16)) == 1:
            kt.check(gdb.ask(f"z1,{at:x},1") == "OK", "no breakpoint")
            gdb.send("vCont;s:1;c")
            gdb.answer()
            kt.check(gdb.ask(f"Z1,{at:x},1") == "OK", "no breakpoint")
            gdb.send("vCont;c")
        kt.check(gdb.ask(f"z1,{at:x},1") == "OK", "no breakpoint")
        gdb.send("vCont;" + ";".join(f"c:{n}" for n in (1, 2, 3) if n != stopped))

    records = debugged(large(), body)
    kt.check([r["status"] for r in records if r["event"] == "end"] == ["ok"], "not well", records)


kt.main()
