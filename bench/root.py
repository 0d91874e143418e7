# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions from reset to a process of a Linux root that is used in place, beside the usual initramfs, EROFS on a virtio disk, and GRUB; the
smallest machine and the page cache of both; the first answers of whole applications; `bake --rootfs` beside other tools."""
import json
import os
import re
import shutil
import tempfile
import time

import kt
import linux
import machine
import roots

MIB = 1 << 20
LARGE = 202  # MiB: the root of most figures
SIZES = (16, LARGE, 1024, 1843)
PLAIN = "console=ttyS0 quiet panic=-1"
ARGS = PLAIN + " cryptomgr.notests init_on_alloc=0 no_timer_check"  # as kchain has them
IN_PLACE, UNVERIFIED = "in place, verified", "in place"
ONE_PROCESSOR = "noapictimer"  # nobody waits for a timer of the processor's own: what an emulated machine with one processor can do without
RUNS, AB_REQUESTS = 3, 2000
LOOK = """#!/bin/busybox sh
/bin/busybox cat /fill* >/dev/null
/bin/busybox grep ^Cached: /proc/meminfo
"""


def tree_of(mib):
    """A root of about that size: busybox, a program that says its tick, and 4 MiB pieces."""
    system, why_not = linux.find()
    kt.check(system, why_not)
    top = os.path.join(tempfile.mkdtemp(dir=os.path.abspath("build/bench")), "root")
    for folder in ("bin", "dev", "proc", "sys", "run", "tmp"):
        os.makedirs(os.path.join(top, folder))
    shutil.copy(system.busybox, top + "/bin/busybox")
    shutil.copy("build/bench/init", top + "/tick")
    kt.write_bytes(top + "/look", LOOK.encode())
    os.chmod(top + "/look", 0o755)
    with open("/dev/urandom", "rb") as some:
        piece = some.read(min(mib, 4) * MIB)
    for number in range(mib // 4):
        kt.write_bytes(f"{top}/fill{number}", number.to_bytes(8, "little") + piece[8:])
    return top


def bake(top, entry="/tick", **more):
    root = {"from": top, "owner": "0:0", "entrypoint": [entry], **more}
    return kt.bake({"kchain": 1, "name": "root", "root": root, "steps": [{"name": "root", "boot": "linux"}]})


def cat(image, path):
    name = kt.scratch("part")
    done = kt.command(["sh", "-c", '"$0" cat "$1" "$2" >"$3"', kt.KCHAIN, image, path, name], hang_after_s=300)
    kt.check(done.exit == 0, "cat", done)
    return name


def tick_of(*args, memory="1G"):
    """The tick at which the program was entered: a record where it may write to the port, else on the console."""
    with kt.Machine(kt.qemu_argv("pc", memory, *machine.ICOUNT, *args)) as booted:
        status = booted.wait_for_end(machine.HANG_AFTER_S)
        if status is None:
            raise machine.Late(f"not through in {machine.HANG_AFTER_S} s\n{booted.explain()}")
        found = re.search(r'"event":"child","ticks":"0x([0-9a-f]+)"', booted.console() + kt.read_bytes(booted.debug).decode("utf-8", "replace"))
        kt.check(found, "it was not entered", booted.explain())
        return int(found.group(1), 16)


def initramfs_of(top, init="tick"):
    """All of the root as a cpio archive, not compressed, its program as the first one."""
    parts, number = [], 1
    for folder, names, files in os.walk(top):
        for name in sorted(names):
            parts.append(linux.entry(number := number + 1, os.path.relpath(os.path.join(folder, name), top), 0o40755, b""))
        for name in sorted(files):
            path = os.path.join(folder, name)
            parts.append(linux.entry(number := number + 1, os.path.relpath(path, top), 0o100755, kt.read_bytes(path)))
    parts += [linux.entry(1, "init", 0o100755, kt.read_bytes(os.path.join(top, init))), linux.entry(0, "TRAILER!!!", 0, b"")]
    return kt.write_bytes(kt.scratch("initramfs"), b"".join(parts))


def member(archive, name):
    """The bytes of a file of a cpio archive (newc)."""
    at = 0
    while archive[at:at + 6] == b"070701":
        size, name_bytes = (int(archive[at + 6 + 8 * field:at + 14 + 8 * field], 16) for field in (6, 11))
        data = at + (110 + name_bytes + 3) // 4 * 4
        if archive[at + 110:at + 110 + name_bytes] == name.encode() + b"\0":
            return archive[data:data + size]
        at = data + (size + 3) // 4 * 4
    raise AssertionError(f"no {name} in the archive")


def disk_of(image, **more):
    """The same kernel and first process as the image's, its root on a virtio disk: (image, QEMU's arguments)."""
    initrd = kt.read_bytes(cat(image, "/kchain/initrd.cpio"))
    config = json.loads(member(initrd, "kchain/root.json"))
    config["root"].update(device="vda", options="ro")
    config["modules"] = [m for m in config["modules"] if not re.search(r"/(libnvdimm|nd_\w+)\.ko$", m)]
    initrd += bytes(-len(initrd) % 4) + linux.entry(1, "kchain/root.json", 0o100644, json.dumps(config).encode()) + linux.entry(0, "TRAILER!!!", 0, b"")
    step = {"name": "disk", "boot": "fs:/linux", "unverified": True, "args": ARGS, "modules": [{"from": "fs:/initrd", "unverified": True}]}
    pipeline = kt.pipeline([step], {"/linux": cat(image, "/kchain/linux"), "/initrd": kt.write_bytes(kt.scratch("initrd"), initrd)}, **more)
    return kt.bake(pipeline), ["-drive", f"if=none,id=root,format=raw,readonly=on,file={cat(image, '/kchain/root')}", "-device", "virtio-blk-pci,drive=root"]


def grub_iso(kernel, initrd):
    top, iso = kt.scratch("iso"), kt.scratch("boot.iso")
    os.makedirs(top + "/boot/grub")
    shutil.copy(kernel, top + "/boot/vmlinuz")
    shutil.copy(initrd, top + "/boot/initrd")
    kt.write_bytes(top + "/boot/grub/grub.cfg", f"set timeout=0\nlinux /boot/vmlinuz {ARGS}\ninitrd /boot/initrd\nboot\n".encode())
    done = kt.command(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--install-modules=linux normal iso9660 biosdisk", "-o", iso, top], hang_after_s=120)
    kt.check(done.exit == 0, "grub-mkrescue", done)
    return iso


def to_a_process(out, top):
    kernel, initramfs = os.path.join(linux.fetched(), "vmlinuz"), initramfs_of(top)
    usual = tick_of("-kernel", kernel, "-initrd", initramfs, "-append", PLAIN)
    in_place = bake(top, unverified=True, load=["virtio_blk"])
    disk, drive = disk_of(in_place)
    rows = [["usual initramfs", usual], ["usual initramfs, with kchain's options", tick_of("-kernel", kernel, "-initrd", initramfs, "-append", ARGS)],
            [UNVERIFIED, tick_of("-kernel", in_place)],
            [f"{UNVERIFIED}, {ONE_PROCESSOR}", tick_of("-kernel", bake(top, unverified=True, args=ONE_PROCESSOR))],
            [IN_PLACE, tick_of("-kernel", bake(top))], ["EROFS on virtio-blk", tick_of("-kernel", disk, *drive)]]
    for way, ticks in rows:
        aim = 560_000_000 if way.startswith(UNVERIFIED) and way != IN_PLACE else usual if way == IN_PLACE else None
        out.figure(f"reset to a process of a root of {LARGE} MiB, {way}", ticks, "instructions", aim)
    try:
        rows.append(["GRUB, bzImage and initrd", tick_of("-cdrom", grub_iso(kernel, initramfs))])
        out.figure(f"reset to a process of a root of {LARGE} MiB, {rows[-1][0]}", rows[-1][1], "instructions")
    except machine.Late:
        out.left_out("GRUB, bzImage and initrd", f"not through in {machine.HANG_AFTER_S} s")
    out.table("to-a-process", ("way", "instructions"), rows)


def by_size(out):
    rows = []
    for mib in SIZES:
        top = tree_of(mib)
        rows.append([mib, tick_of("-kernel", bake(top, unverified=True), memory="3G")])
        shutil.rmtree(os.path.dirname(top))
    out.table("by-size", ("root_mib", "instructions"), rows)
    for mib, ticks in rows:
        out.figure(f"reset to a process of a root of {mib} MiB, in place, 3 GiB of memory", ticks, "instructions", *([round(rows[0][1] * 1.05)] if mib != SIZES[0] else []))


def boots_in(memory_mib, *args):
    """Whether its program is through; Linux that finds too little stops or restarts."""
    with kt.Machine(kt.qemu_argv("pc", f"{memory_mib}M", "-cpu", "max", *args)) as booted:
        booted.wait_until(lambda: "Cached:" in booted.console(), 60)
        return "Cached:" in booted.console(), booted.console()


def least_memory(low, high, *args):
    """In MiB, to 8."""
    while high - low > 8:
        middle = (low + high) // 16 * 8
        low, high = (low, middle) if boots_in(middle, *args)[0] else (middle, high)
    return high


def memory(out, top):
    image, usual = bake(top, entry="/look"), ["-kernel", os.path.join(linux.fetched(), "vmlinuz"), "-append", ARGS + " rdinit=/all"]
    init = "#!/bin/busybox sh\n/bin/busybox mount -t proc proc /proc\n/look\n/bin/busybox poweroff -f\n"
    archive = kt.read_bytes(initramfs_of(top)) + linux.entry(1, "all", 0o100755, init.encode()) + linux.entry(0, "TRAILER!!!", 0, b"")
    usual += ["-initrd", kt.write_bytes(kt.scratch("initramfs"), archive)]
    for way, args, low, high, aims in (("in place", ["-kernel", image], LARGE, LARGE + 160, (round(1.016 * LARGE) + 100, 5)), ("usual initramfs", usual, 2 * LARGE, 4 * LARGE, (None, None))):
        done, console = boots_in(1024, *args)
        kt.check(done, "its program is not through", console[-2000:])
        out.figure(f"smallest machine for a root of {LARGE} MiB, {way}", least_memory(low, high, *args), "MiB", aims[0])
        out.figure(f"page cache after reading all of it, {way}", int(re.search(r"Cached: +(\d+) kB", console).group(1)) / 1000, "MB", aims[1])


def first_answers(out):
    rows = []
    for name, group, memory_size in (("nginx", "check", "256M"), ("python", "check", "256M"), ("php", "apps", "256M"), ("ruby", "apps", "256M"), ("java", "apps", "1G")):
        try:
            image = roots.prepare(name, group)
        except kt.Skip as why:
            out.left_out(f"first answer of {name}", str(why))
            continue
        for run in range(RUNS):
            rows.append([name, run, *roots.first_answer(image, memory_size)])
        out.times(f"first answer of {name}, from QEMU's start", [r[2] for r in rows if r[0] == name])
        out.times(f"first answer of {name}, from its own start", [r[3] for r in rows if r[0] == name])
    out.table("first-answers", ("application", "run", "from_qemu_s", "from_exec_s"), rows)


def nginx_rate(image, *qemu):
    """Requests a second, by one client after the other and eight at a time."""
    port = roots.free_port()
    net = ["-netdev", f"user,id=lan,hostfwd=tcp:127.0.0.1:{port}-:80", "-device", "virtio-net-pci,netdev=lan,romfile="]
    with kt.Machine(kt.qemu_argv("pc", "512M", "-cpu", "max", "-kernel", image, *net, *qemu)) as booted:
        kt.check(roots.ask(port, time.monotonic() + 200), "no answer", booted.explain())
        done = kt.command(["ab", "-q", "-n", str(AB_REQUESTS), "-c", "8", f"http://127.0.0.1:{port}/"], hang_after_s=300)
        found = re.search(r"Requests per second: +([0-9.]+)", done.out)
        kt.check(found and "Failed requests:        0" in done.out, "ab", done)
        return float(found.group(1))


def served(out):
    if not shutil.which("ab"):
        out.left_out("nginx in place beside nginx on a disk", "ab is not installed (apache2-utils)")
        return
    roots.prepare("nginx", "check")
    with open("configs/root-nginx.json", encoding="utf-8") as f:
        pipeline = json.load(f)
    pipeline["root"].update({"from": os.path.abspath("build/roots/nginx"), "load": ["virtio_blk"]})
    in_place = kt.bake({k: v for k, v in pipeline.items() if k != "$schema"})
    disk, drive = disk_of(in_place, net=pipeline["net"])
    rows = []
    for run in range(RUNS):
        rows += [["in place", run, nginx_rate(in_place)], ["on a disk", run, nginx_rate(disk, *drive)]]
    out.table("served", ("root", "run", "requests_per_s"), rows)
    best = {way: max(r[2] for r in rows if r[0] == way) for way in ("in place", "on a disk")}
    out.figure("nginx in place, of several runs the best", best["in place"], "requests/s", best["on a disk"], ">=")
    out.figure("nginx with its root on a virtio disk", best["on a disk"], "requests/s")


def baked(out, top):
    """Wall time of one run each, inputs in the page cache."""
    where = os.path.dirname(top)
    image, erofs, squashfs, tar = (os.path.join(where, n) for n in ("image.elf", "tree.erofs", "tree.squashfs", "tree.tar"))
    tools = [("kchain bake --rootfs", [kt.KCHAIN, "bake", "--rootfs", top, "--owner", "0:0", "--entrypoint", "/tick", "-o", image], image),
             ("mkfs.erofs", ["mkfs.erofs", "--quiet", erofs, top], erofs), ("mksquashfs", ["mksquashfs", top, squashfs, "-quiet", "-no-progress"], squashfs),
             ("tar", ["tar", "-C", top, "-cf", tar, "."], tar)]
    rows = []
    for name, argv, output in tools:
        if not shutil.which(argv[0]):
            out.left_out(f"1 GiB by {name}", "not installed")
            continue
        os.sync()
        started = time.monotonic()
        done = kt.command(argv, hang_after_s=600)
        rows.append([name, time.monotonic() - started])
        kt.check(done.exit == 0, name, done)
        os.remove(output)
        out.figure(f"a root of 1 GiB by {name}", rows[-1][1], "s")
    out.table("baked", ("tool", "seconds"), rows)


def run(out):
    top = tree_of(LARGE)
    to_a_process(out, top)
    memory(out, top)
    shutil.rmtree(os.path.dirname(top))
    by_size(out)
    top = tree_of(1024)
    baked(out, top)
    shutil.rmtree(os.path.dirname(top))
    first_answers(out)
    served(out)
