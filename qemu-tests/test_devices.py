#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Devices assigned to called kernels: each is one kernel's alone, works there, and does nothing when that kernel's turn is over."""
import hashlib
import re

import kt

KERNELS = ("disk", "arp", "abandon", "echo", "clobber", "hello", "acts")
FILES = {"/" + name: f"build/kernels/{name}.elf" for name in KERNELS}
BLOCK = {"a": {"match": {"serial": "A"}}, "b": {"match": {"serial": "B"}}}
NET = {"lan": {"dhcp": True}}
DEVICE_VIRT = 0xffffc80000000000
ARP = "lan {{net.lan.address}} {{net.lan.gateway|10.0.2.2}}"
GATEWAY_MAC = re.compile(r"52:55:0a:00:02:02")  # QEMU's user network makes it of the address


class Disk:
    """A disk of sectors that are all different."""

    def __init__(self, serial, size_bytes=1 << 20, options=""):
        data = b"".join(hashlib.sha512(f"{serial}{n}".encode()).digest() for n in range(size_bytes // 64))
        self.qemu = kt.virtio_disk(kt.write_bytes(kt.scratch(serial), data) + options, serial, "disk" + serial)
        self.result = {"sectors": size_bytes // 512, "sector_bytes": 512, "read": size_bytes // 512, "sha256": hashlib.sha256(data).hexdigest()}


def two_disks():
    return Disk("A"), Disk("B", 3 << 19)


def read(name, **more):
    return {"name": name, "call": "fs:/disk", "args": more.pop("args", name), **more}


def run(steps, qemu, cpus=1, machine="pc", status=kt.OK, **more):
    image = kt.bake(kt.pipeline(steps, {**FILES, **more.pop("files", {})}, **more))
    return kt.expect_end(kt.boot(image, machine, "128M", ["-cpu", "max", "-smp", cpus, *qemu], hang_after_s=300), status)


def results(ended):
    return ended.of("handoff")[-1]["doc"]["results"]


def side_by_side(cpus, machine, each=1):
    def test():
        a, b = two_disks()
        step = read("map", args="{{self.input|}}", devices={"a": 0, "b": 1}, fanout={"list": ["a", "b", "b", "a"], "require": 2, "cpus": each})
        ended = run([step], a.qemu + b.qemu, cpus, machine, block=BLOCK)
        left = results(ended)["map"]
        kt.check(left["result"][:2] == [{"name": "a", **a.result}, {"name": "b", **b.result}], "what the disks' kernels left", left)
        none = [{"name": n, "error": f"{n}: it is not assigned to this kernel"} for n in ("b", "a")]
        kt.check(left["result"][2:] == none and {f["index"] for f in kt.failed(left)} == {2, 3}, "kernels without a disk", left)
    return test


for processors, kind in ((1, "pc"), (3, "pc"), (3, "q35"), (5, "pc")):
    kt.add_test(f"two_disks_for_two_kernels_on_{kind}_with_{processors}_processors", side_by_side(processors, kind))
kt.add_test("two_disks_for_two_kernels_of_three_processors", side_by_side(7, "pc", 3))


@kt.test
def one_kernel_has_several():
    a, b = two_disks()
    steps = [{"name": "echo", "call": "fs:/echo", "devices": {"a": 1, "lan": 1, "b": 0}, "fanout": {"count": 3}},
             {"name": "net", "call": "fs:/arp", "args": ARP, "devices": {"a": 0, "lan": 0, "b": 0}}]
    ended = run(steps, a.qemu + b.qemu + kt.USER_NET, 3, block=BLOCK, net=NET)
    assigned = [r["handoff"]["self"].get("devices") for r in results(ended)["echo"]["result"]]
    kt.check(assigned == [["b"], ["a", "lan"], None], "self.devices", assigned)
    handoff = [h["doc"] for h in ended.of("handoff") if h.get("step") == "net"][0]
    kt.check(handoff["self"]["devices"] == ["a", "b", "lan"], "self.devices of a call", handoff["self"])
    kt.check(GATEWAY_MAC.fullmatch(results(ended)["net"]["result"]["mac"]), "the card", results(ended)["net"])


@kt.test
def a_disk_goes_from_step_to_step_and_facts_stay():
    a, b = two_disks()
    steps = [read("one", args="a", devices={"a": 0}), read("two", args="a 7 9", devices={"a": 0}), read("none", args="a", on_error="continue"),
             read("map", args="a", devices={"a": 1}, fanout={"count": 2, "require": 1}), read("last", args="b {{block.b.bytes}} 1", devices={"b": 0}, on_error="continue")]
    ended = run(steps, a.qemu + b.qemu, 2, block=BLOCK)
    left = results(ended)
    kt.check(left["one"]["result"] == {"name": "a", **a.result} and left["map"]["result"] == [left["none"]["result"], left["one"]["result"]], "results", left)
    kt.check(left["two"]["result"]["read"] == 9 and left["two"]["result"]["sha256"] != a.result["sha256"], "a part of it", left["two"])
    kt.check(left["none"]["result"]["error"] == "a: it is not assigned to this kernel", "none", left["none"])
    kt.check(re.fullmatch(r"b: sectors past its end \(1, 1572864, 3072\)", left["last"]["result"]["error"]), "past the end", left["last"])
    entries = [h["doc"]["block"] for h in ended.of("handoff")]
    kt.check(all(e == entries[0] for e in entries) and entries[0]["a"]["status"] == "configured", "block entries", entries)


def in_flight(cpus, each=1):
    """While its disk has most of its reads to do, a kernel is gone; the next one in its window sees nothing of them."""
    def test():
        disks = [Disk(n, options=",throttling.bps-total=131072") for n in "FHE"]  # half a MiB is asked for
        step = {"name": "map", "call": "fs:/abandon", "args": "{{self.input|}}", "devices": {"f": 0, "h": 2, "e": 4}, "timeout": "2s",
                "fanout": {"list": ["fault", "watch 500", "hang", "watch 500", "exit", "watch 500"], "concurrency": 1, "require": 4, "cpus": each}}
        ended = run([step], sum((d.qemu for d in disks), []), cpus, block={n.lower(): {"match": {"serial": n}} for n in "FHE"})
        left = results(ended)["map"]
        kt.check(all(r and r["changed"] == 0 for r in left["result"][1::2]), "the memory of the others", left)
        kt.check({f["index"]: f["status"] for f in kt.failed(left)} == {0: "fault", 2: "timeout"}, "how they ended", left)
    return test


for processors, of_each in ((1, 1), (2, 1), (3, 2)):
    kt.add_test(f"reads_in_flight_on_{processors}_processors_{of_each}_a_kernel", in_flight(processors, of_each))


@kt.test
def a_retry_gets_the_disk_again_reset():
    for cpus in (1, 3):
        disk = Disk("A", options=",throttling.bps-total=4194304")
        first = kt.read_bytes(disk.qemu[1].split("file=")[1].split(",")[0])[0]
        step = {"name": "map", "call": "fs:/abandon", "args": "{{self.attempt}} fault hang fault wait", "devices": {"a": 1}, "timeout": "2s",
                "fanout": {"count": 2, "require": 1}, "retries": 3}
        left = results(run([step], disk.qemu, cpus, block={"a": {}}))["map"]
        kt.check(left["result"] == [None, {"reads": 16, "sum": 16 * first}], "the reads at the last attempt", left)
        kt.check(left["retried"] == 6 and [f["exit"] for f in kt.failed(left)] == [3], "the kernel without it", left)


@kt.test
def a_call_that_abandons_its_disk_harms_no_later_one():
    disk = Disk("A", options=",throttling.bps-total=131072")
    steps = []
    for n, way in enumerate(("fault", "hang", "exit")):
        steps += [{"name": f"{way}", "call": "fs:/abandon", "args": way, "devices": {"a": 0}, "timeout": "1s", "on_error": "continue"},
                  {"name": f"watch{n}", "call": "fs:/abandon", "args": "watch 500"}]
    ended = run(steps, disk.qemu, block={"a": {}})
    left = results(ended)
    kt.check([left[w]["status"] for w in ("fault", "hang", "exit")] == ["fault", "timeout", "ok"], "how they ended", left)
    kt.check(all(left[f"watch{n}"]["result"]["changed"] == 0 for n in range(3)), "the memory of the others", left)


@kt.test
def many_kernels_begin_and_end_with_devices_at_once():
    """Six disks on seven processors, some of whose kernels are stopped in the middle; one disk and one card lie behind a bridge."""
    disks = [Disk(str(n), 1 << 16, ",throttling.bps-total=1048576" * (n % 2)) for n in range(6)]
    bridge = ["-device", "pci-bridge,id=bridge,chassis_nr=1", "-netdev", "user,id=lab,restrict=on,net=10.0.3.0/24", "-device", "virtio-net-pci,netdev=lab,bus=bridge,addr=2"]
    disks[5].qemu[3] += ",bus=bridge,addr=1"
    block = {f"d{n}": {"match": {"serial": str(n)}} for n in range(6)}
    net = {"lan": {"match": {"mac": "52:54:00:12:34:56"}, "dhcp": True}, "lab": {"dhcp": True}}
    steps = []
    for turn in range(2):
        steps += [read(f"read{turn}", args="{{self.input|}}", devices={f"d{n}": n for n in range(6)}, fanout={"list": list(block)}),
                  {"name": f"leave{turn}", "call": "fs:/abandon", "args": "{{self.input|}}", "devices": {f"d{n}": n for n in range(6)}, "timeout": "1s",
                   "fanout": {"list": ["fault", "hang", "exit", "hang", "fault", "hang"], "require": 1}, "retries": 1},
                  {"name": f"ask{turn}", "call": "fs:/arp", "args": "{{self.input|}}", "devices": {"lan": 0, "lab": 1},
                   "fanout": {"list": ["lan 10.0.2.15 10.0.2.2", "lab 10.0.3.15 10.0.3.2"]}}]
    ended = run(steps, sum((d.qemu for d in disks[:5]), []) + kt.USER_NET + bridge + disks[5].qemu, 7, block=block, net=net)
    left = results(ended)
    place = ended.of("handoff")[0]["doc"]["block"]["d5"]["pci"]
    kt.check(not place.startswith("0000:00:"), "the disk behind the bridge", place)
    for turn in range(2):
        kt.check(left[f"read{turn}"]["result"] == [{"name": f"d{n}", **d.result} for n, d in enumerate(disks)], "digests", left[f"read{turn}"])
        kt.check(left[f"leave{turn}"]["ok"] == 1 and left[f"leave{turn}"]["retried"] == 5, "left", left[f"leave{turn}"])
        kt.check([r["mac"] for r in left[f"ask{turn}"]["result"]] == ["52:55:0a:00:02:02", "52:55:0a:00:03:02"], "answers", left[f"ask{turn}"])


@kt.test
def an_isolated_kernel_finds_no_bus():
    step = read("one", args="a", isolation="svm", on_error="continue", memory="8M")
    ended = run([step], Disk("A").qemu, block={"a": {}})
    kt.check(results(ended)["one"]["result"] == {"name": "a", "error": "a: it is not where the handoff says"}, "isolated", results(ended))


@kt.test
def a_card_answers_in_a_kernel_and_its_lease_stays_a_fact():
    step = {"name": "map", "call": "fs:/arp", "args": ARP, "devices": {"lan": 1}, "fanout": {"count": 2, "require": 1}}
    # The inner link is handed the lease, so its stage touches no card, until it assigns it.
    inner = kt.bake(kt.pipeline([{**step, "name": "inner"}], FILES, net=NET, name="inner"))
    for cpus in (1, 3):
        ended = run([step, {**step, "name": "again"}, {"name": "next", "boot": "fs:/inner"}], kt.USER_NET, cpus, net=NET, files={"/inner": inner})
        left = results(ended)
        for name in ("map", "again", "inner"):
            kt.check(left[name]["result"][0] == {"name": "lan", "error": "lan: it is not assigned to this kernel"}, "the kernel without a card", left)
            kt.check(left[name]["result"][1] == {"name": "lan", "own": "52:54:00:12:34:56", "link": True, "mac": "52:55:0a:00:02:02"}, "the answer", left)
        entries = [h["doc"]["net"]["lan"] for h in ended.of("handoff")]
        kt.check(entries[0]["status"] == "configured" and all(e == entries[0] for e in entries), "the lease", entries)


@kt.test
def what_is_absent_is_reported_with_its_reason():
    block = {"data": {"match": {"serial": "DATA01"}, "need": "optional"}}
    net = {"lan": {"dhcp": True, "need": "optional"}}
    steps = [read("one", args="data", devices={"data": 0}, on_error="continue"),
             {"name": "two", "call": "fs:/arp", "args": "lan 10.0.0.1 10.0.0.2", "devices": {"lan": 0, "data": 1}, "fanout": {"count": 2, "require": 0}}]
    ended = run(steps, Disk("OTHER").qemu, 2, block=block, net=net)
    left = results(ended)
    kt.check(left["one"]["result"]["error"] == "data: no disk with serial DATA01, but 1 other", "disk", left["one"])
    kt.check(left["two"]["result"][0]["error"] == "lan: no network interface left that a driver knows", "interface", left["two"])
    kt.check(ended.of("handoff")[0]["doc"]["self"]["devices"] == ["data"], "self.devices", ended.of("handoff")[0]["doc"]["self"])
    kt.expect_error(kt.boot(kt.bake(kt.pipeline(steps, FILES, block={"data": {}}, net=net))), "device-missing", "data: required, but it is absent: no disk")


@kt.test
def a_handoff_that_names_a_wrong_place_is_not_believed():
    def with_place(pci, need):
        lan = {"status": "configured", "pci": pci, "mac": "52:54:00:12:34:56", "addresses": ["10.0.2.15/24"]}
        handoff = {"kchain_handoff": 1, "boot_id": "", "self": {}, "links": [], "clock": {}, "net": {"lan": lan}}
        step = {"name": "map", "call": "fs:/arp", "args": "lan 10.0.2.15 10.0.2.2", "devices": {"lan": 0}, "on_error": "continue"}
        image = kt.bake(kt.pipeline([step], FILES, net={"lan": {"dhcp": True, "need": need}}))
        path = kt.write_json(kt.scratch("kchain-handoff"), handoff)
        return kt.boot(image, qemu=["-initrd", path, *kt.USER_NET, "-device", "virtio-rng-pci,addr=9"])
    for pci in ("0000:00:1e.7", "0000:00:09.0", "0001:00:03.0", ""):
        ended = kt.expect_end(with_place(pci, "optional"))
        error = results(ended)["map"]["result"]["error"]
        kt.check(error == f"lan: {pci}: no device that the driver knows", f"at {pci!r}", error)
        kt.expect_error(with_place(pci, "required"), "device-missing", f"lan: required, but {pci}: no device that the driver knows", kt.OK)


@kt.test
def nobody_else_sees_the_registers():
    disk = Disk("A")
    step = {"name": "map", "call": "fs:/clobber", "args": hex(DEVICE_VIRT), "devices": {"a": 0}, "fanout": {"count": 4, "require": 0}}
    for cpus in (1, 3):
        left = results(run([step, read("after", args="a", devices={"a": 0})], disk.qemu, cpus, block={"a": {}}))
        faults = [f["fault"] for f in kt.failed(left["map"])]
        kt.check([f["address"] for f in faults] == [hex(DEVICE_VIRT)] * 4 and len(left["map"]["failures"]) == 1, "faults", faults)
        kt.check([f["error_code"] for f in faults] == ["0x3", "0x2", "0x2", "0x2"], "it may read the list, others see nothing (APM 8.4.2)", faults)
        kt.check(left["after"]["result"] == {"name": "a", **disk.result}, "the disk after it", left["after"])


@kt.test
def a_booted_kernel_has_them_all():
    a, b = two_disks()
    for args, wanted in (("b", {"name": "b", **b.result}), ("a 5 1", None), ("c", "c: the handoff does not know it"),
                         ("d", "d: no disk with serial D, but 2 others")):
        image = kt.bake(kt.pipeline([{"name": "next", "boot": "fs:/disk", "args": args}], FILES,
                                    block={**BLOCK, "d": {"match": {"serial": "D"}, "need": "optional"}}))
        ended = kt.boot(image, qemu=a.qemu + b.qemu)
        left = ended.of("exit")[-1]
        if isinstance(wanted, str):
            kt.check(left["status"] == 3 and left["result"]["error"] == wanted, "absent", ended)
            continue
        kt.check(left["status"] == 0 and (wanted is None or left["result"] == wanted), "booted", ended)
    image = kt.bake(kt.pipeline([{"name": "next", "boot": "fs:/arp", "args": ARP}], FILES, net=NET))
    left = kt.expect_end(kt.boot(image, qemu=kt.USER_NET)).of("exit")[-1]
    kt.check(GATEWAY_MAC.fullmatch(left["result"]["mac"]), "booted with a card", left)
    ended = kt.boot("build/kernels/disk.elf", qemu=["-append", "a", *a.qemu])
    kt.check("a: there is no handoff to say where it is" in ended.console, "booted alone", ended)


@kt.test
def what_can_not_be_assigned_is_refused():
    def refused(step, message, **more):
        value = kt.pipeline([{"name": "map", "call": "fs:/disk", **step}], FILES, block=BLOCK, **more)
        done = kt.kchain("bake", kt.write_json(kt.scratch("p.json"), value), "-o", kt.scratch("image.elf"))
        kt.check(done.exit == 3 and message in done.err, message, done)
    fan = {"fanout": {"count": 3}}
    refused({"devices": {"c": 0}}, "steps[0].devices.c: there is neither an interface nor a disk of that name")
    refused({"devices": {"a": 0}}, "steps[0].devices.a: there are an interface and a disk of that name", net={"a": {"dhcp": True}})
    refused({"devices": {"a": 1}}, "steps[0].devices.a: there is no kernel 1: the step has 1, counted from 0")
    refused({"devices": {"a": 0, "b": 3}, **fan}, "steps[0].devices.b: there is no kernel 3: the step has 3, counted from 0")
    refused({"devices": {"a": 0}, "isolation": "svm"}, "steps[0].devices: only a native kernel can have devices, not one under isolation svm")
    refused({"call": "fs:/acts", "devices": {"a": 0}}, "fs:/acts: only a native kernel can have devices, not multiboot1")
    # How many files there are is known when they are listed.
    each = {"name": "map", "call": "fs:/disk", "devices": {"b": 2}, "fanout": {"each": "fs:/texts/*"}}
    image = kt.bake(kt.pipeline([each], {**FILES, "/texts/a": "README.md", "/texts/b": "LICENSE"}, block=BLOCK))
    message = "map.devices.b: there is no kernel 2: the step has 2, counted from 0"
    done = kt.kchain("plan", image)
    kt.check(done.exit == 3 and message in done.err, "plan", done)
    a, b = two_disks()
    kt.expect_error(kt.boot(image, qemu=a.qemu + b.qemu), "config-device-index", re.escape(message))


@kt.test
def one_disk_under_two_names_is_not_assigned():
    disk = Disk("A")
    block = {"a": {"match": {"serial": "A"}}, "same": {"match": {"index": 0}}}
    for devices in ({"a": 0, "same": 1}, {"a": 1, "same": 1}):
        image = kt.bake(kt.pipeline([read("map", args="a", devices=devices, fanout={"count": 2})], FILES, block=block))
        kt.expect_error(kt.boot(image, qemu=disk.qemu), "device-same", "same: it is the same device as a, which is assigned as well")
    steps = [read("one", args="a", devices={"a": 0}), read("two", args="same", devices={"same": 0})]
    left = results(run(steps, disk.qemu, block=block))
    kt.check(left["two"]["result"] == {"name": "same", **disk.result}, "one after the other", left)


@kt.test
def a_reason_may_hold_anything():
    serial = 'a "b" \\ c'
    ended = run([read("one", args="data", devices={"data": 0}, on_error="continue")], [], block={"data": {"match": {"serial": serial}, "need": "optional"}})
    kt.check(results(ended)["one"]["result"]["error"] == f"data: no disk with serial {serial}", "reason", results(ended))


@kt.test
def plan_shows_who_gets_what():
    steps = [read("one", args="a", devices={"a": 0}), read("map", args="b", devices={"lan": 2, "b": 1}, fanout={"count": 3})]
    image = kt.bake(kt.pipeline(steps, FILES, block=BLOCK, net=NET))
    text = kt.kchain("plan", image).out
    for line in ("  device   block a\n", "  device   block b, to kernel 1\n", "  device   net lan, to kernel 2\n"):
        kt.check(line in text, line, text)
    planned = kt.kchain("plan", image, "--json").json()["steps"]
    kt.check([s.get("devices") for s in planned] == [{"a": 0}, {"b": 1, "lan": 2}], "devices", planned)
    kt.check(planned[0]["handoff"]["self"]["devices"] == ["a"] and "devices" not in planned[1]["handoff"]["self"], "self", planned)


if __name__ == "__main__":
    kt.main()
