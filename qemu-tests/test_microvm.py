#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""Disks and network cards by virtio-mmio, on a machine without PCI."""
import hashlib
import re

import kt

FILES = {"/" + name: f"build/kernels/{name}.elf" for name in ("disk", "arp", "hello")}
BLOCK = {"data": {"match": {"serial": "DATA01"}}}
NET = {"lan": {"dhcp": True}}
MACHINE = "microvm,isa-serial=on"
MODERN = ["-global", "virtio-mmio.force-legacy=false"]
CARD = ["-netdev", "user,id=lan,restrict=on", "-device", "virtio-net-device,netdev=lan,mac=52:54:00:12:34:56"]


def disk(path, serial="DATA01", name="d0"):
    return ["-drive", f"if=none,id={name},format=raw,file={path}", "-device", f"virtio-blk-device,drive={name},serial={serial}"]


def contents(size_bytes):
    return b"".join(hashlib.sha512(str(n).encode()).digest() for n in range(size_bytes // 64))


def boot(steps, qemu, **more):
    return kt.boot(kt.bake(kt.pipeline(steps, FILES, **more)), MACHINE, "128M", qemu)


@kt.test
def a_lease_comes_and_a_booted_kernel_reads_the_disk():
    data = contents(1 << 20)
    path = kt.write_bytes(kt.scratch("disk"), data)
    step = {"name": "next", "boot": "fs:/disk", "args": "data"}
    qemu = MODERN + CARD + disk(path) + disk(kt.disk("other.img", 1 << 20), "OTHER", "d1")
    ended = boot([{"name": "hello", "call": "fs:/hello"}, step], qemu, block=BLOCK, net=NET)
    doc = ended.of("handoff")[-1]["doc"]
    kt.check(doc["net"]["lan"]["addresses"] == ["10.0.2.15/24"] and doc["net"]["lan"]["mac"] == "52:54:00:12:34:56", "the lease", doc["net"])
    places = doc["net"]["lan"]["mmio"], doc["block"]["data"]["mmio"]
    kt.check(all(re.fullmatch("0xfeb0[0-9a-f]{4}", p) for p in places) and "pci" not in doc["block"]["data"], "their places", doc)
    left = ended.of("exit")[-1]
    want = {"name": "data", "sectors": 2048, "sector_bytes": 512, "read": 2048, "sha256": hashlib.sha256(data).hexdigest()}
    kt.check(left["status"] == 0 and left["result"] == want, "what the kernel read", left)


@kt.test
def a_booted_kernel_has_the_card():
    step = {"name": "next", "boot": "fs:/arp", "args": "lan {{net.lan.address}} 10.0.2.2"}
    left = boot([step], MODERN + CARD, net=NET).of("exit")[-1]
    kt.check(left["status"] == 0 and left["result"]["mac"] == "52:55:0a:00:02:02", "the answer", left)


@kt.test
def a_kernel_on_a_partition_is_booted():
    kernel = open("build/kernels/disk.elf", "rb").read()
    path = kt.disk(size_bytes=8 << 20, partitions="label: gpt\nsize=2M, name=kernel\n")
    with open(path, "r+b") as f:
        f.seek(2048 * 512)
        f.write(kernel)
    step = {"name": "next", "boot": f"block:data/kernel@0+{len(kernel)}", "sha256": hashlib.sha256(kernel).hexdigest(), "args": "data 0 1"}
    left = boot([step], MODERN + disk(path), block=BLOCK).of("exit")[-1]
    kt.check(left["status"] == 0 and left["result"]["read"] == 1, "the kernel", left)


@kt.test
def the_command_line_says_where_they_are():
    path = kt.disk(size_bytes=1 << 20)
    block = {"data": {**BLOCK["data"], "need": "optional"}}
    for words, status in (("virtio_mmio.device=512@0xfeb02e00:12", "configured"), ("quiet virtio_mmio.device=512@0xfeb02c00:12", "absent"),
                          ("virtio_mmio.device=512", "configured")):  # which is no place, so all of them are
        ended = boot([{"name": "hello", "call": "fs:/hello"}], [*MODERN, *disk(path), "-append", words], block=block)
        found = kt.expect_end(ended).of("handoff")[-1]["doc"]["block"]["data"]
        kt.check(found["status"] == status, words, found)


@kt.test
def what_can_not_be_used_is_reported():
    path = kt.disk(size_bytes=1 << 20)
    optional = {"data": {"need": "optional"}}
    found = kt.expect_end(boot([{"name": "hello", "call": "fs:/hello"}], disk(path), block=optional)).of("handoff")[-1]["doc"]["block"]["data"]
    kt.check(found == {"status": "present", "mmio": "0xfeb02e00", "driver": "virtio-blk",
                       "reason": "virtio-blk 0xfeb02e00: its virtio-mmio registers are of version 1, 2 is needed"}, "an old interface", found)
    step = {"name": "read", "call": "fs:/disk", "args": "data", "devices": {"data": 0}, "on_error": "continue"}
    left = kt.expect_end(boot([step], MODERN + disk(path), block=optional)).of("handoff")[-1]["doc"]["results"]["read"]["result"]
    kt.check(left["error"] == "data: 0xfeb02e00: its registers can't be shown to a kernel: they share a page with other devices'", "assigned", left)


@kt.test
def kchain_run_gives_a_microvm_its_devices():
    path = kt.disk(size_bytes=1 << 20)
    image = kt.bake(kt.pipeline([{"name": "hello", "call": "fs:/hello"}], FILES, block=BLOCK, net=NET))
    done = kt.kchain("run", "--machine", "microvm", "--net", "--disk", f"{path},serial=DATA01", image, "--json")
    kt.check(done.exit == 0 and '"mmio":"0xfeb0' in done.out.replace(" ", ""), "run", done)


if __name__ == "__main__":
    kt.main()
