#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""Kernels that are started by Multiboot 2, PVH and Linux's own protocol find their arguments, modules and handoff; and kernels and modules are
read from disks."""
import hashlib
import os

import kt
import linux

SYSTEM, WHY_NO_LINUX = linux.find()


def image(files, step, **more):
    pipeline = kt.scratch("p.json")
    kt.write_json(pipeline, {"kchain": 1, "name": "doors", "console": ["com1,115200"], "files": files, "steps": [dict(name="last", **step)], **more})
    return kt.bake(pipeline)


def found_by(door, qemu=(), **more):
    files = {"/k": os.path.abspath(f"build/kernels/found-{door}.elf"), "/m": os.path.abspath("README.md")}
    step = {"boot": "fs:/k", "args": "one two", "modules": [{"from": "fs:/m", "string": "readme"}]}
    ended = kt.expect_end(kt.boot(image(files, step, **more), qemu=list(qemu)))
    found, doc = ended.of("found")[0], ended.of("found-handoff")[0]["doc"]
    kt.check(found["args"] == "one two" and found["modules"] == 2 and found["mmap"] >= 4 and found["rsdp"] == 1, "what it found", found)
    kt.check(doc["self"]["source"] == "fs:/k" and doc["state"] == more.get("state", {}), "handoff", doc)
    return found, ended


@kt.test
def multiboot2_kernel_finds_what_it_was_promised():
    found, ended = found_by("multiboot2", state={"a": 1})
    kt.check(found["eax"] == 0x36d76289 and found["base"] == 0x1000000, "magic and place", found)
    kt.check(ended.of("boot")[0]["kernel"] == "multiboot2", "kind", ended)


@kt.test
def multiboot2_kernel_is_moved_where_its_place_is_taken():
    # There is no memory at 16 MiB, where it was linked, nor anywhere else that it may lie: then with memory up to 17 MiB it lies at 16 MiB.
    files = {"/k": os.path.abspath("build/kernels/found-multiboot2.elf")}
    ended = kt.boot(image(files, {"boot": "fs:/k"}), qemu=["-m", "16"])
    kt.expect_error(ended, "no-space", r"^fs:/k")
    found = kt.expect_end(kt.boot(image(files, {"boot": "fs:/k"}), qemu=["-m", "18"])).of("found")[0]
    kt.check(found["base"] == 0x1000000, "place", found)


@kt.test
def pvh_kernel_finds_what_it_was_promised():
    _, ended = found_by("pvh")
    kt.check(ended.of("boot")[0]["kernel"] == "pvh", "kind", ended)


@kt.test
def a_step_says_by_which_protocol():
    inner = kt.bake(kt.pipeline([{"name": "hello", "call": "fs:/hello"}], {"/hello": "build/kernels/hello.elf"}))
    for door in ("multiboot1", "multiboot2"):
        ended = kt.expect_end(kt.boot(image({"/k": inner}, {"boot": "fs:/k", "door": door})))
        kt.check([r["door"] for r in ended.of("entered")] == ["multiboot1", door] and ended.of("boot")[0]["kernel"] == door, door, ended)
    pipeline = kt.scratch("p.json")
    kt.write_json(pipeline, kt.pipeline([{"name": "last", "boot": "fs:/k", "door": "pvh"}], {"/k": os.path.abspath("build/kernels/found-multiboot2.elf")}))
    done = kt.kchain("bake", pipeline, "-o", kt.scratch("none.elf"))
    kt.check(done.exit == 3 and "steps[0].door: fs:/k: the step says that it is started by pvh, which it has no header or note for" in done.err, "no such note", done)
    look = kt.kchain("inspect", "--json", "build/kernels/found-pvh.elf").json()
    kt.check(look["doors"] == ["pvh"] and "doors     pvh" in kt.kchain("inspect", "build/kernels/found-pvh.elf").out, "inspect", look)


def linux_files():
    if WHY_NO_LINUX:
        raise kt.Skip(WHY_NO_LINUX)
    script = "echo ARGS $(/busybox cat /proc/cmdline)\n/busybox cat /kchain/handoff.json >/dev/ttyS0\n/busybox cat /second 2>/dev/null\n"
    return linux.initramfs(SYSTEM, script)


@kt.test
def linux_gets_initrds_and_handoff():
    first = linux_files()
    second = kt.write_bytes(kt.scratch("second"), linux.entry(1, "second", 0o100644, b"SECOND-INITRD\n") + linux.entry(2, "TRAILER!!!", 0, b""))
    step = {"boot": "fs:/vmlinuz", "args": "console=ttyS0 panic=-1 quiet",
            "modules": [{"from": "fs:/first", "string": "a"}, {"from": "fs:/second", "string": "b"}]}
    done = kt.kchain("run", image({"/vmlinuz": SYSTEM.kernel, "/first": first, "/second": second}, step, state={"mark": "FROM-THE-STATE"}),
                     "-m", "256M", "--until", "ended", hang_after_s=300)
    kt.check(done.exit == 0 and "ARGS console=ttyS0 panic=-1 quiet" in done.out and '"state":{"mark":"FROM-THE-STATE"}' in done.out and
             "SECOND-INITRD" in done.out, "Linux", done)


@kt.test
def linux_is_unpacked_when_it_is_baked():
    # On a busy host Linux may find that the emulated timer does not tick: it is told not to look.
    pipeline, initrd = kt.scratch("p.json"), linux_files()
    step = {"name": "last", "boot": "fs:/vmlinuz", "kaslr": False, "args": "console=ttyS0 panic=-1 quiet no_timer_check", "modules": [{"from": "fs:/first"}]}
    kt.write_json(pipeline, {"kchain": 1, "name": "unpacked", "console": ["com1,115200"], "steps": [step],
                             "files": {"/vmlinuz": SYSTEM.kernel, "/first": initrd}})
    images = [kt.scratch("image.elf") for _ in range(2)]
    made = [kt.kchain("bake", pipeline, "-o", path) for path in images]
    kt.check(all(done.exit == 0 and "(linux, unpacked)" in done.out for done in made), "bake", made)
    first, second = map(kt.read_bytes, images)
    kt.check(first == second and len(first) > 2 * os.path.getsize(SYSTEM.kernel), "the same inputs give the same bytes")
    done = kt.kchain("run", images[0], "-m", "256M", "--until", "ended", hang_after_s=300)
    kt.check(done.exit == 0 and "ARGS console=ttyS0 panic=-1 quiet" in done.out and '"kchain_handoff":1' in done.out, "Linux", done)


@kt.test
def linux_and_its_initrd_come_from_a_disk():
    initrd = kt.read_bytes(linux_files())
    kernel = kt.read_bytes(SYSTEM.kernel)
    disk = kt.disk(size_bytes=64 << 20, partitions="label: gpt\nsize=24M, name=kernel\nsize=16M, name=initrd\n")
    with open(disk, "r+b") as f:
        f.seek(1 << 20)
        f.write(kernel)
        f.seek((25 << 20) + 100)
        f.write(initrd)

    def step(digest):
        return {"boot": f"block:data/kernel@0+{len(kernel)}", "sha256": hashlib.sha256(kernel).hexdigest(), "args": "console=ttyS0 panic=-1 quiet",
                "modules": [{"from": f"block:data/2@100+{len(initrd)}", "string": "initrd", "sha256": digest}]}
    block = {"data": {"need": "required"}}
    good = kt.kchain("run", image({}, step(hashlib.sha256(initrd).hexdigest()), block=block), "-m", "256M", "--disk", disk, "--until", "ended",
                     hang_after_s=300)
    kt.check(good.exit == 0 and "ARGS console" in good.out and '"kchain_handoff":1' in good.out, "from a disk", good)
    bad = kt.kchain("run", image({}, step("00" * 32), block=block), "-m", "256M", "--disk", disk, "--until", "ended", hang_after_s=300)
    kt.check(bad.exit == 4 and hashlib.sha256(initrd).hexdigest() in bad.err and "ARGS" not in bad.out, "other bytes", bad)


@kt.test
def parts_of_disks_that_are_not_there():
    disk = kt.disk(size_bytes=8 << 20, partitions="label: gpt\nsize=2M, name=first\nsize=1M, name=3\nsize=512K, name=twice\nsize=512K, name=twice\n")
    with open(disk, "r+b") as f:  # an ext4 file system's mark and label, in the second partition
        f.seek((3 << 20) + 1024 + 56)
        f.write(b"\x53\xef")
        f.seek((3 << 20) + 1024 + 120)
        f.write(b"root")
    cases = {"block:data/second": "there is no partition second", "block:data/9": "there is no partition 9",
             "block:data/first@0+3000000": "3000000 bytes from 0x0 on", "block:data@9000000+1": "1 bytes from 0x895440 on",
             "block:none/1": "there is no disk none",
             "block:data/twice": "partitions 3 and 4 are both twice", "block:data/name=twice": "say which: index=3",
             "block:data/label=root@0+3000000": "3000000 bytes from 0x0 on lie outside of it: it has 1048576",
             "block:data/3": "partitions 2 and 3 are both 3", "block:data/index=3@0+3000000": "it has 524288", "block:data/name=3@0+3000000": "it has 1048576"}
    for source, words in cases.items():
        done = kt.kchain("run", image({}, {"boot": source, "unverified": True}, block={"data": {"match": {"index": 0}}, "none": {"match": {"serial": "X"}, "need": "optional"}}),
                         "--disk", disk, "--until", "ended")
        kt.check(done.exit == 4 and words in done.err, source, done)
    pipeline = kt.write_json(kt.scratch("p.json"), kt.pipeline([{"name": "last", "boot": "block:other/1", "unverified": True}]))
    done = kt.kchain("bake", pipeline, "-o", kt.scratch("none.elf"))
    kt.check(done.exit == 3 and 'steps[0].boot: "block:other/1": the pipeline asks for no such disk' in done.err, "known when it is baked", done)


@kt.test
def a_disk_that_ends_early_overwrites_nothing():
    """Its second half can't be read: what the step says about errors is done, by a machine that is as it was."""
    disk = kt.write_bytes(kt.scratch("disk"), bytes(range(256)) * 8192)
    fails = ["-drive", f"if=none,id=d,driver=blkdebug,image.driver=raw,image.file.driver=file,image.file.filename={disk},"
             "inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.sector=3000", "-device", "virtio-blk-pci,drive=d"]
    files, block = {"/k": os.path.abspath("build/kernels/found-multiboot2.elf")}, {"data": {"need": "required"}}
    fallback = {"boot": "fs:/k", "args": "one two"}
    for first in ({"boot": "fs:/k", "args": "first", "modules": [{"from": "block:data", "string": "half", "unverified": True}]},
                  {"boot": "block:data", "unverified": True}):
        ended = kt.boot(image(files, {**first, "on_error": fallback}, block=block), qemu=fails)
        kt.check([(e["slug"], e["message"]) for e in ended.of("error")] ==
                 [("block-request", "block:data: virtio-blk 0000:00:02.0: the device reports an I/O error (sector 2944, 128 sectors)")], "why", ended)
        kt.check(ended.of("found")[0]["args"] == "one two" and ended.of("found")[0]["modules"] == 1, "the fallback", ended)


kt.main()
