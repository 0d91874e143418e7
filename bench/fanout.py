# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A thousand minimal kernels in one machine, beside one QEMU process each.

Kernels a second are of the wall time between the fan-out's beginning and its end, by the machine's clock. The instructions of one are the
distance between the beginnings of two turns that follow each other on one processor, under -icount: all that the stage does
for one is in it.
"""
import collections
import os
import re
import resource
import statistics
import subprocess
import time

import kt
import machine
import plot
import profile

KERNELS = 1000
PROCESSORS = (1, 2, 8, 64)
PAIRS = 5       # of runs with one and with two processors
MANY = 4        # times as many kernels, to tell what each takes from what the machine takes
TRACED = (100, 300)
PROCESSES = 60  # of the thousand; each takes as long as the next
MINIMAL, TICK, PRIMES = "build/bench/minimal.elf", "build/bench/tick.elf", "build/kernels/primes.elf"
SEARCHED = "20000 22000"  # primes: some hundred thousand instructions
LINE = re.compile(rb"Trace (\d+): .*?/([0-9a-f]{16})/")


def image_of(kernel, count=KERNELS, args="", **fanout):
    step = {"name": "map", "call": "fs:/kernel", "args": args, "memory": "192K", "fanout": {"count": count, "console": "mute", **fanout}}
    return kt.bake(kt.pipeline([step], {"/kernel": kernel}, console=[]))


def run_with(image, processors, count=KERNELS):
    """Kernels a second, what the machine said of itself, and the emulator's seconds on its host's processors."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = kt.expect_end(kt.boot(image, "pc", "256M", ["-cpu", "max", "-smp", processors], hang_after_s=300))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = done.of("result")[0]
    kt.check(result["ok"] == count, "not all kernels ended well", result)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count * 1e6 / (result["ended_us"] - result["begun_us"]), result["machine"], seconds


def pair(kernel, args=""):
    """How many times as quick two processors are as one, where one was quickest: the host had least else to do."""
    image = image_of(kernel, args=args)
    pairs = [[run_with(image, processors)[0] for processors in (1, 2)] for _ in range(PAIRS)]
    one, two = max(pairs)
    return two / one, pairs


def seconds_a_kernel(processors):
    """Of the emulator's on its host's processors, the machine's start left out."""
    few, many = (statistics.median(run_with(image_of(MINIMAL, n * KERNELS), processors, n * KERNELS)[2] for _ in range(3))
                 for n in (1, 1 + MANY))
    return (many - few) / (MANY * KERNELS)


def instructions_by_processor(kernel, count):
    """Instructions of each processor until the last one of another than the first, which only hears of the turns here."""
    trace = kt.scratch("trace")
    os.mkfifo(trace)
    filtered = ["-d", "exec,nochain", "-dfilter", "0xffffffff80000000+0x7f000000", "-D", trace]
    argv = kt.qemu_argv("pc", "256M", "-cpu", "max", "-smp", "2", "-icount", "shift=0,sleep=off", *profile.stepping(), *filtered, "-kernel",
                        image_of(kernel, count, concurrency=1))
    counts, last = collections.Counter(), {}
    with kt.Machine(argv):
        with open(trace, "rb") as lines:
            for line in lines:
                found = LINE.search(line)
                if not found:
                    continue
                counts[found[1]] += 1
                if found[1] != b"0":
                    last = (counts[b"0"], counts[found[1]])
    return last


def serial_share(kernel):
    """Of all that is done for a kernel, what the first processor has to do, whoever runs it."""
    few, many = (instructions_by_processor(kernel, count) for count in TRACED)
    first, other = ((after - before) / (TRACED[1] - TRACED[0]) for before, after in zip(few, many))
    return first / (first + other), first, other


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
        rate, said, _ = run_with(image, processors)
        rows.append([processors, said["workers"], rate, said["private_bytes"]])
        if processors == 1:
            here, private = rate, said["private_bytes"]
        out.figure(f"{KERNELS} kernels on {processors} virtual processor{'s'[:processors > 1]}", rate, "kernels/s")
    out.table("rates", ("processors", "workers", "kernels_per_second", "private_bytes"), rows)
    scaling(out)
    turns = sorted(turn_instructions())
    out.table("turns", ("instructions",), [[t] for t in turns])
    out.figure("one kernel, median: all that is done for it", int(statistics.median(turns)), "instructions")
    out.figure("one kernel, 99 % within", turns[len(turns) * 99 // 100], "instructions")
    out.figure("private memory of a kernel, without its heap", private, "bytes", 128 << 10, "<")
    alone = processes(out, here, private)
    groups = [(f"{n} processor{'s'[:n > 1]}", [rate]) for n, _, rate, _ in rows] + [("a QEMU process each", [alone])]
    subtitle = f"{KERNELS:,} minimal kernels by wall time, microvm for the process; QEMU tcg"
    out.plot("rates", plot.bars("Kernels a second, in one machine and in one each", subtitle, "", "kernels a second", groups, ["rate"], log_y=True))


def scaling(out):
    for name, kernel, args in (("minimal", MINIMAL, ""), ("primes", PRIMES, SEARCHED)):
        times, pairs = pair(kernel, args)
        out.table(f"pairs-{name}", ("one_processor", "two_processors"), pairs)
        out.figure(f"{name}: two processors, quietest of {PAIRS} pairs", times, "times one", 1.5, ">=")
    alone = seconds_a_kernel(1)
    out.figure("the emulator's own time for a kernel, 1 processor", alone * 1e6, "us")
    for processors in PROCESSORS[1:]:
        out.figure(f"the same, {processors} processors", seconds_a_kernel(processors) / alone, "times that", 1.15, "<=")
    for name, kernel in (("without a result", MINIMAL), ("with a result", TICK)):
        share, first, other = serial_share(kernel)
        out.figure(f"on the first processor for a kernel {name}", int(first), "instructions")
        out.figure(f"where it runs, {name}", int(other), "instructions")
        out.figure(f"serial share, {name}", share, "", 0.08, "<=")


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
