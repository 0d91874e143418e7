# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions from the stage's entry to a booted child's entry, and from reset to the child's entry for everyone.

The same child, in three sizes. Where it lies in the image already (`in place`), the stage only hashes it; where it
has to be moved, it is hashed and moved. The splits are differences between such boots:
hashed: (in place, largest) - (in place, smallest), per byte; moved: (moved, largest) - (in place, largest), per
byte; fixed: (in place, smallest), less what hashing it took. The boot of the size between says how far that is from
linear.
"""
import child
import kexec
import kt
import machine
import peers
import plot

KIB, MIB = 1 << 10, 1 << 20
SIZES = (64 * KIB, MIB, 64 * MIB)
GRUB_CHECKED, KEXEC = "GRUB ISO, checked", "Linux kexec"
IPXE, IPXE_MOST = "iPXE HTTP", MIB  # more takes minutes: the emulated network hands over a few segments at a time
ADDRESS = 128 * MIB  # clear of the stage and of every loader


def image_of(kernel):
    """A pipeline that says the least: one file, one boot, the default consoles and handoff."""
    return kt.bake(kt.pipeline([{"name": "child", "boot": "fs:/child"}], {"/child": kernel}))


def place_in(image, kernel):
    """The physical address at which the image holds the file."""
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", image).json()["parts"]}
    at = kt.read_bytes(image).find(kt.read_bytes(kernel)[:256])
    kt.check(at > 0, "the child is not in the image")
    return int(parts["files"]["phys"], 16) + at - parts["files"]["offset"]


def make_in_place(size):
    """A child that is to lie just where its image holds it. Its address does not change where that is."""
    path = kt.scratch("child")
    at = place_in(image_of(child.make(path, size, ADDRESS)), path)
    image = image_of(child.make(path, size, at))
    kt.check(place_in(image, path) == at, "the image's layout depends on the child's address")
    return image


def boots_of_size(size):
    kernel = child.make(kt.scratch("child"), size, ADDRESS)
    return [
        ("kchain, moved", size, ["-kernel", image_of(kernel)]),
        ("kchain, in place", size, ["-kernel", make_in_place(size)]),
        ("GRUB ISO", size, ["-cdrom", kt.grub_iso(kernel)]),
        (GRUB_CHECKED, size, ["-cdrom", kt.grub_iso(kernel, checked=True)]),
        ("QEMU -kernel", size, ["-kernel", kernel]),
        *([(IPXE, size, None)] if size <= IPXE_MOST else []),
        *([] if kexec.missing() else [(KEXEC, size, kexec.boot(kernel))]),
    ]


def ipxe_boot(size):
    """iPXE loads from a network only; its address is written down, so that it does not wait for a lease."""
    kernel = child.make(kt.scratch("child"), size, ADDRESS)
    with peers.served(kernel) as url:
        return row_of((IPXE, size, peers.ipxe(peers.STATIC, url)))


def row_of(boot):
    name, size, argv = boot
    if not argv:
        return ipxe_boot(size)
    done = machine.count(*argv)
    at = done.ticks("child")
    kt.check(done.first("child")["magic"] == "0x2badb002", f"{name}: the child was not entered by Multiboot 1")
    if not name.startswith("kchain"):
        return {"loader": name, "child_bytes": size, "from_reset": at}
    entered, last = done.ticks("entered"), done.first("boot")
    return {
        "loader": name,
        "child_bytes": size,
        "from_reset": at,
        "from_entry": at - entered,
        "prepare": last["ticks"] - entered,
        "commit": at - last["ticks"],
        "bytes_copied": last["bytes_copied"],
        "bytes_in_place": last["bytes_in_place"],
    }


COLUMNS = ("loader", "child_bytes", "from_reset", "from_entry", "prepare", "commit", "bytes_copied", "bytes_in_place")


def run(out):
    boots = [b for size in reversed(SIZES) for b in boots_of_size(size)]
    rows = kt.in_parallel(row_of, boots)[::-1]
    out.table("instructions", COLUMNS, [[r.get(c, "") for c in COLUMNS] for r in rows])
    at = {(r["loader"], r["child_bytes"]): r for r in rows}

    def ours(name, size):
        return at[name, size]["from_entry"]

    small, middle, large = SIZES
    kt.check(at["kchain, in place", large]["bytes_in_place"] >= large, "the child that lies in place was moved")
    hashed = (ours("kchain, in place", large) - ours("kchain, in place", small)) / (large - small)
    moved = (ours("kchain, moved", large) - ours("kchain, in place", large)) / large
    fixed = round(ours("kchain, in place", small) - hashed * small)
    off = ours("kchain, moved", middle) - fixed - (hashed + moved) * middle
    out.figure("fixed, from the stage's entry to the child's", fixed, "instructions", 1_000_000)
    out.figure(
        "of it behind the boot record (quiesce, commit)", at["kchain, in place", small]["commit"], "instructions"
    )
    out.figure("hashed", hashed, "instructions/byte", 30)
    out.figure("moved", moved, "instructions/byte", 0.2)
    out.figure("1 MiB, moved: measured less fixed, hashed and moved", round(off), "instructions")
    loaders = ("kchain, moved", "GRUB ISO", GRUB_CHECKED, IPXE, KEXEC, "QEMU -kernel")
    for name, size in ((name, size) for size in SIZES for name in loaders):
        if (name, size) in at:
            out.figure(f"{plot.bytes_text(size)} by {name}, from reset", at[name, size]["from_reset"], "instructions")
    out.left_out(f"{plot.bytes_text(large)} by {IPXE}", "its network takes minutes under -icount")
    if kexec.missing():
        out.left_out(KEXEC, kexec.missing())
    series = {name: [(size, at[name, size]["from_reset"]) for size in SIZES if (name, size) in at] for name in loaders}
    out.plot(
        "from-reset",
        plot.lines(
            "From reset to the child's first instruction",
            "QEMU -icount, pc, Multiboot 1; kchain, `GRUB, checked` and kexec verify the child's SHA-256",
            "size of the child",
            "instructions",
            series,
            log_x=True,
            log_y=True,
            show_x=plot.bytes_text,
            x_ticks=SIZES,
        ),
    )
    split = [(plot.bytes_text(size), [fixed, hashed * size, moved * size]) for size in SIZES]
    out.plot(
        "split",
        plot.bars(
            "From the stage's entry to the child's, by what it is for",
            "kchain; QEMU -icount -cpu max (AVX2, no SHA-NI)",
            "size of the child",
            "instructions",
            split,
            ["fixed", "hashed", "moved"],
            log_y=True,
        ),
    )
