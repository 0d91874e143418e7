# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel that all loaders start: raw Multiboot 1 with address fields, of exactly the wanted size and address.

Its code (child.S) reports the tick of its entry. Behind it come random bytes, so that nothing can be compressed
or left out.
"""
import random

import kt

OBJECT = "build/bench/child.o"
PIECE_BYTES = 1 << 20
SIZES = (64 << 10, 1 << 20, 64 << 20)
ADDRESS = 128 << 20  # clear of the stage and of every loader


def make(path, size_bytes, address=ADDRESS):
    """Writes the child that is to lie at the physical `address`; returns the path."""
    linked = kt.scratch("child.elf")
    for argv in (
        [
            "ld",
            "-m",
            "elf_i386",
            f"-Ttext={address:#x}",
            f"--defsym=CHILD_END={address + size_bytes}",
            "-o",
            linked,
            OBJECT,
        ],
        ["objcopy", "-O", "binary", "-j", ".text", linked, path],
    ):
        done = kt.command(argv)
        kt.check(done.exit == 0, "the child cannot be linked", done)
    filler = random.Random(size_bytes)
    with open(path, "ab") as f:
        kt.check(f.tell() <= size_bytes, f"the child's code needs {f.tell()} bytes")
        while f.tell() < size_bytes:
            f.write(filler.randbytes(min(PIECE_BYTES, size_bytes - f.tell())))
    return path


def entered_at(done):
    """The tick of its entry, in a boot that machine.count counted."""
    kt.check(done.first("child")["magic"] == "0x2badb002", "the child was not entered by Multiboot 1")
    return done.ticks("child")
