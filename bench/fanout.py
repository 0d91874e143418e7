# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A thousand minimal kernels in one machine, beside one QEMU process each.

Kernels a second are of the wall time between the fan-out's beginning and its end, by the machine's clock. The instructions of one are the
distance between the beginnings of two turns that follow each other on one processor, under -icount: all that the stage does
for one is in it.
"""
import statistics
import subprocess
import time

import kt
import machine
import plot

KERNELS = 1000
PROCESSORS = (1, 2, 8, 64)
PROCESSES = 60  # of the thousand; each takes as long as the next
MINIMAL, TICK = "build/bench/minimal.elf", "build/bench/tick.elf"


def image_of(kernel):
    step = {"name": "map", "call": "fs:/kernel", "memory": "192K", "fanout": {"count": KERNELS, "console": "mute"}}
    return kt.bake(kt.pipeline([step], {"/kernel": kernel}, console=[]))


def run_with(image, processors):
    """Kernels a second, and what the machine said of itself."""
    done = kt.expect_end(kt.boot(image, "pc", "256M", ["-cpu", "max", "-smp", processors], hang_after_s=300))
    result = done.of("result")[0]
    kt.check(result["ok"] == KERNELS, "not all kernels ended well", result)
    return KERNELS * 1e6 / (result["ended_us"] - result["begun_us"]), result["machine"]


def turn_instructions():
    """Of each kernel but the first: from its main's beginning to that of the next."""
    done = machine.count("-kernel", image_of(TICK))
    mains = [int(r["main"], 16) for r in done.all("handoff")[-1]["doc"]["results"]["map"]["result"]]
    return [after - before for before, after in zip(mains, mains[1:])]


def one_process():
    """Wall time of the same kernel booted in a QEMU of its own: microvm, the quickest to start."""
    argv = kt.qemu_argv("microvm", "16M", "-kernel", MINIMAL, "-serial", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
    started = time.monotonic()
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    kt.check(done.returncode == kt.OK, f"QEMU's exit status {done.returncode}", done.stderr.decode())
    return time.monotonic() - started


def run(out):
    image, rows = image_of(MINIMAL), []
    for processors in PROCESSORS:
        rate, said = run_with(image, processors)
        rows.append([processors, said["workers"], rate, said["private_bytes"]])
        if processors == 1:
            here, private = rate, said["private_bytes"]
        out.figure(f"{KERNELS} kernels on {processors} virtual processor{'s'[:processors > 1]}", rate, "kernels/s")
    out.table("rates", ("processors", "workers", "kernels_per_second", "private_bytes"), rows)
    turns = sorted(turn_instructions())
    out.table("turns", ("instructions",), [[t] for t in turns])
    out.figure("one kernel, median: all that is done for it", int(statistics.median(turns)), "instructions")
    out.figure("one kernel, 99 % within", turns[len(turns) * 99 // 100], "instructions")
    out.figure("private memory of a kernel, without its heap", private, "bytes", 128 << 10, "<")
    alone = processes(out, here, private)
    groups = [(f"{n} processor{'s'[:n > 1]}", [rate]) for n, _, rate, _ in rows] + [("a QEMU process each", [alone])]
    subtitle = f"{KERNELS:,} minimal kernels by wall time, microvm for the process; QEMU tcg"
    out.plot("rates", plot.bars("Kernels a second, in one machine and in one each", subtitle, "", "kernels a second", groups, ["rate"], log_y=True))


def processes(out, here, private):
    seconds = [one_process() for _ in range(PROCESSES)]
    memory = most_memory()
    out.table("processes", ("seconds",), [[s] for s in seconds])
    rate = 1 / statistics.median(seconds)
    out.figure(f"one QEMU process each (median of {PROCESSES}, one after another)", rate, "kernels/s")
    out.figure("as many times the kernels a second, on one processor", here / rate, "times", 1000, ">=")
    out.figure("memory of a QEMU process, most", memory, "bytes")
    out.figure("a kernel's private memory, of that", private / memory, "", 0.01, "<")
    return rate


def most_memory():
    """The resident set of one such process, asked of the kernel while it runs a kernel that stays."""
    argv = kt.qemu_argv("microvm", "16M", "-kernel", "build/kernels/spin.elf", "-serial", "none")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(1)
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as f:
            high = next(line for line in f if line.startswith("VmHWM"))
        process.kill()
    return int(high.split()[1]) * 1024
