# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions from a call step's beginning to its kernel's main, and what a native kernel weighs.

The kernel (kernels/tick.c) returns the tick at which its main began; the `step` record has the tick at which the
step did. The file is hashed in between. A second image, of which all is verified at entry, does without that: the
two differ in hashing alone.
"""
import os

import kt
import machine

TICK, MINIMAL = "build/bench/tick.elf", "build/bench/minimal.elf"
CALLS = ("first", "second", "third")
COLUMNS = ("file_bytes", "call", "to_main", "to_next")


def image_of(kernel, **more):
    return kt.bake(kt.pipeline([{"name": name, "call": "fs:/tick"} for name in CALLS], {"/tick": kernel}, **more))


def boot_of(verify):
    kernel = TICK
    done = machine.count("-kernel", image_of(kernel, verify=verify))
    began = [done.ticks("step", name=name) for name in CALLS]
    mains = [int(done.first("result", step=name)["result"]["main"], 16) for name in CALLS]
    return [
        {"file_bytes": os.path.getsize(kernel), "call": name, "to_main": main - start, "to_next": after - start}
        for name, start, main, after in zip(CALLS, began, mains, began[1:] + [None])
        if after
    ]


def run(out):
    rows, verified = kt.in_parallel(boot_of, ["used", "all"])
    out.table("instructions", COLUMNS, [[r[c] for c in COLUMNS] for r in rows + verified])
    first, second = rows
    unhashed, again = (row["to_main"] for row in verified[:2])
    out.figure("call, to the kernel's main, without hashing its file", unhashed, "instructions", 50_000, "<")
    out.figure("the same kernel's second call to main, without hashing", again, "instructions", 30_000, "<")
    out.figure(
        f"hashing its file of {first['file_bytes']:,} bytes", first["to_main"] - unhashed, "instructions"
    )
    out.figure("the same kernel's second call to main, all of it", second["to_main"], "instructions")
    out.figure("a whole call, from one step to the next, all of it", second["to_next"], "instructions")
    out.figure("minimal native kernel, the file", os.path.getsize(MINIMAL), "bytes", 64 << 10, "<")
