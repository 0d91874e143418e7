#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks (all, or the named ones) and prints one summary: bench/README.md says what each figure means.

Usage: bench/bench.py [NAME]...

Raw figures and plots go to build/bench/. A figure that misses its aim is shown, and is no failure; a benchmark
that cannot be run is.
"""
import importlib
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "qemu-tests"))

import machine  # noqa: E402: the path comes first
import report  # noqa: E402

FOLDER = "build/bench"
# Each is a module of this folder with a function run(report.Report).
BENCHMARKS = (
    ("boot", "instructions from the stage's entry to a booted child's"),
    ("doors", "the same by each boot protocol, beside GRUB's; Linux to its /init, beside QEMU's -kernel"),
    ("loaders", "instructions from reset to the same child, by kchain and by others"),
    ("digest", "checking the same bytes, beside fsverity, sha256sum and veritysetup; by several processors"),
    ("call", "instructions of a call, and the size of a native kernel"),
    ("dhcp", "from entry to an address, beside iPXE"),
    ("size", "what the stage adds to an image, and the memory it needs"),
    ("bake", "wall time and memory of bake, beside cp, mkfs.erofs and grub-mkrescue"),
    ("root", "a Linux root used in place, beside an initramfs, a disk and GRUB: instructions, memory, answers"),
    ("chain", "the cost of each of a thousand links"),
    ("fanout", "a thousand kernels in one machine, beside a process each"),
    ("sweep", "a thousand machines, beside xargs over QEMU: rate, memory, growth, and kernels in blocks"),
)


def run_one(name, about):
    started = time.monotonic()
    print(f"bench: {name}: {about}", file=sys.stderr, flush=True)
    results = report.Report(name, FOLDER)
    try:
        importlib.import_module(name).run(results)
        failed = False
    except Exception as error:  # the others' figures are still worth having
        print(error if isinstance(error, AssertionError) else traceback.format_exc(), file=sys.stderr)
        results.left_out("", "could not be measured")
        failed = True
    print(f"bench: {name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return results.figures, failed


def main():
    wanted = sys.argv[1:]
    unknown = set(wanted) - {name for name, _ in BENCHMARKS}
    if unknown:
        sys.exit(
            f"bench: no such benchmark: {', '.join(sorted(unknown))} (there are {', '.join(n for n, _ in BENCHMARKS)})"
        )
    before, figures, failed = machine.load(), [], False
    for name, about in BENCHMARKS:
        if not wanted or name in wanted:
            more, bad = run_one(name, about)
            figures, failed = figures + more, failed or bad
    facts = machine.surroundings() + [("load average", f"{before:.2f} before, {machine.load():.2f} after")]
    lines = [f"{name + ':':14}{value}" for name, value in facts] + [""] + report.summary(figures)
    print("\n".join(lines))
    report.write_csv(
        f"{FOLDER}/summary.csv",
        ["benchmark", "what", "value", "unit", "aim", "verdict"],
        [
            [f.benchmark, f.what, f.value, f.unit, "" if f.aim is None else f"{f.sense} {f.aim}", f.verdict()]
            for f in figures
        ],
    )
    with open(f"{FOLDER}/summary.txt", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
