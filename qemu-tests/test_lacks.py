#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""Machines that lack something on purpose: memory from 2 MiB up, and each combination of network, disk, screen and serial
port. Whatever is lacking, the chain goes on where it can, and says exactly what is missing where it can't.

KCHAIN_ALL=1 tries every size up to 64 MiB rather than some of those above 16."""
import os
import re

import kt

FILES = {"/echo": "build/kernels/echo.elf", "/count": "build/kernels/count.elf", "/README.md": "README.md"}
DEVICES = {"net": {"lan": {"dhcp": {"timeout": "5s"}, "need": "optional"}},
           "block": {"data": {"match": {"serial": "DATA01"}, "need": "optional"}}}
ECHO = {"name": "echo", "call": "fs:/echo"}
SIZES = list(range(2, 65)) if os.environ.get("KCHAIN_ALL") else [*range(2, 17), 24, 40, 64]
PIPELINES = (
    ("a call, network and disk", kt.pipeline([ECHO], FILES, **DEVICES)),
    ("a boot with a module, network and disk", kt.pipeline(
        [{"name": "boot", "boot": "fs:/echo", "fs": "keep", "modules": [{"from": "fs:/README.md"}]}], FILES, **DEVICES)),
    ("an image that boots itself", kt.pipeline(
        [{"name": "count", "call": "fs:/count", "args": "3", "memory": "2M"},
         {"name": "again", "when": {"results.count.result.more": True}, "boot": "self:"}],
        FILES, state={"n": "{{results.count.result.n|0}}"}, **DEVICES)),
)


def has(ended, text):
    return any(re.search(text, e["message"], re.I) for e in ended.of("error"))


def finishes_or_says_so(image, mebibytes):
    """What is wrong, or None."""
    ended = kt.boot(image, memory=f"{mebibytes}M", qemu=kt.USER_NET + kt.virtio_disk(kt.disk()))
    if ended.status == kt.OK:
        kt.expect_end(ended)
        return None
    if ended.status == kt.STAGE_FAILED and has(ended, "memory|room"):
        return None
    return f"{mebibytes} MiB: {ended}"


def with_any_memory(pipeline):
    def run():
        image = kt.bake(pipeline)
        bad = [b for b in kt.in_parallel(lambda size: finishes_or_says_so(image, size), SIZES) if b]
        kt.check(not bad, f"{len(bad)} of {len(SIZES)} sizes", *bad[:3])
        kt.expect_end(kt.boot(image, memory="16M", qemu=kt.USER_NET + kt.virtio_disk(kt.disk())))  # enough, says the README
    return run


for name, value in PIPELINES:
    kt.add_test("with any memory: " + name, with_any_memory(value))


@kt.test
def a_boot_finds_room_between_the_images_parts_where_there_is_no_other():
    image = kt.bake(PIPELINES[1][1])
    for memory in ("3M", "4M"):  # all of it is the image's, up to the next multiple of 2 MiB
        kt.expect_end(kt.boot(image, memory=memory, qemu=kt.USER_NET + kt.virtio_disk(kt.disk())))


def combination(image, machine, bits):
    """What is wrong with a machine that has those of (network, disk, screen, serial port), or None."""
    net, disk, vga, serial = bits
    argv = kt.qemu_argv(machine, "64M", "-vga", "std" if vga else "none", "-kernel", image, *(kt.USER_NET if net else []),
                        *(kt.virtio_disk(kt.disk()) if disk else []))
    with kt.Machine(argv, serial=serial) as m:
        status = m.wait_for_end()
        ended = kt.Ended(m, status)
    kt.expect_end(ended)
    handoff = ended.of("result")[0]["result"]["handoff"]
    lan, data = handoff["net"]["lan"], handoff["block"]["data"]
    wrong = []
    if lan["status"] != ("configured" if net else "absent") or bool(lan.get("reason")) == net:
        wrong.append(f"net is {lan}")
    if data["status"] != ("configured" if disk else "absent") or bool(data.get("reason")) == disk:
        wrong.append(f"block is {data}")
    if serial != ("echo received" in ended.console):
        wrong.append("the serial port")
    return f"{machine} {bits}: {wrong}\n{ended}" if wrong else None


def in_each_combination(machine):
    def run():
        image = kt.bake(PIPELINES[0][1])
        all_bits = [tuple(bool(n >> i & 1) for i in range(4)) for n in range(16)]
        bad = [b for b in kt.in_parallel(lambda bits: combination(image, machine, bits), all_bits) if b]
        kt.check(not bad, f"{len(bad)} of 16 combinations", *bad[:3])
    return run


for name in ("pc", "q35"):
    kt.add_test("network, disk, screen and serial port present or not: " + name, in_each_combination(name))

kt.main()
