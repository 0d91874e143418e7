#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 120
"""`kchain verify`, `ls` and `cat` on images in images, and on what is not there."""
import hashlib
import os
import re
import shutil
import struct

import kt

ECHO = {"/echo": "build/kernels/echo.elf"}
STEPS = [{"name": "echo", "call": "fs:/echo"}]


def parent_of(child):
    """An image with the child under three names, one of them a hard link, and once more with a byte before it."""
    folder = os.path.dirname(kt.scratch("x"))
    shutil.copyfile(child, os.path.join(folder, "one"))
    shutil.copyfile(child, os.path.join(folder, "same"))
    os.link(os.path.join(folder, "one"), os.path.join(folder, "hard"))
    kt.write_bytes(os.path.join(folder, "shifted"), b"x" + kt.read_bytes(child))
    return kt.bake(kt.pipeline(STEPS, {**ECHO, "/d": folder}))


@kt.test
def images_inside_are_verified_once_whatever_their_names():
    inner = kt.bake(kt.pipeline(STEPS, ECHO))
    middle = parent_of(inner)
    outer = parent_of(middle)
    for image, images, files in ((inner, 1, 2), (middle, 2, 6 + 2), (outer, 3, 6 + 6 + 2)):
        said = kt.kchain("verify", "--json", image).json()
        kt.check((said["ok"], said["images"], said["files"]) == (True, images, files), "another count", said)
    kt.check("2 images inside" in kt.kchain("verify", outer).out, "not said")


@kt.test
def damage_inside_is_named_by_its_way_there():
    child = kt.bake(kt.pipeline(STEPS, ECHO))
    bad = bytearray(kt.read_bytes(child))
    bad[5000] ^= 1
    middle = kt.bake(kt.pipeline(STEPS, {**ECHO, "/bad.elf": kt.write_bytes(kt.scratch("bad.elf"), bad)}))
    outer = kt.bake(kt.pipeline(STEPS, {**ECHO, "/middle.elf": middle}))
    done = kt.kchain("verify", "--json", outer)
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "image-digest", "not refused", done)
    kt.check(done.json()["error"]["subject"] == f"{outer}: /middle.elf: /bad.elf: stage", "not named", done)


@kt.test
def what_is_printed_is_what_was_baked():
    image = kt.bake(kt.pipeline(STEPS, ECHO))
    manifest = kt.command([kt.KCHAIN, "cat", image, "--manifest"]).out
    kt.check("sha256:" + hashlib.sha256(manifest.encode()).hexdigest() == kt.kchain("verify", "--json", image).json()["id"], "another id")
    said = kt.kchain("cat", "--json", image, "/echo").json()
    kt.check(said["sha256"] == hashlib.sha256(kt.read_bytes("build/kernels/echo.elf")).hexdigest() and "text" not in said, "another file", said)
    kt.check([e["path"] for e in kt.kchain("ls", "--json", image, "/kchain").json()] == ["/kchain", "/kchain/pipeline.json"], "another list")
    for command in ("ls", "cat"):
        done = kt.kchain(command, "--json", image, "/none")
        kt.check(done.exit == 3 and done.json()["error"]["subject"] == f"{image}: /none", "not named", done)
        done = kt.kchain(command, "--json", "build/kernels/echo.elf", "/none")
        kt.check(done.exit == 3 and done.json()["error"]["slug"] == "image-not-baked", "not refused", done)


@kt.test
def the_id_can_be_made_by_other_tools():
    """By docs/image-id.sh, which docs/IMAGE.md offers: an image with files of many sizes, links and names, in both forms; and damaged ones."""
    folder = os.path.dirname(kt.scratch("x"))
    tree = os.path.join(folder, "tree")
    os.makedirs(os.path.join(tree, "a b"))
    for size in (0, 1, 4095, 4096, 4097, 12288, 128 * 4096 + 1):
        kt.write_bytes(os.path.join(tree, "a b", f"f {size}"), bytes(i * 7 % 251 for i in range(size)))
    os.symlink("a b/f 1", os.path.join(tree, "link"))
    value = kt.pipeline(STEPS, {**ECHO, "/d": tree})
    for form in ("multiboot", "pvh"):
        image = kt.bake(value, "--format", form)
        done = kt.command(["docs/image-id.sh", image])
        kt.check(done.exit == 0 and "sha256:" + done.out.strip() == kt.kchain("verify", "--json", image).json()["id"], "another id", done)
    data = kt.read_bytes(image)
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", image).json()["parts"]}
    for at in (100, parts["stage"]["offset"] + 9000, data.index(kt.read_bytes("build/kernels/echo.elf")) + 5000):
        changed = bytearray(data)
        changed[at] ^= 1
        done = kt.command(["docs/image-id.sh", kt.write_bytes(kt.scratch("bad.elf"), changed)])
        kt.check(done.exit != 0, f"a change at {at} is not seen", done)


@kt.test
def listed_digests_are_those_of_the_tool():
    image = kt.bake(kt.pipeline(STEPS, {**ECHO, "/d/empty": kt.write_bytes(kt.scratch("empty"), b""),
                                        "/d/large": kt.write_bytes(kt.scratch("large"), bytes(range(251)) * 5000)}))
    folder = os.path.dirname(kt.scratch("x"))

    def tool(*argv):
        done = kt.command(argv)
        kt.check(done.exit == 0, "failed", done)
        return done.out

    tool("objcopy", "-O", "binary", "--only-section=.kchain.fs", image, f"{folder}/fs.img")
    tool("fsck.erofs", f"--extract={folder}/tree", f"{folder}/fs.img")
    found = sorted(os.path.join(d, n)[len(folder) + 5:].encode() for d, _, names in os.walk(f"{folder}/tree") for n in names)
    listed = tool("fsverity", "digest", *(f"{folder}/tree{p.decode()}" for p in found)).replace(f"{folder}/tree", "")
    kt.check(kt.command([kt.KCHAIN, "ls", "--digest", image]).out == listed, "another list", listed)
    kt.check({e["path"]: e["fsverity"] for e in kt.kchain("ls", "--json", image).json() if e["type"] == "file"} ==
             {line.split()[1]: line.split()[0][7:] for line in listed.splitlines()}, "another list as JSON")


def forged(image, patch):
    """The image after `patch` changed its filesystem's metadata, with digests and an id that fit."""
    data = bytearray(kt.read_bytes(image))
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", image).json()["parts"]}
    meta, manifest = (slice(parts[n]["offset"], parts[n]["offset"] + parts[n]["bytes"]) for n in ("fs-meta", "manifest"))
    changed = bytearray(data[meta])
    patch(changed)
    text = bytes(data[manifest]).replace(kt.fsverity(data[meta]).encode(), kt.fsverity(changed).encode())
    data[meta], data[manifest] = changed, text
    header = data.index(b"KCHAIN\r\n")
    data[header + 16:header + 48] = hashlib.sha256(text).digest()
    return kt.write_bytes(kt.scratch("forged.elf"), data)


@kt.test
def a_folder_in_two_places_is_not_listed_for_ever():
    folder = os.path.dirname(kt.scratch("x"))
    for name in ("one", "two"):
        os.makedirs(os.path.join(folder, name))
        kt.write_bytes(os.path.join(folder, name, "file"), b"x")
    image = kt.bake(kt.pipeline(STEPS, {**ECHO, "/d": folder}))
    region = kt.scratch("fs.img")
    kt.command(["objcopy", "-O", "binary", "--only-section=.kchain.fs", image, region])
    nids = [int(re.search(r"NID: (\d+)", kt.command(["dump.erofs", f"--path=/d/{name}", region]).out)[1]) for name in ("one", "two")]

    def patch(meta):
        meta[1024 + 8] &= 0xfe  # the superblock has no checksum from here on
        entry = struct.pack("<Q", nids[1])
        at = [i for i in range(1152, len(meta) - 12) if meta[i:i + 8] == entry and meta[i + 10] == 2 and i % 4 == 0]
        kt.check(len(at) == 2, "the entries of one folder are its own and its parent's", at)
        first = min(at, key=lambda i: abs(i - meta.index(b"onetwo")))
        meta[first:first + 8] = struct.pack("<Q", nids[0])

    kt.check(kt.kchain("ls", image, "/d").exit == 0 and kt.kchain("ls", forged(image, lambda meta: None)).exit == 0, "the sound one is refused")
    done = kt.kchain("ls", "--json", forged(image, patch))
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "fs-directory-twice", "not refused", done)


kt.main()
