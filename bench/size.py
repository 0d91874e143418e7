# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""What the stage adds to an image, and the least memory that an image boots in, beyond its files."""
import os

import child
import kt
import machine
import peers
import plot

KIB = 1 << 10
TICK = "build/bench/tick.elf"
GRAIN_KIB, MOST_KIB = 64, 32 << 10
HANG_AFTER_S = 20
LOW_ADDRESS = 0x10000  # in the first MiB, so that the child needs nothing above it
NET = ["-netdev", "user,id=lan", *peers.NET]


def ends_well(image, memory_kib, qemu):
    with kt.Machine(kt.qemu_argv("pc", f"{memory_kib}K", *machine.ICOUNT[2:], "-kernel", image, *qemu)) as m:
        return m.wait_for_end(HANG_AFTER_S) == kt.OK


def least_memory_kib(image, qemu=()):
    """The least that works, where more works as well."""
    low, high = 0, MOST_KIB
    kt.check(ends_well(image, high, qemu), f"does not boot with {high} KiB")
    while high - low > GRAIN_KIB:
        middle = (low + high) // 2 // GRAIN_KIB * GRAIN_KIB
        low, high = (low, middle) if ends_well(image, middle, qemu) else (middle, high)
    return high


def images():
    """(name, image, QEMU's arguments, whether the aim holds for it: a call's window is what its step asks for)"""
    low = child.make(kt.scratch("child"), 4 * KIB, LOW_ADDRESS)
    boot = [{"name": "child", "boot": "fs:/child"}]
    net = {"lan": {"dhcp": True}}
    return (
        ("a boot", kt.bake(kt.pipeline(boot, {"/child": low})), (), True),
        ("DHCP and a boot", kt.bake(kt.pipeline(boot, {"/child": low}, net=net)), NET, True),
        ("a call", kt.bake(kt.pipeline([{"name": "tick", "call": "fs:/tick"}], {"/tick": TICK})), (), False),
    )


def memory(out):
    boots = images()
    for (name, image, _, aimed), kib in zip(
        boots, kt.in_parallel(lambda boot: least_memory_kib(boot[1], boot[2]), boots)
    ):
        content = kt.kchain("inspect", "--json", image).json()["content_bytes"]
        out.figure(f"{name}: the least -m", kib, "KiB")
        out.figure(
            "  of it above the first MiB, beyond the image's files",
            kib - KIB - content // KIB,
            "KiB",
            *((4096, "<") if aimed else ()),
        )


def grub_core():
    """GRUB's core image with what it needs to find a kernel on a CD and start it."""
    path = kt.scratch("core.img")
    done = kt.command(
        ["grub-mkimage", "-O", "i386-pc", "-o", path, "-p", "/boot/grub", "biosdisk", "iso9660", "multiboot", "normal"]
    )
    kt.check(done.exit == 0, "grub-mkimage failed", done)
    return os.path.getsize(path)


def run(out):
    image = kt.bake(kt.pipeline([{"name": "tick", "call": "fs:/tick"}], {"/tick": TICK}))
    facts = kt.kchain("inspect", "--json", image).json()
    parts = {p["name"]: p["bytes"] for p in facts["parts"]}
    adds = facts["bytes"] - facts["content_bytes"]
    kernel = child.make(kt.scratch("child"), 64 * KIB)
    peers_add = {
        "GRUB core image": grub_core(),
        "GRUB ISO": os.path.getsize(kt.grub_iso(kernel)) - 64 * KIB,
        "iPXE lkrn": os.path.getsize(peers.IPXE),
    }
    out.table("parts", ("part", "bytes"), [*parts.items(), *peers_add.items()])
    out.figure("what the stage adds to an image (image less its files)", adds, "bytes", 328 * KIB)
    for name in ("stage", "fs-meta", "manifest", "sections"):
        out.figure(f"of it {name}", parts[name], "bytes")
    for name, size in peers_add.items():
        out.figure(f"beside it: {name}", size, "bytes")
    memory(out)
    out.plot(
        "added",
        plot.bars(
            "What a loader adds to a kernel's file",
            "i386-pc GRUB and iPXE as Debian has them",
            "",
            "KiB",
            [(name, [size / KIB]) for name, size in {"kchain stage": adds, **peers_add}.items()],
            ["size"],
        ),
    )
