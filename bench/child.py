# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel that all loaders start: raw Multiboot 1 with address fields, of exactly the wanted size and address; or the
same by another door.

Its code (child.S) reports the tick of its entry. Behind it come random bytes, so that nothing can be compressed
or left out.
"""
import random
import struct

import kt

OBJECT = "build/bench/child.o"
SETUP = "build/bench/setup.bin"
PIECE_BYTES = 1 << 20
SIZES = (64 << 10, 1 << 20, 64 << 20)
ADDRESS = 128 << 20  # clear of the stage and of every loader
NOTE = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", ADDRESS)


def make(path, size_bytes, address=ADDRESS, object_file=OBJECT, head=b""):
    """Writes the child that is to lie at the physical `address`, behind `head`; returns the path."""
    linked, code = kt.scratch("child.elf"), kt.scratch("child.bin")
    end = address + size_bytes - len(head)
    for argv in (
        ["ld", "-m", "elf_i386", f"-Ttext={address:#x}", f"--defsym=CHILD_END={end}", "-o", linked, object_file],
        ["objcopy", "-O", "binary", "-j", ".text", linked, code],
    ):
        done = kt.command(argv)
        kt.check(done.exit == 0, "the child cannot be linked", done)
    filler = random.Random(size_bytes)
    with open(path, "wb") as f:
        f.write(head + kt.read_bytes(code))
        kt.check(f.tell() <= size_bytes, f"the child's code needs {f.tell()} bytes")
        while f.tell() < size_bytes:
            f.write(filler.randbytes(min(PIECE_BYTES, size_bytes - f.tell())))
    return path


def pvh_head(size_bytes):
    """An ELF32 header with one segment behind it, and the note."""
    loaded = size_bytes - 4096
    head = b"\177ELF\1\1\1".ljust(16, b"\0")
    head += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, ADDRESS, 52, 0, 0, 52, 32, 2, 40, 0, 0)
    head += struct.pack("<8I", 1, 4096, ADDRESS, ADDRESS, loaded, loaded, 7, 4096)
    head += struct.pack("<8I", 4, 116, 0, 0, len(NOTE), len(NOTE), 4, 4) + NOTE
    return head.ljust(4096, b"\0")


def linux_head(size_bytes):
    """A bzImage's setup: for a kernel of 32 bits that prefers to lie at ADDRESS (pref_address, init_size)."""
    head = bytearray(kt.read_bytes(SETUP))
    code = size_bytes - len(head)
    struct.pack_into("<I", head, 0x1F4, (code + 15) // 16)
    struct.pack_into("<QI", head, 0x258, ADDRESS, code)
    return bytes(head)


HEADS = {"multiboot1": lambda size: b"", "multiboot2": lambda size: b"", "pvh": pvh_head, "linux": linux_head}


def make_for(door, path, size_bytes):
    """The child for a door, of exactly that size."""
    object_file = OBJECT if door == "multiboot1" else f"build/bench/child-{door}.o"
    return make(path, size_bytes, ADDRESS, object_file, HEADS[door](size_bytes))


def entered_at(done):
    """The tick of its entry, in a boot that machine.count counted."""
    kt.check(done.first("child")["magic"] == "0x2badb002", "the child was not entered by Multiboot 1")
    return done.ticks("child")
