#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""The handoff that `kchain plan` intends on the host equals the one that echo received, with and without devices, on each
machine type and through each loader. What no plan can know is masked on both sides (docs/HANDOFF.md)."""
import json

import kt

FILES = {"/echo": "build/kernels/echo.elf", "/README.md": "README.md"}
DEVICES = {"net": {"lan": {"dhcp": {"timeout": "5s"}, "need": "optional"}},
           "block": {"data": {"match": {"serial": "DATA01"}, "need": "optional"}}}
MACHINES = ("pc", "q35", "microvm,isa-serial=on")


def images():
    call = {"name": "echo", "call": "fs:/echo", "args": "one {{net.lan.status}}", "state": {"a": 1}}
    call.pop("state")
    boot = {"name": "echo", "boot": "fs:/echo", "args": "two", "modules": [{"from": "fs:/README.md", "string": "readme"}]}
    return (("call", kt.bake(kt.pipeline([call], FILES, state={"a": 1}, **DEVICES))),
            ("boot", kt.bake(kt.pipeline([boot], FILES, state={"a": 1}, **DEVICES))),
            ("boot, handoff first, fs kept", kt.bake(kt.pipeline([dict(boot, handoff={"at": "first"}, fs="keep")], FILES, **DEVICES))))


def devices(machine):
    pci = not machine.startswith("microvm")
    both = kt.USER_NET + kt.virtio_disk(kt.disk(partitions="label: dos\nsize=1M\n")) if pci else []
    return (("no devices", []), ("network and disk", both)) if pci else (("no devices", []),)


def received(ended):
    """The handoff as the kernel says it got it."""
    if ended.of("echo"):
        return ended.of("echo")[0]["doc"]["handoff"]
    return ended.of("result")[0]["result"]["handoff"]


def compare(image, ended, label):
    bootinfo = kt.write_json(kt.scratch("bootinfo.json"), ended.of("bootinfo")[0]["doc"])
    # The devices as this boot found them stand in for a recorded machine.
    found = {k: {r["name"]: r["entry"] for r in ended.of(k)} for k in ("net", "block")}
    devices_file = kt.write_json(kt.scratch("devices.json"), found)
    plan = kt.kchain("plan", image, "--bootinfo", bootinfo, "--devices", devices_file, "--masked", "--json")
    kt.check(plan.exit == 0, f"{label}: plan failed", plan)
    intended = [s for s in plan.json()["steps"] if s["name"] == "echo"][0]["handoff"]
    got = kt.write_json(kt.scratch("received.json"), received(ended))
    masked = kt.kchain("plan", "--mask", got, "--json")
    kt.check(masked.exit == 0, f"{label}: mask failed", masked)
    kt.check(intended == masked.json(), f"{label}: intended and received differ",
             json.dumps(intended, indent=1, sort_keys=True), json.dumps(masked.json(), indent=1, sort_keys=True))


def one(machine):
    def run():
        for kind, image in images():
            for label, qemu in devices(machine):
                ended = kt.expect_end(kt.boot(image, machine, qemu=qemu))
                compare(image, ended, f"{kind}, {machine}, {label}")
    return run


for name in MACHINES:
    kt.add_test("intended equals received: " + name, one(name))


@kt.test
def intended_equals_received_through_grub():
    for kind, image in images():
        with kt.Machine(kt.qemu_argv("pc", "128M", "-cdrom", kt.grub_iso(image))) as m:
            status = m.wait_for_end()
            kt.check(status is not None, "hangs", m.explain())
            ended = kt.expect_end(kt.Ended(m, status))
        compare(image, ended, f"{kind}, GRUB")


@kt.test
def a_screen_goes_through_as_grub_gave_it():
    """Text: graphics GRUB gives only to kernels that ask for them (chain/tests/test_multiboot.c has these)."""
    inner = kt.bake(kt.pipeline([{"name": "echo", "boot": "fs:/echo"}], FILES, name="second"))
    image = kt.bake(kt.pipeline([{"name": "second", "boot": "fs:/second"}], {"/second": inner}))
    with kt.Machine(kt.qemu_argv("pc", "128M", "-vga", "std", "-cdrom", kt.grub_iso(image))) as m:
        status = m.wait_for_end()
        kt.check(status is not None, "hangs", m.explain())
        ended = kt.expect_end(kt.Ended(m, status))
    first, second = [r["doc"].get("framebuffer") for r in ended.of("bootinfo")]
    kt.check(first and first["phys"] == "0xb8000" and (first["width"], first["height"], first["type"]) == (80, 25, 2), "what GRUB gave", first)
    kt.check(second == first and received(ended)["platform"]["framebuffer"] == first, "lost on the way", second)


@kt.test
def a_handoff_passed_by_the_host_is_kept_and_counted():
    handoff = {"kchain_handoff": 1, "state": {"from": "host"}, "x-mine": [1, 2], "links": []}
    path = kt.write_json(kt.scratch("handoff.json"), handoff)
    seen = kt.expect_boot(kt.run(kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], FILES)), "--handoff", path))
    last = seen.result
    kt.check(last["state"]["from"] == "host" and last["x-mine"] == [1, 2], "the host's handoff is lost", last)


@kt.test
def a_chain_of_three_images_counts_its_links():
    inner = kt.bake(kt.pipeline([{"name": "echo", "boot": "fs:/echo"}], FILES, name="third"))
    middle = kt.bake(kt.pipeline([{"name": "third", "boot": "fs:/third"}], {"/third": inner}, name="second"))
    outer = kt.bake(kt.pipeline([{"name": "second", "boot": "fs:/second"}], {"/second": middle}, name="first", state={"n": 1}))
    ended = kt.expect_end(kt.boot(outer))
    handoff = received(ended)
    kt.check([link["name"] for link in handoff["links"]] == ["first", "second", "third"], "links", handoff)
    kt.check(handoff["state"] == {"n": 1}, "state", handoff)
    times = [link["entered_ticks"] for link in handoff["links"]]
    kt.check(times == sorted(times), "clock", handoff["links"])


kt.main()
