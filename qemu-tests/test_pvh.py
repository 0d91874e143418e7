#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""Images in the form for PVH: started by QEMU on each machine, with a handoff and without, and by our own stage in the middle of a chain; and what
`kchain run` makes of either form."""
import os

import kt

MACHINES = ("microvm,isa-serial=on", "pc", "q35")
FIRST, SECOND = "front", "behind"


def image(*args, name=FIRST, steps=None, files=None):
    files = {"/echo": "build/kernels/echo.elf", **(files or {})}
    return kt.bake(kt.pipeline(steps or [{"name": "echo", "call": "fs:/echo", "args": "one two"}], files, name=name), *args)


def heard(ended):
    """What the called kernel says that it found."""
    return kt.expect_end(ended).of("result")[-1]["result"]


def entered(ended):
    return [(record["name"], record["door"]) for record in ended.of("entered")]


@kt.test
def each_machine_starts_one():
    pvh = image("--format", "pvh")
    for machine, ended in zip(MACHINES, kt.in_parallel(lambda m: kt.boot(pvh, m, qemu=["-append", "a b"]), MACHINES)):
        found = heard(ended)
        kt.check(entered(ended) == [(FIRST, "pvh")], f"{machine}: the door", ended)
        kt.check(found["args"] == "one two" and found["handoff"]["state"] == {}, f"{machine}: what the kernel found", found)
        kt.check(found["handoff"]["platform"]["memory"] and found["handoff"]["platform"]["acpi_rsdp"], f"{machine}: the platform", found)


@kt.test
def each_machine_hands_it_a_handoff():
    """QEMU gives it the file alone, without a string: it is told by its first byte."""
    pvh = image("--format", "pvh")
    passed = {"kchain_handoff": 1, "boot_id": "00" * 16, "self": {}, "links": [], "clock": {}, "state": {"limit": 7}}
    path = kt.write_json(kt.scratch("any name"), passed)
    for machine, ended in zip(MACHINES, kt.in_parallel(lambda m: kt.boot(pvh, m, qemu=["-initrd", path]), MACHINES)):
        kt.check(heard(ended)["handoff"]["state"] == {"limit": 7}, f"{machine}: the state", ended)


@kt.test
def a_file_that_is_no_object_is_no_handoff():
    pvh = image("--format", "pvh", steps=[{"name": "echo", "call": "fs:/echo"}])
    ended = kt.boot(pvh, qemu=["-initrd", kt.write_bytes(kt.scratch("blob"), b"[1]")])
    kt.check([link["n"] for link in heard(ended)["handoff"]["links"]] == [0], "links", ended)


@kt.test
def it_is_a_link_like_others_in_the_middle_of_a_chain():
    """Multiboot, PVH, Multiboot and PVH again, each started by the one before: the state goes through."""
    inner, forms = image("--format", "pvh", name="last"), ("multiboot", "pvh", "multiboot")
    for name, form in zip(("third", "second", "first"), forms):
        inner = image("--format", form, name=name, files={"/next": inner},
                      steps=[{"name": "echo", "call": "fs:/echo"}, {"name": "next", "boot": "fs:/next"}])
    passed = {"kchain_handoff": 1, "boot_id": "00" * 16, "self": {}, "links": [], "clock": {}, "state": {"kept": [1, 2]}}
    path = kt.write_json(kt.scratch("kchain-handoff"), passed)
    for ended in kt.in_parallel(lambda m: kt.boot(inner, m, "256M", ["-initrd", path]), MACHINES):
        found = heard(ended)
        kt.check([door for _, door in entered(ended)] == ["multiboot1", "pvh", "multiboot1", "pvh"], "doors", ended)
        kt.check([boot["kernel"] for boot in ended.of("boot")] == ["image"] * 3, "kinds", ended)
        kt.check(found["handoff"]["state"] == {"kept": [1, 2]}, "the state", found)
        kt.check([link["door"] for link in found["handoff"]["links"]] == ["multiboot1", "pvh", "multiboot1", "pvh"], "links", found)


@kt.test
def run_takes_either_form_and_bakes_the_quickest_for_itself():
    for form, door in (("multiboot", "multiboot1"), ("pvh", "pvh")):
        boot = kt.expect_boot(kt.run(image("--format", form), "-M", "microvm", "--handoff", kt.write_json(kt.scratch("h"), {"state": {"n": 3}})))
        kt.check(boot.result["links"][0]["door"] == door and boot.result["state"] == {"n": 3}, form, boot.result)
    path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": "build/kernels/echo.elf"}))
    for args, door in ((("-M", "microvm"), "pvh"), (("-M", "microvm", "--module", "README.md=a"), "multiboot1"), (("-M", "pc"), "multiboot1")):
        boot = kt.expect_boot(kt.run(path, *args))
        kt.check(boot.result["links"][0]["door"] == door, str(args), boot.result)


@kt.test
def run_says_that_qemu_gives_it_no_module():
    done = kt.kchain("run", image("--format", "pvh"), "--module", "README.md", "--json")
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "cmd-one-file", "not refused", done)


@kt.test
def both_forms_hold_the_same_and_are_distinguished():
    forms = {form: image("--format", form) for form in ("multiboot", "pvh")}
    seen = {form: kt.kchain("inspect", "--json", path).json() for form, path in forms.items()}
    kt.check([seen[form]["format"] for form in forms] == list(forms), "formats", seen)
    kt.check(seen["multiboot"]["id"] != seen["pvh"]["id"], "the id covers the form", seen)
    for what in (["ls", "-l"], ["cat"]):
        outs = [kt.kchain(what[0], path, *(what[1:] if what[0] == "ls" else ["/kchain/pipeline.json"])).out.replace(path, "") for path in forms.values()]
        kt.check(outs[0] == outs[1] and outs[0], what[0], outs)
    kt.check(kt.read_bytes(image()) == kt.read_bytes(forms["multiboot"]), "the default is another")
    kt.check(kt.read_bytes(image("--format", "pvh")) == kt.read_bytes(forms["pvh"]), "the same inputs give other bytes")
    kt.check(kt.kchain("verify", forms["pvh"]).exit == 0, "verify")


@kt.test
def what_can_not_be_baked_is_refused_by_name():
    path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": "build/kernels/echo.elf"}))
    done = kt.kchain("bake", path, "--format", "iso", "-o", kt.scratch("x.elf"))
    kt.check(done.exit == 2 and "'iso' is not multiboot or pvh" in done.err, "a form that is not there", done)
    for name in ("x.iso", "x.EFI"):
        done = kt.kchain("bake", path, "--format", "pvh", "-o", kt.scratch(name))
        kt.check(done.exit == 3, name, done)
    isolated = kt.pipeline([{"name": "call", "call": "fs:/image", "isolation": "svm", "memory": "16M"}], {"/image": image("--format", "pvh")})
    done = kt.kchain("bake", kt.write_json(kt.scratch("pipeline.json"), isolated), "-o", kt.scratch("x.elf"), "--json")
    kt.check(done.exit == 3 and "guest-door" in done.out, "an isolated call", done)


@kt.test
def it_is_started_by_multiboot_where_qemu_can_not_read_it():
    """From 256 MiB on a small kernel copies it, which is one for Multiboot, and so goes on by it."""
    large = kt.scratch("large")
    with open(large, "wb") as f:
        f.truncate(256 << 20)
    boot = kt.expect_boot(kt.run(image("--format", "pvh", files={"/large": large}), "-M", "microvm", "--module", "README.md=a"))
    kt.check(boot.result["links"][0]["door"] == "multiboot1", "the door", boot.result)
    os.unlink(large)


kt.main()
