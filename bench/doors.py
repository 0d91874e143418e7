# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions from the stage's entry to a child's by each door, beside GRUB's commands for the same doors; and Linux from
its entry to /init, by kchain and by QEMU's own -kernel."""
import boot
import child
import kt
import linux
import machine
import plot

DOORS = ("multiboot1", "multiboot2", "linux", "pvh")
GRUB = {"multiboot1": "multiboot", "multiboot2": "multiboot2", "linux": "linux"}
OURS, PEER = "kchain", "GRUB ISO"
COLUMNS = ("loader", "door", "child_bytes", "from_reset", "from_entry")
ARGS = "console=ttyS0 quiet panic=-1"


def row_of(what):
    loader, door, size = what
    path = child.make_for(door, kt.scratch("child"), size)
    if loader == PEER:
        return [*what, machine.count("-cdrom", kt.grub_iso(path, by=GRUB[door])).ticks("child"), ""]
    done = machine.count("-kernel", boot.image_of(path))
    kt.check(done.first("boot")["kernel"] == door, f"started by another door than {door}", done.first("boot"))
    return [*what, done.ticks("child"), done.ticks("child") - done.ticks("entered")]


def init_of(path):
    """An initramfs whose /init is init.S."""
    return kt.write_bytes(path, linux.entry(1, "init", 0o100755, kt.read_bytes("build/bench/init")) + linux.entry(2, "TRAILER!!!", 0, b""))


def by_kchain(kernel, initrd):
    step = {"name": "linux", "boot": "fs:/vmlinuz", "kaslr": True, "args": ARGS, "modules": [{"from": "fs:/initrd"}]}
    done = machine.count("-kernel", kt.bake(kt.pipeline([step], {"/vmlinuz": kernel, "/initrd": initrd})))
    # Behind the boot record come the commit and the kernel: what the commit takes is part of the figure.
    return done.ticks("child") - done.first("boot")["ticks"]


def by_qemu(kernel, initrd):
    """QEMU enters Linux in real mode: where, a bzImage says that does nothing else."""
    entered = machine.count("-kernel", child.make_for("linux", kt.scratch("setup"), child.SIZES[0]), "-initrd", initrd).ticks("child")
    return machine.count("-kernel", kernel, "-initrd", initrd, "-append", ARGS).ticks("child") - entered


def run(out):
    whats = [(OURS, door, size) for door in DOORS for size in child.SIZES]
    whats += [(PEER, door, size) for door in GRUB for size in child.SIZES]
    rows = kt.in_parallel(row_of, whats)
    out.table("instructions", COLUMNS, rows)
    for loader, door, size, from_reset, from_entry in rows:
        which = f"{plot.bytes_text(size)} by {door}"
        if loader == OURS:
            out.figure(f"{which}, from entry to entry", from_entry, "instructions")
        out.figure(f"{which}, from reset, {loader}", from_reset, "instructions")
    system, why_not = linux.find()
    if not system:
        out.left_out("Linux, from its entry to /init", why_not)
        return
    initrd = init_of(kt.scratch("initrd"))
    ours, theirs = kt.in_parallel(lambda how: how(system.kernel, initrd), [by_kchain, by_qemu])
    out.table("linux", ("loader", "entry_to_init"), [[OURS, ours], ["QEMU -kernel", theirs]])
    out.figure("Linux, from its entry to /init, by kchain", ours, "instructions", theirs)
    out.figure("Linux, from its entry to /init, by QEMU -kernel", theirs, "instructions")
