#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Where a stage's instructions go, function by function: QEMU steps through a boot and writes down each instruction's address.

Usage: bench/profile.py [boot | call | fanout]...

`boot` is what bench/boot.py calls fixed: one small child that is booted. `call` is the pipeline of bench/call.py: a native kernel,
called three times. `fanout` is that of bench/fanout.py on one processor: a thousand turns of a kernel that leaves a result. The table is printed and kept in build/bench/profile-NAME.tsv. Code that the compiler put into its caller counts as
the caller's; only what runs at the stage's own addresses is counted, so the first instructions at the entry and the last ones
of a commit are not.
"""
import bisect
import collections
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "qemu-tests"))

import boot  # noqa: E402: the path comes first
import call  # noqa: E402
import child  # noqa: E402
import fanout  # noqa: E402
import kt  # noqa: E402

FOLDER = "build/bench"
DEBUG = "build/stage/stage.debug"
STAGE, STAGE_BYTES = 0xFFFFFFFF80000000, 0x1000000
SHOWN = 40
TRACED = re.compile(rb"/([0-9a-f]{16})/")


def stepping():
    """QEMU's option for one instruction at a time has had two names."""
    text = kt.command(["qemu-system-x86_64", "--version"]).out
    version = tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)", text).groups())
    if version >= (8, 1):
        return ["-accel", "tcg,one-insn-per-tb=on"]
    return ["-singlestep"]


def addresses(image):
    """Each instruction's address, as often as it ran, in a boot of the image to its end."""
    trace = kt.scratch("trace")
    os.mkfifo(trace)
    filtered = ["-d", "exec,nochain", "-dfilter", f"{STAGE:#x}+{STAGE_BYTES:#x}", "-D", trace]
    argv = kt.qemu_argv("pc", "512M", "-cpu", "max", "-icount", "shift=0,sleep=off", *stepping(), *filtered, "-kernel", image)
    counts = collections.Counter()
    with kt.Machine(argv):
        with open(trace, "rb") as lines:
            for line in lines:
                found = TRACED.search(line)
                if found:
                    counts[found[1]] += 1
    return {int(address, 16): count for address, count in counts.items()}


def symbols():
    """Addresses of functions, ascending, with their names and the folder or library that they are from."""
    found = []
    done = subprocess.run(["nm", "-n", "-l", "--defined-only", DEBUG], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        match = re.match(r"([0-9a-f]{16}) [tTwWi] (\S+)(?:\t(\S+):\d+)?", line)
        if match:
            path = (match[3] or "").removeprefix("./")
            part = os.path.dirname(path[path.find("build/") + 6 if "build/" in path else 0 :]) or "musl, libcrypto"
            found.append((int(match[1], 16), match[2], part))
    return found


def by_function(counts):
    table = symbols()
    starts = [at for at, _, _ in table]
    functions, parts = collections.Counter(), collections.Counter()
    for address, count in counts.items():
        place = bisect.bisect_right(starts, address) - 1
        _, name, part = table[place] if place >= 0 else (0, "?", "?")
        functions[name, part] += count
        parts[part] += count
    return functions, parts


def show(name, counts):
    functions, parts = by_function(counts)
    total = sum(parts.values())
    os.makedirs(FOLDER, exist_ok=True)
    with open(f"{FOLDER}/profile-{name}.tsv", "w", encoding="utf-8") as out:
        out.write("instructions\tfunction\tpart\n")
        out.writelines(f"{count}\t{function}\t{part}\n" for (function, part), count in functions.most_common())
    print(f"{name}: {total} instructions in the stage")
    for part, count in parts.most_common():
        print(f"  {count:9}  {100 * count / total:5.1f} %  {part}")
    print()
    for (function, part), count in functions.most_common(SHOWN):
        print(f"  {count:9}  {100 * count / total:5.1f} %  {function}  ({part})")
    print(f"  the rest: {FOLDER}/profile-{name}.tsv\n")


IMAGES = {
    "boot": lambda: boot.image_of(child.make(kt.scratch("child"), child.SIZES[0])),
    "call": lambda: call.image_of(call.TICK),
    "fanout": lambda: fanout.image_of(fanout.TICK),
}


def main():
    wanted = sys.argv[1:] or list(IMAGES)
    for name in wanted:
        if name not in IMAGES:
            sys.exit(f"profile: no such boot: {name} (there are {', '.join(IMAGES)})")
        show(name, addresses(IMAGES[name]()))


if __name__ == "__main__":
    main()
