#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""The command in which one allocation fails, and in which all do from there on: it does what it does without, or ends with a documented exit
code and says why, and leaves no half-written file. KCHAIN_ALLOC=all tries every allocation; a check takes a sample."""
import os
import re

import kt

COMMAND = os.path.abspath("build/kchain-failing")
EVERY = os.environ.get("KCHAIN_ALLOC") == "all"
SAMPLE = 40
FILES = {"/hello": "build/kernels/hello.elf", "/docs": "docs"}
VALUE = kt.pipeline([{"name": "hello", "call": "fs:/hello", "args": "{{net.lan.address}}", "devices": {"lan": 0}},
                     {"name": "boot", "boot": "fs:/hello", "modules": [{"from": "fs:/docs/README.md", "string": "m"}]}],
                    FILES, state={"a": [1, {"b": "c"}]}, net={"lan": {"dhcp": True}})
# Usage, input refused, the stage (or the machine it runs on) failed: the codes of a command that could not do its work.
FAILURES = (2, 3, 4)


def output_of(args):
    """(what says where the output goes, where that is, or None for a command that prints)"""
    path = kt.scratch("output")
    return {"bake": (["-o", path], path), "init": ([path], path)}.get(args[0], ([], None))


def content(path):
    """Of a file, or of all in a folder."""
    if not os.path.isdir(path):
        return kt.read_bytes(path)
    return b"".join(name.encode() + b"\0" + kt.read_bytes(os.path.join(path, name)) for name in sorted(os.listdir(path)))


def attempt(args, n, once, where):
    """The command with allocation `n` failing: how it ended, and whether that allocation was asked for at all."""
    report = kt.scratch("report")
    env = dict(os.environ, KCHAIN_FAIL_ALLOC=str(n), KCHAIN_FAIL_REPORT=report, NO_COLOR="1", **({"KCHAIN_FAIL_ONCE": "1"} if once else {}))
    done = kt.command([COMMAND, *args, *where], env=env)
    kt.check(os.path.exists(report), f"allocation {n} failing ended it by a signal, or without its end", done)
    return done, kt.read_bytes(report) == b"failed"


def judge(args, n, once, good):
    where, output = output_of(args)
    done, failed = attempt(args, n, once, where)
    left = os.listdir(os.path.dirname(output)) if output else []
    label = f"{args[0]}, allocation {n}{' alone' if once else ' and all behind it'}"
    if done.exit == 0:
        out = content(output) if output else done.out
        # `inspect` says what it can find out of a file, whatever state that is in.
        kt.check(out == good or (failed and once and args[0] == "inspect"), f"{label}: it says that all is well, but its output is another", done)
    else:
        kt.check(failed and done.exit in FAILURES, f"{label}: exit status {done.exit}", done)
        kt.check(not left, f"{label}: it left {left}", done)
        kt.check(re.match(r"kchain", done.err) and done.err.count("\n") <= 3 and "(null)" not in done.err, f"{label}: not one clear line", done)
    return failed


def count(args):
    """How many allocations there are: the first that is not asked for, by bisection."""
    low, high = 0, 1 << 20
    while low < high:
        middle = (low + high) // 2
        _, failed = attempt(args, middle, True, output_of(args)[0])
        low, high = (middle + 1, high) if failed else (low, middle)
    return low


def sweep(args):
    """`args` without an output; those commands get one that write it."""
    where, output = output_of(args)
    done, failed = attempt(args, 1 << 30, False, where)
    kt.check(done.exit == 0 and not failed, "it does not even work with memory", done)
    good = content(output) if output else done.out
    total = count(args)
    kt.check(total >= 1, f"{total} allocations", done)
    step = 1 if EVERY else max(1, total // SAMPLE)
    places = list(range(0, min(total, 12))) + list(range(12, total + 1, step))
    kt.in_parallel(lambda n: [judge(args, n, once, good) for once in (False, True)], places)
    kt.check(not judge(args, total + 1, True, good), "an allocation behind the last one")


image = kt.bake(VALUE)
pipeline = kt.write_json(kt.scratch("pipeline.json"), VALUE)
for name, line in (("bake", ["bake", pipeline]), ("inspect", ["inspect", image]), ("inspect --json", ["inspect", image, "--json"]),
                   ("plan", ["plan", image]), ("plan --json", ["plan", image, "--json", "--masked"]), ("verify", ["verify", image]),
                   ("ls", ["ls", image]), ("cat", ["cat", image, "/docs/README.md"]),
                   ("init", ["init", "--template", "fanout"])):
    kt.add_test(name + " without memory", lambda line=line: sweep(line))

kt.main()
