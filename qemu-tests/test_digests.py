#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Digests as the stage finds them: on processors with and without vector instructions, of sources that are pinned by
either kind, and of images that an earlier version baked."""
import hashlib
import random
import re
import struct

import kt

ECHO = "build/kernels/echo.elf"
CPUS = ("qemu64", "qemu64,+ssse3", "max,-avx2", "max,-avx", "max")
SIZES = (0, 1, 4095, 4096, 4097, 9000, 3 * 4096, 32768, 40000, 128 * 4096, 128 * 4096 + 1, 700001)


def files():
    chance = random.Random(5)
    made = {f"/f{n:02}": kt.write_bytes(kt.scratch("file"), chance.randbytes(n)) for n in SIZES}
    return {**made, **{f"/small{i:02}": kt.write_bytes(kt.scratch("file"), chance.randbytes(1 + 97 * i)) for i in range(19)}, "/echo": ECHO}


@kt.test
def any_processor_finds_the_same():
    """All is verified at entry, then a file that is large enough for lanes, alone."""
    step = {"name": "echo", "call": "fs:/echo"}
    for how in ("all", "used"):
        image = kt.bake(kt.pipeline([step], files(), verify=how))

        def one(cpu, image=image):
            ended = kt.expect_end(kt.boot(image, "pc", "128M", ["-cpu", cpu]))
            kt.check(ended.of("step")[0]["digest"] == "fsverity:" + kt.fsverity(kt.read_bytes(ECHO)), f"{cpu}: another digest", ended)

        kt.in_parallel(one, CPUS)


@kt.test
def damage_is_found_on_any_processor():
    made = files()
    whole = kt.read_bytes(kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], made, verify="all")))

    def one(case):
        cpu, name = case
        data = bytearray(whole)
        content = kt.read_bytes(made[name])
        data[data.index(content) + len(content) // 2] ^= 32
        with kt.Machine(kt.qemu_argv("pc", "128M", "-cpu", cpu, "-kernel", kt.write_bytes(kt.scratch("bad.elf"), data))) as m:
            m.wait_for_end(120)
            said = [r for r in m.records() if r["event"] == "error"]
            at, blocks = len(content) // 2, (len(content) + 4095) // 4096
            block, end = at // 4096, min(at // 4096 * 4096 + 4096, len(content))
            place = f"; block {block + 1} of {blocks} is damaged, bytes {block * 4096} to {end - 1}"
            kt.check(said and said[0]["slug"] == "image-digest" and f"{name}: " in said[0]["message"] and place in said[0]["message"],
                     f"{cpu}: {name} is not told with its block", place, m.explain())

    kt.in_parallel(one, [(cpu, name) for cpu in (CPUS[0], CPUS[-1]) for name in made if len(kt.read_bytes(made[name])) > 90])


@kt.test
def verify_and_run_tell_the_block():
    """On the host, and by a stage that checks only what it uses: the first, a middle and the last block of a called kernel."""
    kernel = kt.read_bytes(ECHO)
    whole = kt.read_bytes(kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": ECHO})))
    blocks = (len(kernel) + 4095) // 4096
    for at in (0, 4095, 4096, blocks // 2 * 4096 + 77, (blocks - 1) * 4096, len(kernel) - 1):
        data = bytearray(whole)
        data[whole.index(kernel) + at] ^= 4
        bad = kt.write_bytes(kt.scratch("bad.elf"), data)
        place = f"/echo: damaged: its digest is .*; block {at // 4096 + 1} of {blocks} is damaged, bytes {at // 4096 * 4096} to "
        for done in (kt.kchain("verify", bad), kt.kchain("run", bad)):
            kt.check(done.exit == 3 and re.search(place, done.err), "not told", place, done)
        with kt.Machine(kt.qemu_argv("pc", "128M", "-kernel", bad)) as m:
            m.wait_for_end(120)
            kt.check(re.search(place, "".join(r.get("message", "") for r in m.records())), "not told by the stage", place, m.explain())


@kt.test
def a_disk_may_be_pinned_by_either():
    kernel = kt.read_bytes(ECHO)
    disk = kt.disk(size_bytes=8 << 20)
    with open(disk, "r+b") as f:
        f.write(kernel)
    sha, tree = hashlib.sha256(kernel).hexdigest(), kt.fsverity(kernel)
    for pins, called in (({"sha256": sha}, "sha256:" + sha), ({"fsverity": tree}, "fsverity:" + tree),
                         ({"sha256": sha, "fsverity": tree}, "fsverity:" + tree), ({"unverified": True}, "fsverity:" + tree)):
        step = {"name": "echo", "call": f"block:data@0+{len(kernel)}", **pins}
        done = kt.kchain("run", kt.bake(kt.pipeline([step], {}, block={"data": {"need": "required"}})), "--disk", disk, "--json")
        kt.check(done.exit == 0 and done.json()["steps"][0]["kernel_digest"] == called, "not as pinned", pins, done)
    for pins, found in (({"sha256": tree}, "sha256:" + sha), ({"fsverity": sha}, "fsverity:" + tree), ({"sha256": sha, "fsverity": sha}, "fsverity:" + tree)):
        step = {"name": "echo", "call": f"block:data@0+{len(kernel)}", **pins}
        done = kt.kchain("run", kt.bake(kt.pipeline([step], {}, block={"data": {"need": "required"}})), "--disk", disk)
        kt.check(done.exit == 4 and "not the pinned ones: " + found in done.err, "other bytes", pins, done)


@kt.test
def a_baked_file_needs_no_pin_and_takes_either():
    kernel = kt.read_bytes(ECHO)
    sha, tree = hashlib.sha256(kernel).hexdigest(), kt.fsverity(kernel)
    for pins, good in (({}, True), ({"sha256": sha}, True), ({"fsverity": tree}, True), ({"sha256": tree}, False), ({"fsverity": sha}, False)):
        done = kt.kchain("run", kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo", **pins}], {"/echo": ECHO})))
        kt.check(done.exit == (0 if good else 4), "not as pinned", pins, done)
        kt.check(good or "not the pinned ones" in done.err, "not told", done)


def of_version(image, version):
    """As an earlier version would have baked it, but for its stage and for where the pipeline lies: before the third without locators, and in the first with SHA-256 everywhere."""
    data = bytearray(kt.read_bytes(image))
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", image).json()["parts"]}
    header = data.index(b"KCHAIN\r\n")
    begin, room = parts["manifest"]["offset"], parts["manifest"]["bytes"]
    lines = [line.split(" ") for line in bytes(data[begin:begin + room]).decode().splitlines()]
    lines = [[w for w in words if version > 2 or not re.fullmatch("[0-9a-f]{16}", w)] for words in lines]
    lines[0][1] = str(version)
    data[header + 8] = version
    data[header + 16:header + 48] = bytes(32)
    data[header + 64:header + 72] = struct.pack("<Q", sum(len(" ".join(words)) + 1 for words in lines))
    for words in lines:
        if words[0] == "part":
            content = data[int(words[3]):int(words[3]) + int(words[4])]
            words[2] = hashlib.sha256(content).hexdigest() if version == 1 else kt.fsverity(content)
        elif words[0] == "file" and version == 1:
            words[1] = kt.kchain("cat", "--json", image, words[3]).json()["sha256"]
    text = "".join(" ".join(words) + "\n" for words in lines).encode()
    data[begin:begin + room] = text.ljust(room, b"\0")
    data[header + 16:header + 48] = hashlib.sha256(text).digest()
    return kt.write_bytes(kt.scratch("old.elf"), data)


@kt.test
def images_of_earlier_versions_are_read_and_started():
    kernel = kt.read_bytes(ECHO)
    for version, digest in ((1, "sha256:" + hashlib.sha256(kernel).hexdigest()), (2, "fsverity:" + kt.fsverity(kernel)), (3, "fsverity:" + kt.fsverity(kernel))):
        old = of_version(kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": ECHO}, name="old")), version)
        kt.check(kt.kchain("verify", old).exit == 0 and kt.kchain("ls", old).exit == 0, "not read", version)
        kt.check(kt.kchain("ls", "--digest", old, "/echo").out == f"sha256:{kt.fsverity(kernel)} /echo\n", "another digest", version)
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([{"name": "old", "boot": "fs:/old.elf"}], {"/old.elf": old})), "pc", "128M"))
        kt.check([r["name"] for r in ended.of("entered")][-1] == "old" and ended.of("result")[0]["status"] == "ok", "not started", ended)
        kt.check(ended.of("step")[-1]["digest"] == digest, "another digest", ended)


@kt.test
def a_later_version_is_refused_by_name():
    image = kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": ECHO}))
    data = bytearray(kt.read_bytes(image))
    data[data.index(b"KCHAIN\r\n") + 8] = 5
    done = kt.kchain("verify", "--json", kt.write_bytes(kt.scratch("later.elf"), data))
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "image-version", "not refused by name", done)


kt.main()
