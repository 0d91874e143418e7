#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""One image with a root, unchanged, from GRUB on BIOS and UEFI and on a microvm; and at the end of a chain. Skipped where no kernel can be
had."""
import functools
import hashlib
import os
import random
import shutil

import kt
import linux
import roots
import uefi

SCRIPT = """#!/bin/sh
b=/bin/busybox
echo "from the root: $($b awk '$2 == "/" { print $3 }' /proc/mounts), $($b ls /sys/bus/virtio/devices | $b wc -l) virtio"
$b ip -4 addr show eth0
"""


@functools.lru_cache(maxsize=None)
def image(*args):
    roots.kernel()
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    top = kt.scratch("root")
    for folder in ("bin", "etc", "dev", "proc", "sys", "run", "tmp"):
        os.makedirs(os.path.join(top, folder))
    shutil.copy(system.busybox, os.path.join(top, "bin/busybox"))
    os.symlink("busybox", os.path.join(top, "bin/sh"))
    kt.write_bytes(os.path.join(top, "program"), SCRIPT.encode())
    os.chmod(os.path.join(top, "program"), 0o755)
    return kt.bake({"kchain": 1, "name": "everywhere", "net": {"lan": {"dhcp": True, "need": "optional"}},
                    "root": {"from": top, "owner": "0:0", "entrypoint": ["/program"], "args": " ".join(args)},
                    "steps": [{"name": "program", "boot": "linux"}]})


def look(argv, *wanted):
    with kt.Machine(argv) as m:
        status = m.wait_for_end(500)
        kt.check(status is not None, "hangs", m.explain())
        console = m.console()
        for text in ("from the root: overlay", *wanted):
            kt.check(text in console, f"no {text!r}", console[-3000:])
        kt.check([record["status"] for record in m.records("exit")] == [0], "the program's status", m.records("exit"), console[-2000:])


@kt.test
def grub_starts_it_on_bios():
    for by in ("multiboot", "multiboot2"):
        look([*kt.qemu_argv("pc", "320M"), *kt.USER_NET, "-cdrom", kt.grub_iso(image(), by=by)], "inet 10.0.2.15/24")


@kt.test
def grub_starts_it_on_uefi():
    look([*kt.qemu_argv("q35", "512M"), *uefi.firmware(), *kt.USER_NET, *uefi.grub_disk(image(), "multiboot2")], "inet 10.0.2.15/24")


@kt.test
def a_microvm_starts_it():
    """Linux finds virtio's devices by ACPI there, and no clock to count the processor's by: the rate is said, which -icount makes exact."""
    look([*kt.qemu_argv("microvm,pcie=on", "256M"), "-icount", "shift=0,sleep=off", "-global", "virtio-mmio.force-legacy=false", "-netdev",
          "user,id=lan,restrict=on", "-device", "virtio-net-device,netdev=lan", "-kernel", image("tsc_early_khz=1000000")], "inet 10.0.2.15/24", "1 virtio")


REPORT = """
import json, os
handoff = json.load(open("/run/kchain/handoff.json"))
digest = handoff["results"]["digest"]["result"]
json.dump({"sha256": os.environ["SHA256"], "same": digest["sha256"] == os.environ["SHA256"], "links": [link["name"] for link in handoff["links"]],
           "address": handoff["net"]["lan"]["addresses"][0]}, open("/run/kchain/result.json", "w"))
"""


@kt.test
def an_application_at_the_end_of_a_chain_finds_the_results():
    """A front image: a disk, a lease, a kernel that computes; then another image with a Linux and a Python program."""
    roots.OWN["chain"] = [("srv/report.py", REPORT)]
    shutil.copy(roots.prepare("chain", "check", "python"), "build/roots/chain.elf")
    data = random.Random(4).randbytes(1 << 20)
    disk = kt.write_bytes(kt.scratch("disk.img"), data)
    found = kt.run(kt.bake(os.path.abspath("configs/root-chain-front.json")), "--disk", f"{disk},serial=DATA01", "--memory", "384M", hang_after_s=400)
    kt.expect_boot(found)
    wanted = {"sha256": hashlib.sha256(data).hexdigest(), "same": True, "links": ["front", "application"], "address": "10.0.2.15/24"}
    kt.check(found.result["results"]["report"] == {"status": "ok", "exit": 0, "result": wanted}, "another result", found.result["results"], wanted)


if __name__ == "__main__":
    kt.main()
