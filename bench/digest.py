# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""What it takes to check the same bytes: by `kchain verify` and by others on the host, by one and several processors in a stage.

On the host the commands take turns, and their own seconds on the processor stand beside the wall time. In a stage each processor is a
thread of the emulator's: the one that is longest at work decides when all is done, whatever else the host does.
"""
import os
import random
import resource
import shutil
import tempfile
import time

import boot
import child
import kt
import machine

MIB = 1 << 20
BYTES = 256 * MIB
ROUNDS = 5
PAIRS = 3
PROCESSORS = (1, 2, 3, 8)


def timed(argv):
    """(wall, on the processor) in seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = kt.command(argv, hang_after_s=300)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    kt.check(done.exit == 0, "failed", done)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def on_the_host(out, folder):
    large, hashes = os.path.join(folder, "large"), os.path.join(folder, "hashes")
    kt.write_bytes(large, random.Random(3).randbytes(MIB) * (BYTES // MIB))
    image = kt.bake(kt.pipeline([{"name": "data", "call": "fs:/kernel"}], {"/kernel": "build/kernels/echo.elf", "/large": large}))
    veritysetup = shutil.which("veritysetup") or "/usr/sbin/veritysetup"
    contestants = {
        "kchain verify": [kt.KCHAIN, "verify", image],
        "fsverity digest": ["fsverity", "digest", large],
        "sha256sum": ["sha256sum", large],
        "veritysetup format": [veritysetup, "format", "--salt=-", large, hashes],
    }
    if not os.path.exists(veritysetup):
        out.left_out("256 MiB by veritysetup format", "it is not installed (Debian package cryptsetup-bin)")
        del contestants["veritysetup format"]
    found = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, argv in contestants.items():
            found[name].append(timed(argv))
    for name, several in found.items():
        out.times(f"256 MiB by {name}, wall", [wall for wall, _ in several])
        out.times(f"256 MiB by {name}, on the processor", [busy for _, busy in several])
    out.table("host", ("command", "run", "wall_s", "busy_s"), [[name, n, *both] for name, several in found.items() for n, both in enumerate(several)])


def busy_threads(process):
    """Seconds on the processor of each of its threads so far; a thread that has just ended has none."""
    found = {}
    for task in os.listdir(f"/proc/{process.pid}/task"):
        try:
            with open(f"/proc/{process.pid}/task/{task}/schedstat", encoding="ascii") as f:
                found[task] = int(f.read().split()[0]) / 1e9
        except OSError:
            continue
    return found


def busiest(image, processors):
    """Seconds of the emulator's busiest thread over a whole boot; each processor of the machine is one."""
    last = {}
    with kt.Machine(kt.qemu_argv("pc", "1G", "-cpu", "max", "-smp", str(processors), "-kernel", image)) as booted:
        while booted.process.poll() is None:
            try:
                last.update(busy_threads(booted.process))
            except OSError:
                break
            time.sleep(0.01)
        kt.check(booted.wait_for_end(machine.HANG_AFTER_S) == kt.OK, "does not end well", booted.explain())
    return max(last.values())


def in_a_stage(out):
    """Of a child that lies where it is wanted, so that it is only hashed; less what the same boot of a small one takes."""
    sizes = (child.SIZES[0], BYTES)
    images, rows = [boot.make_in_place(size) for size in sizes], []
    for number in range(PAIRS):
        rows += [[number, size, *(busiest(image, processors) for processors in PROCESSORS)] for size, image in zip(sizes, images)]
    out.table("threads", ("run", "child_bytes", *(f"processors_{n}" for n in PROCESSORS)), rows)
    small, large = ([min(column) for column in list(zip(*(r for r in rows if r[1] == size)))[2:]] for size in sizes)
    hashing = [much - little for much, little in zip(large, small)]
    for processors, seconds in zip(PROCESSORS[1:], hashing[1:]):
        what = f"256 MiB in a stage: the busiest of {processors} processors, of what one alone takes, times their number"
        out.figure(what, seconds / hashing[0] * processors, "times", 1.3)


def run(out):
    os.makedirs("build/bench", exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build/bench", prefix="digest-") as folder:
        on_the_host(out, os.path.abspath(folder))
    in_a_stage(out)
