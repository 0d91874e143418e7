#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""Devices behind further root buses are found; those that are there and can't be used are told as that, with the reason."""
import kt

HELLO = {"name": "hello", "call": "fs:/hello"}
FILES = {"/hello": "build/kernels/hello.elf", "/disk": "build/kernels/disk.elf", "/arp": "build/kernels/arp.elf"}
LEGACY = "disable-modern=on,disable-legacy=off"
BLOCK = {"data": {"match": {"serial": "DATA01"}}}
NET = {"lan": {"dhcp": {"timeout": "5s"}}}
# What a device behind each can be plugged into, at which place there. A root bus of PCI Express takes bridges only.
PORT = ["-device", "pxb-pcie,id=root,bus_nr=128,bus=pcie.0", "-device", "pcie-root-port,id=behind,bus=root,addr=5,chassis=1"]
ROOTS = (
    ("q35", PORT, "behind", 0),
    ("q35", ["-device", "pxb-pcie,id=far,bus_nr=250,bus=pcie.0", "-device", "pcie-root-port,id=first,bus=far,addr=1f,chassis=2,slot=2", *PORT], "first", 0),
    ("pc", ["-device", "pxb,id=root,bus_nr=64,bus=pci.0"], "root", 5),
)


def drive(name="d0", size=1 << 20):
    return ["-drive", f"if=none,id={name},format=raw,file={kt.disk(size_bytes=size)}"]


def disk(options="", name="d0", serial="DATA01"):
    return [*drive(name), "-device", f"virtio-blk-pci,drive={name},serial={serial}{options}"]


def card(options="", model="virtio-net-pci"):
    return ["-netdev", "user,id=lan,restrict=on", "-device", f"{model},netdev=lan,romfile=,mac=52:54:00:12:34:56{options}"]


def entries(machine, qemu, **more):
    """What the handoff says of the pipeline's devices."""
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(more.pop("steps", [HELLO]), FILES, **more)), machine, "128M", qemu))
    doc = ended.of("handoff")[-1]["doc"]
    return {**doc["net"], **doc["block"]}, doc


def optional(devices):
    return {name: {**entry, "need": "optional"} for name, entry in devices.items()}


@kt.test
def devices_behind_further_roots_are_used():
    steps = [{"name": "disk", "call": "fs:/disk", "args": "data", "devices": {"data": 0}},
             {"name": "arp", "call": "fs:/arp", "args": "lan {{net.lan.address}} 10.0.2.2", "devices": {"lan": 0}}]
    for machine, root, bus, slot in ROOTS:
        found, doc = entries(machine, [*root, *disk(f",bus={bus},addr={slot}")], block=BLOCK, steps=steps[:1])
        kt.check(found["data"]["status"] == "configured" and int(found["data"]["pci"][5:7], 16) >= 64, f"the disk behind {bus} of {machine}", found)
        kt.check(doc["results"]["disk"]["result"]["read"] == 2048, "read by a kernel", doc["results"])
    found, doc = entries("q35", [*PORT, *card(",bus=behind"), *disk(",bus=pcie.0")], net=NET, block=BLOCK, steps=steps)
    kt.check(found["lan"]["addresses"] == ["10.0.2.15/24"] and found["lan"]["pci"] == "0000:81:00.0" and found["data"]["pci"][5:7] == "00", "the card", found)
    kt.check(doc["results"]["arp"]["status"] == doc["results"]["disk"]["status"] == "ok", "used by kernels", doc["results"])


@kt.test
def disks_are_counted_root_by_root():
    second = disk(",bus=behind", "d1", "SECOND")
    wanted = {"a": {"match": {"index": 0}}, "b": {"match": {"index": 1}}, "c": {"match": {"index": 2}, "need": "optional"}}
    found, _ = entries("q35", [*PORT, *second, *disk(",bus=pcie.0")], block=wanted)
    kt.check([found[n].get("serial") for n in "abc"] == ["DATA01", "SECOND", None], "by number", found)
    kt.check(found["c"]["reason"] == "no disk number 2, but 2 others; 0000:00:1f.2: no driver for it (0x8086:0x2922)", "one too many", found)


@kt.test
def what_can_not_be_used_is_reported_with_the_reason():
    no_modern = "virtio-blk {}: has no virtio 1.x interface"
    cases = (
        ("pc", disk(f",addr=7,{LEGACY}"), {"data": {}}, "present", no_modern.format("0000:00:07.0")),
        ("pc", disk(f",addr=7,{LEGACY}"), {"data": {"match": {"pci": "0000:00:07.0"}}}, "present", no_modern.format("0000:00:07.0")),
        ("pc", disk(f",addr=7,{LEGACY}"), BLOCK, "absent", "no disk with serial DATA01; " + no_modern.format("0000:00:07.0")),
        ("pc", disk(f",addr=7,{LEGACY}"), {"data": {"match": {"pci": "0000:00:08.0"}}}, "absent",
         "no disk at 0000:00:08.0; " + no_modern.format("0000:00:07.0")),
        ("pc", disk(f",addr=7,{LEGACY}") + disk(",addr=8", "d1", "OTHER"), BLOCK, "absent",
         "no disk with serial DATA01, but 1 other; " + no_modern.format("0000:00:07.0")),
        ("pc", [], BLOCK, "absent", "no disk with serial DATA01"),
        ("pc", ["-device", "ich9-ahci,addr=9"], BLOCK, "absent", "no disk with serial DATA01; 0000:00:09.0: no driver for it (0x8086:0x2922)"),
        ("q35", [], BLOCK, "absent", "no disk with serial DATA01; 0000:00:1f.2: no driver for it (0x8086:0x2922)"),
        ("q35", [*PORT, *disk(f",bus=behind,{LEGACY}")], {"data": {}}, "present", no_modern.format("0000:81:00.0")),
        ("microvm", drive(), BLOCK, "absent", "no disk with serial DATA01: this machine has no PCI"),
    )
    for machine, qemu, block, status, reason in cases:
        found, doc = entries(machine, qemu, block=optional(block))
        kt.check(found["data"]["status"] == status and found["data"]["reason"] == reason, f"{status}, {reason} was wanted", found, qemu)
        kt.check(("driver" in found["data"]) == (status == "present"), "driver", found)
        image = kt.bake(kt.pipeline([HELLO], FILES, block=block))
        error = kt.expect_error(kt.boot(image, machine, "128M", qemu), "device-missing").of("error")[0]["message"]
        kt.check(error == f"data: required, but it is {status}: {reason}"[:len(error)], "required", error, doc)


@kt.test
def what_is_to_be_absent_ends_the_boot_where_it_is_there():
    none = {"data": {"match": {"serial": "DATA01"}, "need": "absent"}}
    nothing_else = {"a": {"match": {"serial": "OTHER"}}, "left": {"need": "absent"}}
    no_card = {"lan": {"need": "absent"}}
    by_mac = {"lan": {"match": {"mac": "52:54:00:12:34:56"}, "need": "absent"}}
    other = disk(",addr=8", "d1", "OTHER")
    step = {**HELLO, "when": {"block.data.status": "absent"}}
    for machine, qemu, more, reason in (
            ("pc", [], {"block": none}, None),
            ("q35", [], {"block": none}, None),
            ("pc", other, {"block": none}, None),
            ("pc", other, {"block": nothing_else}, None),
            ("pc", [], {"net": no_card}, None),
            ("pc", [], {"net": by_mac}, None),
            ("pc", disk(",addr=7"), {"block": none}, "there is one: virtio-blk"),
            ("q35", [*PORT, *disk(",bus=behind")], {"block": none}, "there is one: virtio-blk"),
            ("pc", [*other, *disk(",addr=7")], {"block": nothing_else}, "there is one: virtio-blk"),
            ("pc", disk(f",addr=7,{LEGACY}"), {"block": none}, "there is one: virtio-blk 0000:00:07.0: has no virtio 1.x interface"),
            ("pc", card(",addr=7"), {"net": no_card}, "there is one: virtio-net"),
            ("pc", card(",addr=7"), {"net": by_mac}, "there is one: virtio-net"),
            ("pc", card(",addr=7", "e1000"), {"net": by_mac}, "there is one: 0000:00:07.0: no driver for it (0x8086:0x100e)")):
        steps = [step if more.get("block") == none else HELLO]
        if not reason:
            found, doc = entries(machine, qemu, steps=steps, **more)
            absent = [name for name, entry in {**more.get("block", {}), **more.get("net", {})}.items() if entry.get("need") == "absent"]
            kt.check(all(found[name]["status"] == "absent" for name in absent) and doc["results"]["hello"]["status"] == "ok", "absent", doc, qemu)
            continue
        ended = kt.expect_error(kt.boot(kt.bake(kt.pipeline(steps, FILES, **more)), machine, "128M", qemu), "device-present")
        error = ended.of("error")[0]["message"]
        kt.check(error.endswith(f": to be absent, but {reason}"), f"{reason} was wanted", error, qemu)


@kt.test
def cards_that_can_not_be_used_are_reported_with_the_reason():
    by_mac = {"lan": {"match": {"mac": "52:54:00:12:34:56"}, "dhcp": True}}
    cases = (
        ("pc", card(f",addr=7,{LEGACY}"), NET, "present", "virtio-net 0000:00:07.0: has no virtio 1.x interface"),
        ("pc", card(",addr=7", "e1000"), NET, "present", "0000:00:07.0: no driver for it (0x8086:0x100e)"),
        ("pc", card(",addr=7", "e1000"), by_mac, "absent",
         "no network interface with MAC address 52:54:00:12:34:56; 0000:00:07.0: no driver for it (0x8086:0x100e)"),
        ("pc", [], NET, "absent", "no network interface left that a driver knows"),
        ("microvm", ["-netdev", "user,id=lan"], NET, "absent",
         "no network interface left that a driver knows: this machine has no PCI"),
    )
    for machine, qemu, net, status, reason in cases:
        found, _ = entries(machine, qemu, net=optional(net))
        kt.check(found["lan"]["status"] == status and found["lan"]["reason"] == reason, f"{status}, {reason} was wanted", found, qemu)
    kt.expect_error(kt.boot(kt.bake(kt.pipeline([HELLO], FILES, net=NET)), qemu=cases[1][1]), "device-missing",
                    r"lan: required, but it is present: 0000:00:07.0: no driver for it \(0x8086:0x100e\)")


if __name__ == "__main__":
    kt.main()
