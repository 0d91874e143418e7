# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions from reset to the child's first, for the same child by kchain and by others."""
import boot
import child
import kexec
import kt
import linux
import machine
import peers
import plot

OURS, GRUB, GRUB_CHECKED, IPXE, KEXEC, QEMU = (
    "kchain",
    "GRUB ISO",
    "GRUB ISO, checked",
    "iPXE HTTP",
    "Linux kexec",
    "QEMU -kernel",
)
# More takes minutes: the emulated network hands over a few segments at a time.
MOST_BYTES = {IPXE: 1 << 20}


def by_ipxe(kernel):
    """iPXE loads from a network only; its address is written down, so that it does not wait for a lease."""
    with peers.served(kernel) as url:
        return machine.count(*peers.ipxe(peers.STATIC, url))


def loaders(system):
    """How each boots a child."""
    named = {
        OURS: lambda kernel: machine.count("-kernel", boot.image_of(kernel)),
        GRUB: lambda kernel: machine.count("-cdrom", kt.grub_iso(kernel)),
        GRUB_CHECKED: lambda kernel: machine.count("-cdrom", kt.grub_iso(kernel, checked=True)),
        IPXE: by_ipxe,
        QEMU: lambda kernel: machine.count("-kernel", kernel),
    }
    return {**named, KEXEC: lambda kernel: machine.count(*kexec.boot(system, kernel))} if system else named


def run(out):
    system, why_not = linux.find()
    how = loaders(system)
    boots = [(name, size) for size in reversed(child.SIZES) for name in how if size <= MOST_BYTES.get(name, size)]

    def count(loader_and_size):
        name, size = loader_and_size
        try:
            return child.entered_at(how[name](child.make(kt.scratch("child"), size)))
        except machine.Late:
            if name == OURS:
                raise
            return None

    at = {which: ticks for which, ticks in zip(boots, kt.in_parallel(count, boots)) if ticks}
    out.table("instructions", ("loader", "child_bytes", "from_reset"), [[*b, ticks] for b, ticks in at.items()])
    for name, size in ((name, size) for size in child.SIZES for name in how):
        if (name, size) in at:
            out.figure(f"{plot.bytes_text(size)} by {name}", at[name, size], "instructions")
    for name, size in (which for which in boots if which not in at):
        out.left_out(f"{plot.bytes_text(size)} by {name}", f"not through in {machine.HANG_AFTER_S} s")
    for name in MOST_BYTES:
        out.left_out(f"{plot.bytes_text(child.SIZES[-1])} by {name}", "takes minutes under -icount")
    if not system:
        out.left_out(KEXEC, why_not)
    series = {name: [(size, at[name, size]) for size in child.SIZES if (name, size) in at] for name in how}
    out.plot(
        "from-reset",
        plot.lines(
            "From reset to the child's first instruction",
            "QEMU -icount, pc, Multiboot 1; kchain, `GRUB, checked` and kexec verify the child's SHA-256",
            "size of the child",
            "instructions",
            {name: points for name, points in series.items() if points},
            log_x=True,
            log_y=True,
            show_x=plot.bytes_text,
            x_ticks=child.SIZES,
        ),
    )
