#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""Disks behind NVMe controllers: described, read by the stage and by kernels that have them to themselves, quiet when a kernel is booted."""
import hashlib
import json

import kt

FILES = {"/" + name: f"build/kernels/{name}.elf" for name in ("disk", "hello")}
BLOCK = {"data": {"match": {"serial": "DATA01"}}}


def contents(seed, size_bytes):
    return b"".join(hashlib.sha512(f"{seed}{n}".encode()).digest() for n in range(size_bytes // 64))


def nvme(path, serial="DATA01", name="n0", options="", namespace=""):
    """A controller whose one namespace is its own, or, with `namespace`, a device beside it with options of its own."""
    drive = ["-drive", f"if=none,id={name},format=raw,file={path}"]
    if not namespace:
        return [*drive, "-device", f"nvme,drive={name},serial={serial}{options}"]
    return [*drive, "-device", f"nvme,id=c{name},serial={serial}{options}", "-device", f"nvme-ns,drive={name},bus=c{name}{namespace}"]


def run(steps, qemu, machine="pc", cpus=1, **more):
    image = kt.bake(kt.pipeline(steps, {**FILES, **more.pop("files", {})}, **more))
    return kt.expect_end(kt.boot(image, machine, "128M", ["-smp", cpus, *qemu]), more.pop("status", kt.OK))


@kt.test
def a_disk_is_found_by_its_serial_number():
    gpt = kt.disk(size_bytes=8 << 20, partitions="label: gpt\nsize=2M, name=first\n")
    qemu = nvme(gpt) + nvme(kt.disk("other.img", 1 << 20), "OTHER", "n1") + kt.virtio_disk(kt.disk("third.img", 2 << 20), "THIRD")
    wanted = {**BLOCK, "other": {"match": {"serial": "OTHER"}}, "third": {"match": {"serial": "THIRD"}}}
    for machine in ("pc", "q35"):
        found = run([{"name": "hello", "call": "fs:/hello"}], qemu, machine, block=wanted).of("handoff")[-1]["doc"]["block"]
        data = found["data"]
        kt.check((data["status"], data["driver"], data["bytes"], data["sector_bytes"], data["read_only"], data["serial"]) ==
                 ("configured", "nvme", 8 << 20, 512, False, "DATA01"), "the entry", data)
        kt.check(data["table"] == "gpt" and [p["name"] for p in data["partitions"]] == ["first"], "its partitions", data)
        kt.check(found["other"]["bytes"] == 1 << 20 and found["third"]["driver"] == "virtio-blk", "the others", found)


def limits():
    """The device's limits of a request: QEMU's own, two pages, and none, which newer versions of QEMU refuse."""
    disk = nvme(kt.write_bytes(kt.scratch("disk"), bytes(4096)), options=",mdts=0")
    started = kt.command(["sh", "-c", 'echo quit | "$@"', "sh", *kt.qemu_argv("q35", "16M", "-S", "-monitor", "stdio", *disk)])
    kt.check(started.exit == 0 or "mdts" in started.err, "why QEMU does not start", started)
    return ("", ",mdts=1", ",mdts=0") if started.exit == 0 else ("", ",mdts=1")


@kt.test
def sectors_of_both_sizes_are_read_by_a_kernel_that_has_the_disk():
    data = contents("A", 3 << 20)
    for sector in (512, 4096):
        for cpus in (1, 3):
            for limit in limits():
                path = kt.write_bytes(kt.scratch("disk"), data)
                size = f",logical_block_size={sector},physical_block_size={sector}"
                disk = nvme(path, options=limit, namespace=size)
                steps = [{"name": "map", "call": "fs:/disk", "args": "data", "devices": {"data": 1}, "fanout": {"count": 2, "require": 1}},
                         {"name": "again", "call": "fs:/disk", "args": "data", "devices": {"data": 0}}]
                left = run(steps, disk, "q35", cpus, block=BLOCK).of("handoff")[-1]["doc"]["results"]
                want = {"name": "data", "sectors": len(data) // sector, "sector_bytes": sector, "read": len(data) // sector,
                        "sha256": hashlib.sha256(data).hexdigest()}
                kt.check(left["map"]["result"][1] == want and left["again"]["result"] == want, f"sectors of {sector}", left)


@kt.test
def a_kernel_that_ends_in_the_middle_leaves_the_disk_to_the_next():
    data = contents("A", 1 << 19)
    path = kt.write_bytes(kt.scratch("disk"), data)
    step = {"call": "fs:/disk", "args": "data", "devices": {"data": 0}}
    steps = [{"name": "hang", **step, "timeout": "300ms", "on_error": "continue"}, {"name": "after", **step, "timeout": "60s"}]
    qemu = ["-drive", f"if=none,id=n0,format=raw,file={path},throttling.bps-total=262144", "-device", "nvme,drive=n0,serial=DATA01"]
    for cpus in (1, 2):
        left = run(steps, qemu, cpus=cpus, block=BLOCK).of("handoff")[-1]["doc"]["results"]
        kt.check(left["hang"]["status"] == "timeout", "the first", left)
        kt.check(left["after"]["result"]["sha256"] == hashlib.sha256(data).hexdigest(), "the second", left)


@kt.test
def a_kernel_on_a_partition_is_booted_and_finds_the_disk_reset():
    kernel = open("build/kernels/disk.elf", "rb").read()
    path = kt.disk(size_bytes=8 << 20, partitions="label: gpt\nsize=2M, name=kernel\n")
    with open(path, "r+b") as f:
        f.seek(2048 * 512)
        f.write(kernel)
    whole = hashlib.sha256(open(path, "rb").read()).hexdigest()
    step = {"name": "next", "boot": f"block:data/kernel@0+{len(kernel)}", "sha256": hashlib.sha256(kernel).hexdigest(), "args": "data"}
    for machine in ("pc", "q35"):
        left = kt.boot(kt.bake(kt.pipeline([step], FILES, block=BLOCK)), machine, "128M", nvme(path)).of("exit")[-1]
        kt.check(left["status"] == 0 and left["result"]["sha256"] == whole, "what the booted kernel read", left)
    wrong = {**step, "sha256": "0" * 64}
    kt.expect_error(kt.boot(kt.bake(kt.pipeline([wrong], FILES, block=BLOCK)), "pc", "128M", nvme(path)), "source-digest")


@kt.test
def the_command_attaches_disks_as_nvme():
    data = contents("run", 1 << 20)
    path = kt.write_bytes(kt.scratch("disk"), data)
    image = kt.bake(kt.pipeline([{"name": "sum", "call": "fs:/disk", "args": "data", "devices": {"data": 0}}], FILES, block=BLOCK))
    result = kt.scratch("handoff.json")
    for machine, access in (("pc", ""), ("q35", ",rw")):
        done = kt.kchain("run", image, "--machine", machine, "--disk", f"{path},serial=DATA01{access},bus=nvme", "--result", result)
        left = json.loads(kt.read_bytes(result))
        kt.check(done.exit == 0 and left["block"]["data"]["driver"] == "nvme", machine, done, left)
        kt.check(left["results"]["sum"]["result"]["sha256"] == hashlib.sha256(data).hexdigest(), machine, left)
    done = kt.kchain("run", image, "--machine", "microvm", "--disk", f"{path},bus=nvme")
    kt.check(done.exit == 3 and "a microvm has no PCI, and so no NVMe" in done.err, "microvm", done)


@kt.test
def what_can_not_be_read_is_reported():
    path = kt.disk(size_bytes=1 << 20)
    cases = (
        (["-device", "nvme,serial=DATA01"], "it has no namespace (0x0)"),
        (nvme(path, namespace=",ms=8"), "its sectors have metadata (0x8)"),
    )
    for qemu, reason in cases:
        block = {"data": {"need": "optional"}}
        found = run([{"name": "hello", "call": "fs:/hello"}], [qemu[0], qemu[1], *qemu[2:]], block=block).of("handoff")[-1]["doc"]["block"]["data"]
        kt.check(found["status"] == "present" and found["reason"].startswith("nvme 0000:00:0") and found["reason"].endswith(": " + reason), reason, found)


if __name__ == "__main__":
    kt.main()
