#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""`kchain run` of what QEMU's own loader does not take, and of disks as what they are."""
import os
import struct
import subprocess

import kt

FILES = {"/echo": "build/kernels/echo.elf", "/disk": "build/kernels/disk.elf", "/hello": "build/kernels/hello.elf"}
MIB = 1 << 20
LARGE = 256 * MIB  # from there on `run` does not leave it to QEMU's loader


def sparse(size, name="data"):
    path = kt.scratch(name)
    with open(path, "wb") as f:
        f.write(b"begin")
        f.seek(size - 3)
        f.write(b"end")
    return path


def image_of(size):
    files = dict(FILES, **{"/data": sparse(size)})
    return kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo", "args": "{{state.word|none}}"}], files))


def memory_mib():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith("MemAvailable"))


def handed_over(image, machine, *args):
    """It is entered as QEMU's own loader enters a smaller one: with its modules and its command line."""
    handoff = kt.write_json(kt.scratch("handoff.json"), {"state": {"word": "handed"}})
    module = kt.write_bytes(kt.scratch("more"), b"module" * 5000)
    done = kt.kchain("run", image, "--accel", "tcg", "--machine", machine, "--handoff", handoff, "--module", f"{module}=more text", "--args", "an argument",
                     "--bootinfo", "-", "--json", *args, hang_after_s=400)
    kt.check(done.exit == 0, f"on {machine}", done)
    bootinfo = kt.json.JSONDecoder().raw_decode(done.out)[0]
    modules = [m["string"] for m in bootinfo["modules"]]
    kt.check(len(modules) == 2 and modules[0].endswith("more text") and modules[1].endswith("kchain-handoff"), "its modules", modules)
    kt.check(bootinfo["cmdline"].endswith(" an argument"), "its command line", bootinfo["cmdline"])
    kt.check("handed" in done.out, "its handoff", done)


@kt.test
def large_images_are_started_on_all_machines():
    for size in (LARGE + 4096, 2 * MIB):  # behind the limit, and below it the other way
        image = image_of(size)
        for machine in ("pc", "q35", "microvm"):
            handed_over(image, machine)


@kt.test
def images_of_more_than_2_gib_are_started():
    if memory_mib() < 8192:
        raise kt.Skip("less than 8 GiB of memory are free")
    image = image_of(2100 * MIB)
    done = kt.kchain("run", image, "--accel", "tcg", "--machine", "q35", "--memory", "4G", hang_after_s=400)
    kt.check(done.exit == 3 and kt.re.search(r"its end lies at 21\d\d MiB; a q35 with 4096 MiB has memory up to 2048 MiB there", done.err), "not refused", done)
    handed_over(image, "pc")


@kt.test
def memory_is_what_the_windows_need():
    step = {"name": "map", "call": "fs:/hello", "memory": "96M", "fanout": {"count": 3}}
    image = kt.bake(kt.pipeline([step], FILES))
    done = kt.kchain("run", image, "--accel", "tcg", "-c", 4, "--json")
    kt.check(done.exit == 0 and done.json()["memory"] == 384 * MIB, "memory", done)
    kt.check(done.json()["steps"][0]["machine"]["workers"] == 3, "not all at once", done.json()["steps"])
    done = kt.kchain("run", kt.bake(kt.pipeline([{"name": "one", "call": "fs:/hello", "memory": "200M"}], FILES)), "--accel", "tcg", "--json")
    kt.check(done.exit == 0 and done.json()["memory"] == 320 * MIB, "memory of one", done)


# --- disks -------------------------------------------------------------------------------------------------------------

def qcow2(raw=None, backing=""):
    """A disk of 8 MiB in QEMU's format (docs/interop/qcow2.txt, version 2), with a name that does not say so. Its clusters: header, reference
    counts, level 1, level 2, then data; without `raw`, all of it comes from `backing`."""
    cluster, used = 65536, 1 << 63
    name = backing.encode()
    head = b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQ", 2, 72 if name else 0, len(name), 16, 8 * MIB, 0, 1, 2 * cluster, cluster, 1, 0, 0)
    data = kt.read_bytes(raw) if raw else b""
    level2 = b"".join(struct.pack(">Q", (4 + i) * cluster | used) for i in range(len(data) // cluster))
    parts = ((head + name, bytes(cluster), struct.pack(">Q", 3 * cluster | used if data else 0), level2))
    return kt.write_bytes(kt.scratch("disk.img"), b"".join(part.ljust(cluster, b"\0") for part in parts) + data)


def disk_image():
    block = {"data": {"match": {"serial": "DATA01"}, "need": "required"}}
    return kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], FILES, block=block))


def seen(image, disk):
    done = kt.kchain("run", image, "--accel", "tcg", "--json", "--disk", disk)
    return done, done.exit == 0 and done.json()["handoff"]["block"]["data"]


@kt.test
def disks_are_opened_as_what_they_are():
    image, raw = disk_image(), kt.disk(partitions="label: gpt\nsize=1M, name=first\n")
    packed = qcow2(raw)
    for name, disk in (("raw", raw), ("qcow2", packed), ("said to be qcow2", packed + ",format=qcow2")):
        done, found = seen(image, disk + ",serial=DATA01")
        kt.check(found and found["bytes"] == 8 * MIB and found["partitions"][0]["name"] == "first" and found["read_only"], name, done)
    done, found = seen(image, packed + ",format=raw,serial=DATA01")  # as was asked for
    kt.check(found and found["bytes"] == os.path.getsize(packed) and not found["partitions"], "said to be raw", done)


@kt.test
def disks_that_name_files_of_the_host_are_refused():
    image, raw = disk_image(), kt.disk()
    packed = qcow2(raw)
    over = qcow2(backing=packed)
    for disk, format_name in ((over, "qcow2"), (kt.write_bytes(kt.scratch("list"), b"# Disk DescriptorFile\nversion=1\n"), "vmdk")):
        done, _ = seen(image, disk + ",serial=DATA01")
        kt.check(done.exit == 3 and f"{disk}: a {format_name} disk that names further files of this host" in done.err and f"--disk FILE,format={format_name}" in done.err, "not refused", done)
    done, found = seen(image, over + ",format=qcow2,serial=DATA01")
    kt.check(found and found["bytes"] == 8 * MIB, "trusted", done)
    done, _ = seen(image, raw + ",format=floppy")
    kt.check(done.exit == 3 and "'floppy' is no format of disks" in done.err, "a format that is none", done)


@kt.test
def two_runs_share_a_disk():
    raw = kt.disk()
    halts = kt.bake(kt.pipeline([{"name": "spin", "call": "fs:/spin", "timeout": "1h"}], {"/spin": "build/kernels/spin.elf"}))
    with subprocess.Popen([kt.KCHAIN, "run", halts, "--accel", "tcg", "--disk", raw], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          preexec_fn=kt.end_with_test) as first:
        console = b""
        while b"call  fs:/spin" not in console:
            got = os.read(first.stderr.fileno(), 4096)
            kt.check(got, "ended early", console)
            console += got
        done, found = seen(disk_image(), raw + ",serial=DATA01")
        kt.check(found and found["read_only"], "a second run", done)
        done, found = seen(disk_image(), raw + ",snapshot,serial=DATA01")
        kt.check(found and not found.get("read_only"), "one that forgets what it writes", done)
        done, _ = seen(disk_image(), raw + ",rw,serial=DATA01")
        kt.check(done.exit == 3 and "lock" in done.err, "one that writes", done)
        first.terminate()
    done, found = seen(disk_image(), raw + ",rw,serial=DATA01")
    kt.check(found and not found.get("read_only"), "one that writes, alone", done)


kt.main()
