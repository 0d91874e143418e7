#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""What the firmware knows of the machine reaches the stage, however it was started, and the links behind it."""
import kt
import uefi

CPUS = 4
FILES = {"/hello": "build/kernels/hello.elf"}
FANOUT = {"name": "hello", "call": "fs:/hello", "fanout": {"count": 2 * CPUS}}


def image(links=1):
    """A fan-out on all processors, in each link."""
    files, steps = dict(FILES), [FANOUT]
    if links > 1:
        files["/next"] = image(links - 1)
        steps = [FANOUT, {"name": "next", "boot": "fs:/next"}]
    return kt.bake(kt.pipeline(steps, files, name=f"of{links}"))


def check_all(ended, cpus, links):
    """Each link knows of all processors and starts them. Returns what each got to know of the machine."""
    kt.expect_end(ended)
    bootinfos = [r["doc"] for r in ended.of("bootinfo")]
    used = [r["machine"]["processors"] for r in ended.of("result") if "machine" in r]
    kt.check([d["cpus"] for d in bootinfos] == used == [cpus] * links, f"processors {used}, wanted {cpus} in {links} links", bootinfos, ended)
    return bootinfos


def type_of(bootinfo, address):
    """The memory's type at that address by the map that a link was given."""
    at = int(address, 16)
    return [m["type"] for m in bootinfo["memory"] if int(m["base"], 16) <= at < int(m["base"], 16) + int(m["bytes"], 16)]


@kt.test
def by_multiboot2_on_uefi_all_is_known_in_each_link():
    bootinfos = check_all(uefi.boot(image(3), "multiboot2", "-smp", CPUS), CPUS, 3)
    first = bootinfos[0]
    kt.check(first["door"] == "multiboot2" and bootinfos[1]["door"] == "multiboot1", "doors", bootinfos)
    for key in ("acpi_rsdp", "smbios"):
        kt.check(int(first[key], 16) > 1 << 20 and all(t[key] == first[key] for t in bootinfos), key, [t[key] for t in bootinfos])
    kt.check(int(first["efi_system_table"], 16) and type_of(first, first["acpi_rsdp"]) in ([3], [4]), "tables", first)


@kt.test
def by_multiboot_on_uefi_it_is_searched_and_said_so():
    ended = uefi.boot(image(2), "multiboot", "-smp", CPUS)
    bootinfos = check_all(ended, CPUS, 2)
    said = [line for line in ended.console.splitlines() if "machine  " in line]
    kt.check(len(said) == 1 and f"multiboot1 does not say where ACPI's tables are; a search found them, from {bootinfos[0]['acpi_rsdp']} on" in said[0], "said", said)
    kt.check(all(int(t["smbios"], 16) for t in bootinfos) and bootinfos[0]["acpi_rsdp"] == bootinfos[1]["acpi_rsdp"], "tables", bootinfos)


@kt.test
def without_acpi_the_mp_table_is_read():
    """SeaBIOS lists a processor a package."""
    for machine in ("pc", "q35"):
        ended = kt.boot(image(2), machine + ",acpi=off", qemu=["-smp", f"{CPUS},sockets={CPUS}"])
        bootinfos = check_all(ended, CPUS, 2)
        kt.check(bootinfos[0]["acpi_rsdp"] == "0x0" or machine == "q35", "there is ACPI", bootinfos)
        kt.check("machine  " not in ended.console, "said", ended)


@kt.test
def without_any_table_one_is_used_and_said_so():
    ended = kt.boot(image(), "microvm,acpi=off", qemu=["-smp", CPUS])
    check_all(ended, 1, 1)
    kt.check("machine  no table of the firmware's lists the processors: one is used" in ended.console, "said", ended)


@kt.test
def a_handoff_that_names_a_wrong_place_is_not_believed():
    for wrong in ("0x0", "0x100000", "0xffffffffffffffff", "0x8000000000000000", "", "f0000", "no"):
        handoff = {"kchain_handoff": 1, "boot_id": "", "self": {}, "links": [], "clock": {}, "platform": {"acpi_rsdp": wrong, "smbios": wrong, "cpus": 99}}
        path = kt.write_json(kt.scratch("kchain-handoff"), handoff)
        bootinfos = check_all(kt.boot(image(), "microvm,acpi=off", qemu=["-smp", 2, "-initrd", path]), 1, 1)
        kt.check(bootinfos[0]["acpi_rsdp"] == bootinfos[0]["smbios"] == "0x0", f"{wrong!r} was believed", bootinfos)


if __name__ == "__main__":
    kt.main()
