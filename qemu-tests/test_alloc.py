#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""A stage in which one allocation fails, and one in which all do from there on: it works without, or says that memory is lacking.
A check takes a sample of the places where it can fail; `KCHAIN_ALLOC=ways qemu-tests/test_alloc.py` tries each way to come to an allocation
once (half an hour), `KCHAIN_ALLOC=all` every allocation."""
import os
import re

import kt

STAGE = "build/stage-test/stage.elf"
EXTENT = os.environ.get("KCHAIN_ALLOC", "sample")
SAMPLE = 10
FILES = {"/echo": "build/kernels/echo.elf", "/hello": "build/kernels/hello.elf", "/team": "build/kernels/team.elf"}
ACTS = {"/acts": "build/kernels/acts.elf"}
SAYS_MEMORY = re.compile(r"^.*(?:error|stopped: ).*\bmemory\b", re.M | re.I)
# what could not be kept of one kernel is that kernel's failure
RESULT_LOST = re.compile(r"(?:result|failed) .*the result of \d+ bytes is too large to keep: out of memory")

BOOT = kt.pipeline(
    [{"name": "hello", "call": "fs:/hello", "args": "{{net.lan.address}}", "retries": 1},
     {"name": "echo", "boot": "fs:/echo", "args": "{{block.data.serial|none}}", "modules": [{"from": "fs:/hello", "string": "hello"}]}],
    FILES, console=["com1,115200"], net={"lan": {"dhcp": {"timeout": "20s"}}}, block={"data": {"match": {"serial": "DATA01"}}})
FAN_OUT = kt.pipeline([{"name": "many", "call": "fs:/hello", "fanout": {"count": 3}, "timeout": "60s"}, {"name": "hello", "call": "fs:/hello"},
                       {"name": "pairs", "call": "fs:/team", "fanout": {"count": 2, "cpus": 2}, "timeout": "60s"}],
                      FILES, console=["com1,115200"])
FIXED = kt.pipeline([{"name": "many", "call": "fs:/acts", "args": "leave 0", "fanout": {"count": 2}, "timeout": "60s", "memory": "1M"},
                     {"name": "one", "call": "fs:/acts", "args": "leave 0", "timeout": "60s", "memory": "1M"}], ACTS, console=["com1,115200"])


DEVICES = kt.pipeline([{"name": "disk", "call": "fs:/disk", "args": "data", "devices": {"data": 0}},
                       {"name": "many", "call": "fs:/disk", "args": "data 0 1", "devices": {"lan": 1, "data": 0}, "fanout": {"count": 2, "require": 1}, "timeout": "60s"}],
                      {"/disk": "build/kernels/disk.elf"}, console=["com1,115200"], net={"lan": {"static": {"address": "10.0.2.15/24"}}},
                      block={"data": {"match": {"serial": "DATA01"}}})


def prepare(value, smp, devices):
    """The image, and the rest of what boots it."""
    image = kt.bake(value, "--stage", STAGE)
    machine = ["-smp", str(smp)]
    if devices:
        machine += kt.USER_NET + kt.virtio_disk(kt.disk(partitions="label: gpt\nsize=1M, name=first\n") + ",read-only=on")
    return image, machine


def places(image, machine):
    """How often the stage asks for memory, and the first place of each way to come there."""
    ended = kt.expect_end(kt.boot(image, memory="64M", qemu=[*machine, "-append", "fail_alloc=trace"]))
    asked = [r["what"] + r["who"] for r in ended.of("alloc")]
    counted = ended.of("allocations")[0]["count"]
    kt.check(counted == len(asked) and counted > 100, "allocations are not counted", ended)
    ways = {}
    for number, way in enumerate(asked, 1):
        ways.setdefault(way, number)
    return counted, sorted(ways.values())


def one(image, machine, where):
    """None, or what went wrong. A stage that works without the memory is as good as one that says it has none."""
    ended = kt.boot(image, memory="64M", qemu=[*machine, "-append", f"fail_alloc={where}"])
    if ended.status == kt.OK:
        try:
            kt.expect_end(ended)
            return None
        except AssertionError as error:
            return f"fail_alloc={where}: {error}"
    if ended.status == kt.CHILD_FAILED and RESULT_LOST.search(ended.console):
        return None
    if ended.status != kt.STAGE_FAILED or not SAYS_MEMORY.search(ended.console):
        return f"fail_alloc={where}: status {ended.status}, {ended}"
    if re.search(r"\(0 bytes asked for\)", ended.console):
        return f"fail_alloc={where}: no allocation is of 0 bytes: {ended}"
    errors = ended.of("error")
    if errors and not any(e["slug"] == "no-memory" for e in errors):
        return f"fail_alloc={where}: the record is about something else: {ended}"
    return None


def sweep(value, smp=1, devices=False):
    image, machine = prepare(value, smp, devices)
    count, ways = places(image, machine)
    if EXTENT == "all":
        tried = [str(n) for n in range(1, count + 1)] + [f"{n}-" for n in ways]
    elif EXTENT == "ways":
        tried = [str(n) for n in ways] + [f"{n}-" for n in ways[::4]]
    else:
        spread = [ways[len(ways) * i // SAMPLE] for i in range(SAMPLE)]
        tried = [str(n) for n in spread] + [f"{n}-" for n in spread[1::3]]
    bad = [b for b in kt.in_parallel(lambda where: one(image, machine, where), tried) if b]
    print(f"# {count} allocations, {len(ways)} ways to them, {len(tried)} failures tried, {len(bad)} bad")
    kt.check(not bad, f"{len(bad)} of {len(tried)}", *[b[-3500:] for b in bad[:40]])


@kt.test
def a_boot_lives_with_each_allocation_that_fails_or_says_so():
    sweep(BOOT, devices=True)


@kt.test
def a_fan_out_lives_with_each_allocation_that_fails_or_says_so():
    sweep(FAN_OUT, smp=3)


@kt.test
def devices_are_assigned_with_each_allocation_that_fails_or_not():
    sweep(DEVICES, smp=2, devices=True)


@kt.test
def a_call_at_fixed_addresses_lives_with_each_allocation_that_fails_or_says_so():
    sweep(FIXED, smp=2)


kt.main()
