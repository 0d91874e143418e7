# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A thousand machines with an empty job by `kchain sweep`, beside `xargs -P` over QEMU: with default options, and as the smallest microvm
one can write by hand.

Rates are of processor time, all processes together, since wall time on a shared host says little: of each kind the quickest of several
rounds, which are taken in turns. Memory is each process's proportional share (PSS) while machines stand still.
"""
import glob
import json
import os
import subprocess
import time

import kt
import plot

MINIMAL, SPIN = "build/bench/minimal.elf", "build/kernels/spin.elf"
MACHINES, ROUNDS, PEERS = 1000, 5, 20  # of a sweep in all; rounds; of the peers in a round
AT_ONCE, STANDING = 2, 4
EXIT = "-device isa-debug-exit,iobase=0xf4,iosize=0x04 -no-reboot -display none"
BY_HAND = "-M microvm -nodefaults"
GROWTH = (10, 100, 1000, 10000)
BLOCKS, BLOCK = 20, 1000
# As little of a machine as can be, so that what grows is the command's own: it says what a stage says of its end.
QUICK = b"""#!/bin/sh
case $1 in --version) echo "QEMU emulator version 7 (quick)"; exit;; esac
printf '{"event":"entered","link":0,"name":"q","door":"pvh"}\\n{"event":"end","status":"ok"}\\n' >&4
exit 33
"""


def measured(argv, env=None):
    """Seconds of processors, seconds by the clock, KiB of the largest process."""
    program = ("import json, resource, subprocess, sys, time; t = time.monotonic(); c = subprocess.run(sys.argv[1:], stdout=2).returncode; "
               "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(json.dumps([c, u.ru_utime + u.ru_stime, time.monotonic() - t, u.ru_maxrss]))")
    done = kt.command(["/usr/bin/env", "python3", "-c", program, *argv], hang_after_s=1200, env=env)
    code, *figures = json.loads(done.out)
    kt.check(code == 0, f"exit status {code}", done)
    return figures


def sweep_argv(image, count, *args):
    return [kt.KCHAIN, "sweep", image, "--count", str(count), "--accel", "tcg", "--jobs", str(AT_ONCE), "-o", kt.scratch("results.jsonl"), *args]


def peers_argv(image, count, options):
    # The machine's own exit status is odd; xargs would end for 255 only.
    one = f"qemu-system-x86_64 -accel tcg -kernel {image} {options} {EXIT} </dev/null; [ $? -eq {kt.OK} ]"
    return ["sh", "-c", f"seq {count} | xargs -P {AT_ONCE} -I@ sh -c '{one}'"]


def rates(out):
    image = kt.bake(kt.pipeline([{"name": "work", "call": "fs:/k"}], {"/k": MINIMAL}, console=[]))
    kinds = {"QEMU by default": (PEERS, lambda n: peers_argv(image, n, "")), "a microvm by hand": (PEERS, lambda n: peers_argv(image, n, BY_HAND)),
             "kchain sweep": (MACHINES // ROUNDS, lambda n: sweep_argv(image, n)),
             "kchain sweep --load-each": (PEERS, lambda n: sweep_argv(image, n, "--load-each"))}
    rows, best = [], {}
    for turn in range(ROUNDS):
        for kind, (count, argv) in kinds.items():
            processor, wall, _ = measured(argv(count))
            rows.append([turn, kind, count, processor, wall])
            best[kind] = min(best.get(kind, 1e9), processor / count)
    out.table("rates", ("round", "kind", "machines", "processor_seconds", "wall_seconds"), rows)
    for kind, seconds in best.items():
        out.figure(f"a machine with an empty job: {kind}", seconds * 1000, "ms of a processor")
    own = best["kchain sweep"]
    out.figure("rate of a sweep, over QEMU's by default", best["QEMU by default"] / own, "times", 5, ">=")
    out.figure("rate of a sweep, over a microvm's by hand", best["a microvm by hand"] / own, "times", 1.3, ">=")
    wall = min(row[4] / row[2] for row in rows if row[1] == "kchain sweep")
    out.figure(f"machines by the clock, {AT_ONCE} at once, quickest round", 1 / wall, "machines/s")
    groups = [(kind, [1 / seconds]) for kind, seconds in best.items()]
    out.plot("rates", plot.bars("Machines a processor and second", "an empty job, quickest round of each; QEMU tcg", "", "machines", groups, ["rate"]))


def below(pid):
    """All processes that this one began, and those that they did."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path, encoding="ascii") as f:
            for child in f.read().split():
                found += [int(child), *below(int(child))]
    return found


def share_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        if not f.read().startswith((b"qemu-system", b"/usr/bin/qemu-system")):
            return 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def standing(argv):
    """KiB of a machine, of several at once, when they no longer grow."""
    before = 0
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                          preexec_fn=kt.end_with_test) as process:
        for _ in range(120):
            time.sleep(1)
            now = sum(share_of(pid) for pid in below(process.pid))
            if before and abs(now - before) < before / 200:
                break
            before = now
        kt.check(process.poll() is None, "the machines ended")
        for pid in [*below(process.pid), process.pid]:
            os.kill(pid, 9)
    return now / STANDING


def memory(out):
    rows = []
    for mib, aim, ram in ((1, 0.6, "128M"), (256, 0.2, "640M")):
        data = kt.write_bytes(kt.scratch("data"), os.urandom((mib << 20) - (448 << 10)))
        image = kt.bake(kt.pipeline([{"name": "work", "call": "fs:/k", "timeout": "1h"}], {"/k": SPIN, "/data": data}, console=[]))
        qemu = f"qemu-system-x86_64 -accel tcg -m {ram} -kernel {image}"
        many = "for i in $(seq %d); do %%s & done; wait" % STANDING
        own = standing([kt.KCHAIN, "sweep", image, "--count", str(STANDING), "--jobs", str(STANDING), "--accel", "tcg", "--memory", ram,
                        "--timeout", "0", "-o", kt.scratch("results.jsonl")])
        default = standing(["sh", "-c", many % f"{qemu} {EXIT}"])
        by_hand = standing(["sh", "-c", many % f"{qemu} {BY_HAND} {EXIT}"])
        rows += [[mib, default, by_hand, own]]
        out.figure(f"memory of a machine, image of {mib} MiB: QEMU by default", default / 1024, "MiB (PSS)")
        out.figure(f"memory of a machine, image of {mib} MiB: a microvm by hand", by_hand / 1024, "MiB (PSS)")
        out.figure(f"memory of a machine, image of {mib} MiB: kchain sweep", own / 1024, "MiB (PSS)")
        out.figure(f"memory over the default's, image of {mib} MiB", own / default, "", aim, "<=")
    out.table("memory", ("image_mib", "default_kib", "microvm_kib", "sweep_kib"), rows)


def growth(out):
    quick = kt.write_bytes(kt.scratch("quick"), QUICK)
    os.chmod(quick, 0o755)
    image = kt.bake(kt.pipeline([{"name": "work", "call": "fs:/k"}], {"/k": MINIMAL}))
    rows = []
    for count in GROWTH:
        processor, wall, kib = measured(sweep_argv(image, count), env={**os.environ, "KCHAIN_QEMU": quick})
        rows.append([count, processor, wall, kib])
    out.table("growth", ("machines", "processor_seconds", "wall_seconds", "kib"), rows)
    out.figure(f"memory of the command, {GROWTH[-1]:,} machines less {GROWTH[0]}", rows[-1][3] - rows[0][3], "KiB", 1024, "<=")
    # The first ones have the start in them.
    each = [(rows[i][1] - rows[i - 1][1]) / (rows[i][0] - rows[i - 1][0]) for i in (2, 3)]
    out.figure(f"processor time for one more, at {GROWTH[-1]:,} over at {GROWTH[-2]:,}", each[1] / each[0], "times", 1.2, "<=")


def blocks(out):
    step = {"name": "map", "call": "fs:/k", "memory": "192K", "fanout": {"list": "{{state.inputs}}", "console": "mute"}}
    image, count = kt.bake(kt.pipeline([step], {"/k": MINIMAL}, console=[])), BLOCKS * BLOCK
    rows = [measured(sweep_argv(image, count, "--per-instance", str(BLOCK))) for _ in range(ROUNDS)]
    out.table("blocks", ("processor_seconds", "wall_seconds", "kib"), rows)
    out.figure(f"{count:,} kernels, {BLOCK:,} a machine, results on disk: by the clock, {AT_ONCE} machines at once", count / min(r[1] for r in rows), "kernels/s",
               10000, ">=")
    out.figure("the same, of one processor's time", count / min(r[0] for r in rows), "kernels/s")


def run(out):
    rates(out)
    memory(out)
    growth(out)
    blocks(out)
