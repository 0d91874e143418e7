#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""What no machine can boot or call is refused when it is baked, and what some machine can is not."""
import struct

import kt

LOAD = 0x100000
NATIVE = {"/hello": "build/kernels/hello.elf", "/acts": "build/kernels/acts.elf"}


def header(flags=0, address=(), video=()):
    """A Multiboot 1 header, section 3.1."""
    words = [0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF, *(address or ([0] * 5 if video else ())), *video]
    return struct.pack(f"<{len(words)}I", *words)


def elf(segments, flags=0, entry=None, wide=False):
    """An ELF file with a header and these segments: physical address, bytes in the file, bytes in memory."""
    head, row = (64, 56) if wide else (52, 32)
    table = head + row * len(segments)
    at = table + 64
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    start = segments[0][0] if entry is None else entry
    form = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    out = ident + struct.pack(form, 2, 62 if wide else 3, 1, start, head, 0, 0, head, row, len(segments), 0, 0, 0)
    for phys, file_bytes, memory_bytes in segments:
        if wide:
            out += struct.pack("<IIQQQQQQ", 1, 7, at, phys, phys, file_bytes, memory_bytes, 1)
        else:
            out += struct.pack("<IIIIIIII", 1, at, phys, phys, file_bytes, memory_bytes, 7, 1)
        at += file_bytes
    return out + header(flags).ljust(64, b"\0") + b"\xf4" * sum(s[1] for s in segments)


def by_pvh():
    """An ELF file with a note that has its entry for PVH, and nothing else to start it by."""
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", LOAD)
    head = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, LOAD, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 256, LOAD, LOAD, 64, 64, 1)
    return (head + load + struct.pack("<IIQQQQQQ", 4, 4, 320, 0, 0, len(note), len(note), 4)).ljust(256, b"\0") + b"\xf4" * 64 + note


def flat(load=LOAD, header_at=None, load_end=0, bss_end=0, entry=None, file_bytes=4096, flags=0, offset=0):
    address = (load + offset if header_at is None else header_at, load, load_end, bss_end, load + 64 if entry is None else entry)
    return (bytes(offset) + header(1 << 16 | flags, address)).ljust(file_bytes, b"\xf4")


def bake(kernel, step=None, files=None):
    path = kt.write_bytes(kt.scratch("kernel"), kernel)
    step = {"name": "s", **(step or {"boot": "fs:/k"})}
    pipeline = kt.write_json(kt.scratch("p.json"), kt.pipeline([step], {"/k": path, **(files or {})}))
    return kt.kchain("bake", pipeline, "-o", kt.scratch("image.elf"))


def refused(label, done, message, where="steps[0].boot"):
    kt.check(done.exit == 3 and f": {where}: " in done.err and kt.re.search(message, done.err), f"{label}: not refused as {message}", done)


def taken(label, done):
    kt.check(done.exit == 0, f"{label}: refused", done)


@kt.test
def segments():
    for wide in (False, True):
        taken("one", bake(elf([(LOAD, 64, 4096)], wide=wide)))
        taken("two that touch", bake(elf([(LOAD, 64, 4096), (LOAD + 4096, 64, 64)], wide=wide)))
        taken("low memory", bake(elf([(0x10000, 64, 0x80000)], wide=wide)))
        taken("far up", bake(elf([(0xD0000000, 64, 4096)], wide=wide)))
        refused("overlap", bake(elf([(LOAD, 64, 4097), (LOAD + 4096, 64, 64)], wide=wide)), "segments 0 and 1 overlap in memory at 0x101000 to 0x101001")
        refused("the same", bake(elf([(LOAD, 64, 64), (LOAD, 64, 64)], wide=wide)), "overlap")
        refused("in the first page", bake(elf([(0x800, 64, 64)], wide=wide)), "interrupt vectors")
        refused("the firmware's memory", bake(elf([(0x9F000, 64, 0x2000)], wide=wide)), "does not lie in available memory")
        refused("entry", bake(elf([(LOAD, 64, 64)], entry=LOAD + 64, wide=wide)), "the entry point 0x100040 lies in no segment")
        refused("cut", bake(elf([(LOAD, 64, 64)], wide=wide)[:-1]), "64 bytes at .* lie outside the file")
    refused("above 4 GiB", bake(elf([(1 << 32, 64, 64)], wide=True)), "above 4 GiB")
    refused("across 4 GiB", bake(elf([((1 << 32) - 64, 64, 65)], wide=True)), "above 4 GiB")


@kt.test
def address_fields():
    taken("plain", bake(flat()))
    taken("header further on", bake(flat(offset=0x100, entry=LOAD + 0x200)))
    taken("part of the file, and more memory", bake(flat(load_end=LOAD + 100, bss_end=LOAD + 0x10000)))
    for label, kernel, message in (
            ("header below load", flat(header_at=LOAD - 4), "header_addr 0xffffc lies below load_addr"),
            ("load before the file", flat(load=LOAD, header_at=LOAD + 64), "load_addr 0x100000 is 64 bytes below header_addr"),
            ("nothing to load", flat(load_end=LOAD), "load_end_addr 0x100000 is not above load_addr"),
            ("end below load", flat(load_end=LOAD - 1), "load_end_addr"),
            ("more than the file has", flat(load_end=LOAD + 4097), "4097 bytes from offset .* are to be loaded, the file has 4096"),
            ("memory ends in the file", flat(bss_end=LOAD + 4095), "bss_end_addr 0x100fff lies below the end of the loaded bytes"),
            ("entry below", flat(entry=LOAD - 1), "entry_addr 0xfffff lies outside"), ("entry behind", flat(entry=LOAD + 4096), "entry_addr 0x101000 lies outside"),
            ("wraps", flat(load=0xFFFFF800), "above 4 GiB"), ("first page", flat(load=0x100), "interrupt vectors")):
        refused(label, bake(kernel), message)


@kt.test
def every_flag_that_is_not_known():
    for bit in range(3, 16):
        for make in (lambda flags: elf([(LOAD, 64, 4096)], flags), lambda flags: flat(flags=flags)):
            refused(f"bit {bit}", bake(make(1 << bit)), f"requires bit {bit} ")
    for bit in (0, 1, *range(17, 32)):
        taken(f"bit {bit}", bake(elf([(LOAD, 64, 4096)], 1 << bit)))


@kt.test
def too_many_modules():
    kernel = elf([(LOAD, 64, 4096)])
    for count, good in ((4095, True), (4096, False)):
        done = bake(kernel, {"boot": "fs:/k", "modules": [{"from": "fs:/k", "string": "m"}] * count})
        (lambda: taken(count, done) if good else refused(count, done, "4096 modules; a kernel can be given 4095", "steps[0].modules"))()


@kt.test
def arguments_that_are_too_long():
    kernel = elf([(LOAD, 64, 4096)])
    taken("the most", bake(kernel, {"boot": "fs:/k", "args": "x" * 65536}))
    refused("one more", bake(kernel, {"boot": "fs:/k", "args": "x" * 65537}), "65537 bytes of arguments; a command line has room for 65536", "steps[0].args")
    refused("with a fact", bake(kernel, {"boot": "fs:/k", "args": "x" * 65537 + "{{boot_id}}"}), "65537 bytes of arguments", "steps[0].args")
    taken("its default may be left out", bake(kernel, {"boot": "fs:/k", "args": "x" * 60000 + "{{state.x|" + "y" * 6000 + "}}"}))


@kt.test
def calls_that_can_not_be():
    small = elf([(LOAD, 64, 0x200000)])
    for label, step, message, where in (
            ("isolated, too small", {"call": "fs:/k", "isolation": "svm", "memory": "2M"}, "its memory of 2097152 bytes is too small", "steps[0].memory"),
            ("fixed, too small", {"call": "fs:/k", "memory": "1M"}, "its memory of 1048576 bytes is too small", "steps[0].memory"),
            ("fixed, no room for the mailbox", {"call": "fs:/k", "memory": "2M"}, "its memory of 2097152 bytes is too small", "steps[0].memory")):
        refused(label, bake(small, step), message, where)
    taken("by PVH, booted", bake(by_pvh()))
    for more in ({}, {"isolation": "svm", "memory": "4M"}, {"fanout": {"count": 2}}):
        refused("by PVH, called", bake(by_pvh(), {"call": "fs:/k", **more}), "a kernel that is started by PVH can't be called\n  hint: boot it", "steps[0].call")
    taken("isolated, enough", bake(small, {"call": "fs:/k", "isolation": "svm", "memory": "4M"}))
    taken("fixed, enough", bake(small, {"call": "fs:/k", "memory": "3M"}))
    refused("fixed, in the firmware's memory", bake(elf([(0x10000, 64, 64)]), {"call": "fs:/k", "memory": "1M"}), "the firmware's", "steps[0].call")
    refused("isolated, far up", bake(elf([(0x8000000, 64, 64)]), {"call": "fs:/k", "isolation": "svm", "memory": "4M"}), "too small", "steps[0].memory")
    refused("a screen that an isolated machine lacks", bake(elf([(LOAD, 64, 64)]), {"call": "fs:/linear", "isolation": "svm", "memory": "4M", "video": "required"},
                                                            {"/linear": "build/kernels/acts-linear.elf"}), "1024x768, 32 bits a pixel", "steps[0].call")


@kt.test
def native_kernels_that_can_not_be_called():
    hello = kt.read_bytes("build/kernels/hello.elf")
    at = hello.index(b"KCHAIN\0\0") + 8
    taken("as it is", bake(hello, {"call": "fs:/k"}))
    for label, offset, form, value, step, message, where in (
            ("another ABI", 0, "<I", 7, {}, "built for native ABI 7", "steps[0].call"),
            ("a huge stack", 4, "<I", 2 << 20, {"memory": "1M"}, "the window of 1048576 bytes is too small: at least", "steps[0].memory"),
            ("a huge heap", 16, "<Q", 1 << 40, {}, "the window of 1048576 bytes is too small", "steps[0].call"),
            ("a heap near 2^64", 16, "<Q", (1 << 64) - 1, {"memory": "1G"}, "the window of 1073741824 bytes is too small", "steps[0].memory"),
            ("stacks of many processors", 4, "<I", 64 << 10, {"memory": "1M", "fanout": {"count": 1, "cpus": 16}}, "is too small: at least", "steps[0].memory")):
        changed = bytearray(hello)
        changed[at + offset:at + offset + struct.calcsize(form)] = struct.pack(form, value)
        refused(label, bake(bytes(changed), {"call": "fs:/k", **step}), message, where)


@kt.test
def all_steps_are_reported_at_once():
    files = {"/good": elf([(LOAD, 64, 64)]), "/overlap": elf([(LOAD, 64, 64), (LOAD, 64, 64)]), "/flag": flat(flags=8), "/text": b"no kernel\n"}
    paths = {path: kt.write_bytes(kt.scratch("kernel"), data) for path, data in files.items()}
    steps = [{"name": f"s{i}", "call": f"fs:{path}", "isolation": "svm", "on_error": {"boot": f"fs:{path}"}} for i, path in enumerate(files)]
    done = kt.kchain("bake", "--json", kt.write_json(kt.scratch("p.json"), kt.pipeline(steps, paths)), "-o", kt.scratch("image.elf"))
    kt.check(done.exit == 3, "not refused", done)
    reported = [(e["path"], e["slug"]) for e in done.json()["errors"]]
    slugs = (("elf-segments-overlap", 1), ("multiboot-unknown-flag", 2), ("not-a-kernel", 3))
    wanted = [(f"steps[{i}].{member}", slug) for slug, i in slugs for member in ("call", "on_error.boot")]
    kt.check(reported == wanted, f"{reported}, wanted {wanted}")


kt.main()
