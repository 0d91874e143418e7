#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""docs/MACHINES.md: each way to start an image, with the files and the commands as they stand there."""
import functools
import os
import re
import shlex
import shutil

import kt
import linux
import uefi
import web

PAGE = kt.read_bytes("docs/MACHINES.md").decode()
CPUS = 2
PIPELINE = kt.pipeline([{"name": "hello", "call": "fs:/hello", "fanout": {"count": CPUS}}], {"/hello": "build/kernels/hello.elf"})


def blocks(kind):
    """The page's blocks of that kind, by their names."""
    return dict(re.findall(rf"(?ms)^<!-- {kind}: (\S+) -->\n```\w*\n(.*?)^```$", PAGE))


FILES, RUN, BOOT = blocks("file"), blocks("run"), blocks("boot")


@functools.cache
def image():
    return kt.bake(PIPELINE)


@functools.cache
def folder(what):
    """Where the image and the page's files lie, and the page's commands of that name have been run (None: none)."""
    top = os.path.dirname(kt.scratch("x"))
    shutil.copy(image(), os.path.join(top, "image.elf"))
    for name, text in FILES.items():
        kt.write_bytes(os.path.join(top, name), text.encode())
    if what:
        done = kt.command(["sh", "-eux", "-c", RUN[what]], cwd=top)
        kt.check(done.exit == 0, f"the commands for {what} fail", done)
    return top


def arguments(command, top):
    """Those of a QEMU command of the page, with its files in the folder."""
    words = shlex.split(command)
    kt.check(words[0] == "qemu-system-x86_64", "no QEMU", command)
    words = [re.sub(r"((?:^|file=|tftp=))(image\.iso|image\.elf|image-pvh\.elf|tftp|\.)(?=,|$)", lambda m: m.group(1) + os.path.join(top, m.group(2)), w) for w in words[1:]]
    return [w for w in words if w != "-nographic"]


def start(qemu, door, loader, firmware=(), memory="256M", searched=False):
    """Boots; each has all processors, by the door and the loader that the page names; ACPI's tables are known or searched."""
    machine = [] if "-machine" in qemu else ["-machine", "q35" if firmware else "pc"]
    argv = ["qemu-system-x86_64", "-accel", "tcg", *machine, "-m", memory, "-display", "none", "-nodefaults", "-no-reboot", "-smp", str(CPUS), *firmware, *qemu]
    with kt.Machine(argv) as m:
        status = m.wait_for_end()
        kt.check(status is not None, "hangs", m.explain())
        ended = kt.expect_end(kt.Ended(m, status))
    bootinfo = ended.of("bootinfo")[0]["doc"]
    kt.check(bootinfo["door"] == door and re.match(loader, bootinfo["loader"]), f"{door} by {loader} was wanted", bootinfo)
    kt.check(bootinfo["cpus"] == CPUS and ended.of("result")[0]["machine"]["processors"] == CPUS, "processors", bootinfo)
    kt.check("hello" in ended.console, "the called kernel's text", ended)
    kt.check(("a search found them" in ended.console) == searched, "how ACPI was found", ended)
    return bootinfo


def lines(block):
    return [line for line in block.splitlines() if line.strip()]


@kt.test
def the_iso_starts_as_cd_and_as_stick_on_bios():
    top = folder("iso")
    kt.check(len(lines(BOOT["iso"])) == 2, "a CD and a stick")
    for command in lines(BOOT["iso"]):
        start(arguments(command, top), "multiboot2", "GRUB 2")


@kt.test
def the_iso_starts_as_cd_and_as_stick_on_uefi():
    top = folder("iso")
    for command in lines(BOOT["iso"]):
        bootinfo = start(arguments(command, top), "multiboot2", "GRUB 2", uefi.firmware())
        kt.check(int(bootinfo["efi_system_table"], 16), "not by UEFI", bootinfo)


@kt.test
def grub_starts_it_over_the_network():
    top = folder("pxe")
    (command,) = lines(BOOT["pxe"])
    start(arguments(command, top), "multiboot2", "GRUB 2")
    efi = arguments(command.replace("i386-pc/core.0", "x86_64-efi/core.efi"), top)
    kt.check("boot/grub/x86_64-efi/core.efi" in PAGE, "the boot file for UEFI is not named")
    kt.check("-device virtio-rng-pci" in PAGE, "what newer UEFI firmware needs is not named")
    bootinfo = start([*efi, "-device", "virtio-rng-pci"], "multiboot2", "GRUB 2", uefi.firmware())
    kt.check(int(bootinfo["efi_system_table"], 16), "not by UEFI", bootinfo)


@kt.test
def ipxe_starts_it_from_tftp_and_http():
    top = folder(None)
    (command,) = lines(BOOT["ipxe"])
    start(arguments(command, top), "multiboot1", "iPXE")
    with web.served(os.path.join(top, "boot.ipxe")) as url:
        start(arguments(command.replace("tftp=.,", "").replace("bootfile=boot.ipxe", f"bootfile={url}"), top), "multiboot1", "iPXE")


@kt.test
def linux_starts_it_by_kexec():
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    files = [("kexec", system.kexec), ("image.elf", image()), *system.libraries(system.kexec)]
    script = "export LD_LIBRARY_PATH=/lib PATH=/\n" + RUN["kexec"]
    qemu = ["-kernel", system.kernel, "-initrd", linux.initramfs(system, script, files), "-append", "quiet reboot=t console=ttyS0"]
    for firmware in ((), uefi.firmware()):
        start(qemu, "multiboot1", "kexec", firmware, "512M", bool(firmware))


@kt.test
def qemu_starts_it_on_each_machine():
    commands = lines(BOOT["qemu"])
    kt.check([shlex.split(c)[2] for c in commands] == ["pc", "q35", "microvm"], "machines", commands)
    for command in commands:
        start(arguments(command, folder(None)), "multiboot1", "qemu")


@kt.test
def qemu_starts_it_by_pvh_on_each_machine():
    top = folder(None)
    kt.write_json(os.path.join(top, "pipeline.json"), PIPELINE)
    done = kt.command(["sh", "-eux", "-c", RUN["pvh"].replace("kchain ", f"'{kt.KCHAIN}' ")], cwd=top)
    kt.check(done.exit == 0, "the command for PVH fails", done)
    for command in lines(BOOT["pvh"]):
        start(arguments(command, top), "pvh", "")


@kt.test
def the_page_and_this_test_name_the_same():
    kt.check(set(FILES) == {"grub.cfg", "boot.ipxe"} and set(RUN) == {"iso", "pxe", "kexec", "pvh"} and set(BOOT) == {"iso", "pxe", "ipxe", "qemu", "pvh"}, "blocks", FILES, RUN, BOOT)


if __name__ == "__main__":
    kt.main()
