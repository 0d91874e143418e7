#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""Memory above 4 GiB: windows, guests, page tables and the stage's own memory lie there; what a 32-bit kernel is told of does not."""
import hashlib
import re

import kt
import linux

SYSTEM, WHY_NO_LINUX = linux.find()
FILES = {f"/{name}": f"build/kernels/{name}.elf" for name in ("hello", "acts", "disk", "found-multiboot2")}
GIB, MIB = 1 << 30, 1 << 20

def available_mib():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith("MemAvailable"))


def windows(ended):
    return sorted(int(at, 16) for at in ended.of("result")[0]["machine"]["windows"].values())


def native(machine):
    def test():
        step = {"name": "map", "call": "fs:/hello", "memory": "16M", "fanout": {"count": 9, "concurrency": 3}}
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), machine, "5G", ["-cpu", "max", "-smp", 4]))
        at = windows(ended)
        # One a processor that took kernels: the last may find none left.
        kt.check(1 <= len(at) <= 3 and all(low >= 4 * GIB for low in at), "windows", [hex(a) for a in at])
        kt.check(all(b - a >= 16 * MIB for a, b in zip(at, at[1:])), "distances", [hex(a) for a in at])
    return test


for kind in ("pc", "q35", "microvm"):
    kt.add_test(f"native_kernels_run_there_on_{kind}", native(kind))


@kt.test
def isolated_guests_run_there():
    step = {"name": "map", "call": "fs:/acts", "args": "work {{self.index}}", "isolation": "svm", "memory": "8M", "fanout": {"count": 6, "concurrency": 2}}
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), "pc", "5G", ["-cpu", "max", "-smp", 3]))
    entry = ended.of("handoff")[-1]["doc"]["results"]["map"]
    kt.check([r["sum"] for r in entry["result"]] == list(range(6)), "results", entry)
    kt.check(all(at >= 4 * GIB for at in windows(ended)), "windows", windows(ended))


@kt.test
def a_device_reaches_its_kernel_there():
    data = b"".join(hashlib.sha512(bytes([n])).digest() for n in range(64))
    step = {"name": "read", "call": "fs:/disk", "args": "a", "devices": {"a": 0}, "memory": "8M"}
    image = kt.bake(kt.pipeline([step], FILES, block={"a": {"match": {"serial": "A"}}}))
    ended = kt.expect_end(kt.boot(image, "pc", "5G", ["-cpu", "max", *kt.virtio_disk(kt.write_bytes(kt.scratch("disk"), data), "A")]))
    found = ended.of("handoff")[-1]["doc"]["results"]["read"]["result"]
    kt.check(found["sha256"] == hashlib.sha256(data).hexdigest(), "what it read", found)


@kt.test
def kernels_of_32_bits_stay_below():
    """One at its own addresses, on a processor that leaves long mode; then a link that is booted, with what the stage has above 4 GiB to hand on."""
    state = {"text": "x" * 30000}
    inner = kt.bake(kt.pipeline([{"name": "hello", "call": "fs:/hello"}], FILES, name="inner"))
    steps = [{"name": "one", "call": "fs:/acts", "args": "work 7", "memory": "4M"}, {"name": "next", "boot": "fs:/inner"}]
    image = kt.bake(kt.pipeline(steps, {**FILES, "/inner": inner}, state=state))
    ended = kt.expect_end(kt.boot(image, "pc", "5G", ["-cpu", "max", "-smp", 2]))
    doc = ended.of("handoff")[-1]["doc"]
    kt.check(doc["results"]["hello"]["status"] == "ok" and doc["state"] == state and len(doc["links"]) == 2, "the second link", ended)
    kt.check(ended.of("result")[0]["result"] == {"sum": 7}, "the call before", ended)


@kt.test
def linux_finds_its_initrd_there():
    """As little memory below 4 GiB as leaves no room for it."""
    if WHY_NO_LINUX:
        raise kt.Skip(WHY_NO_LINUX)
    first = linux.initramfs(SYSTEM, "echo BIG $(/busybox sha256sum </big)\n/busybox cat /kchain/handoff.json >/dev/ttyS0\n")
    data = hashlib.sha256(b"big").digest() * (80 * MIB // 32)
    big = kt.write_bytes(kt.scratch("big"), linux.entry(1, "big", 0o100644, data) + linux.entry(2, "TRAILER!!!", 0, b""))
    step = {"name": "linux", "boot": "fs:/vmlinuz", "args": "console=ttyS0 panic=-1", "kaslr": True,
            "modules": [{"from": "fs:/first", "string": "a"}, {"from": "fs:/big", "string": "b"}]}
    image = kt.bake(kt.pipeline([step], {"/vmlinuz": SYSTEM.kernel, "/first": first, "/big": big}, console=["com1,115200"]))
    with kt.Machine(kt.qemu_argv("pc,max-ram-below-4g=160M", "1G", "-kernel", image, "-cpu", "max")) as m:
        kt.check(m.wait_for(r'"kchain_handoff":1', 400), "no handoff", m.explain())
        seen = m.console()
    kt.check(f"BIG {hashlib.sha256(data).hexdigest()}" in seen, "the initrd's bytes", seen)
    lies = re.search(r"RAMDISK: \[mem 0x([0-9a-f]+)-", seen)
    kt.check(lies and int(lies[1], 16) >= 4 * GIB, "where the initrd lies", seen)


@kt.test
def errors_say_where_was_no_room():
    step = {"name": "map", "call": "fs:/hello", "memory": "1G"}
    ended = kt.boot(kt.bake(kt.pipeline([step], FILES)), "pc", "1G", ["-cpu", "max"])
    kt.expect_error(ended, "no-space", r"^fs:/hello: no room for 1073741824 bytes between 0x100000 and 0x200000000000: the largest free place there has \d+$")
    # A 32-bit kernel has no use for the memory above. The module can't stay where it lies: the kernel comes there.
    big = kt.write_bytes(kt.scratch("big"), bytes(48 * MIB))
    step = {"name": "last", "boot": "fs:/found-multiboot2", "modules": [{"from": "fs:/big", "string": "big"}]}
    image = kt.bake(kt.pipeline([step], {**FILES, "/big": big}))
    ended = kt.boot(image, "pc,max-ram-below-4g=64M", "1G", ["-cpu", "max"])
    kt.expect_error(ended, "no-space", r"^fs:/found-multiboot2: module 0: no room for 50331648 bytes between 0x100000 and 0xffffffff: "
                                       r"the largest free place there has \d+$")


@kt.test
def six_windows_of_1_gib():
    if available_mib() < 10240:
        raise kt.Skip("less than 10 GiB of memory are free")
    step = {"name": "map", "call": "fs:/hello", "memory": "1G", "fanout": {"count": 6, "concurrency": 6}}
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), "pc", "16G", ["-cpu", "max", "-smp", 7], hang_after_s=600))
    at = windows(ended)
    kt.check(len(at) == 6 and at[0] >= 4 * GIB and all(b - a >= GIB for a, b in zip(at, at[1:])), "windows", [hex(a) for a in at])


kt.main()
