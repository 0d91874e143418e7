# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""UEFI machines (OVMF), and GRUB as a program for them."""
import os
import shutil

import kt

CODE, VARIABLES = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
MODULES = ("fat", "part_msdos", "iso9660", "multiboot", "multiboot2", "normal", "search", "search_fs_file")


def firmware():
    """QEMU's arguments; what is written to the variables is forgotten."""
    return ["-drive", f"if=pflash,format=raw,readonly=on,file={CODE}", "-drive", f"if=pflash,format=raw,snapshot=on,file={VARIABLES}"]


def grub_program(script, path):
    """Writes GRUB as an EFI application that carries out these lines."""
    config = kt.write_bytes(kt.scratch("grub.cfg"), script.encode())
    done = kt.command(["grub-mkimage", "-O", "x86_64-efi", "-o", path, "-c", config, "-p", "/", *MODULES])
    kt.check(done.exit == 0, "grub-mkimage failed", done)
    return path


def grub_disk(image, verb):
    """QEMU's arguments of a disk whose GRUB boots the image by `verb`: multiboot2 or multiboot."""
    top = kt.scratch("esp")
    os.makedirs(top + "/EFI/BOOT")
    shutil.copy(image, top + "/image.elf")
    grub_program(f"search --set=root --file /image.elf\n{verb} /image.elf\nboot\n", top + "/EFI/BOOT/BOOTX64.EFI")
    return ["-drive", f"format=raw,snapshot=on,file=fat:{top}"]


def boot(image, verb, *qemu, memory="256M"):
    """Starts the image by GRUB on OVMF, and waits for the end."""
    with kt.Machine(kt.qemu_argv("q35", memory, *firmware(), *grub_disk(image, verb), *qemu)) as m:
        status = m.wait_for_end()
        kt.check(status is not None, "hangs", m.explain())
        return kt.Ended(m, status)
