#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""Roots: a folder, or a file system that is baked as it is, which Debian's unmodified kernel uses where it lies. Every file's digest is
checked inside. Skipped where no kernel can be had (`kchain kernel fetch`)."""
import functools
import glob
import hashlib
import json
import os
import random
import re
import shutil
import subprocess

import kt
import linux
import oci

# What is said of each file, as `stat` has it, its digest, and how the root came to be there.
SCRIPT = """#!/bin/busybox sh
b=/bin/busybox
echo "== files"
cd / && $b find data -exec $b stat -c '%A %u:%g %h %Y %n' {} +
$b find data -type f -exec $b sha256sum {} +
echo "== mounts"
$b cat /proc/mounts
echo "== iomem"
$b cat /proc/iomem
echo "== handoff"
$b cat /run/kchain/handoff.json
echo
echo "== cached"
$b grep ^Cached /proc/meminfo
echo "== end"
"""
EROFS_BLOCK = 4096


@functools.lru_cache(maxsize=None)
def tree():
    """A root with a program, and files of many sizes, modes and times. Returns (folder, {path: digest})."""
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    top, some, digests = kt.scratch("root"), random.Random(13), {}
    for folder in ("bin", "data/deep/er", "dev", "proc", "sys", "run", "tmp"):
        os.makedirs(os.path.join(top, folder))
    shutil.copy(system.busybox, os.path.join(top, "bin/busybox"))
    kt.write_bytes(os.path.join(top, "look"), SCRIPT.encode())
    os.chmod(os.path.join(top, "look"), 0o755)
    for number, size in enumerate((0, 1, 4095, 4096, 4097, 100_000, 3 << 20)):
        name, data = f"data/{'deep/er/' if number % 2 else ''}of-{size}", some.randbytes(size)
        kt.write_bytes(os.path.join(top, name), data)
        os.chmod(os.path.join(top, name), (0o644, 0o4755, 0o600, 0o2711)[number % 4])
        os.utime(os.path.join(top, name), (1_000_000_000 + number, 1_000_000_000 + number))
        digests[name] = hashlib.sha256(data).hexdigest()
    os.symlink("deep/er/of-1", os.path.join(top, "data/link"))
    os.link(os.path.join(top, "data/of-4095"), os.path.join(top, "data/again"))
    digests["data/again"] = digests["data/of-4095"]
    return top, digests


def bake_root(source, *args, exit_status=0):
    image = kt.scratch("root.elf")
    done = kt.kchain("bake", "--rootfs", source, "--kernel", os.path.join(linux.fetched(), "vmlinuz"), "--modules", os.path.join(linux.fetched(), "modules"),
                     "-o", image, "--entrypoint", "/look", *args)
    kt.check(done.exit == exit_status, f"exit {done.exit}, not {exit_status}", done)
    kt.check(os.path.exists(image) == (exit_status == 0), "an image is there, or is not", done)
    return image if exit_status == 0 else done


def parts_of(console):
    parts, lines = {}, []
    for line in console.replace("\r", "").splitlines():
        if line.startswith("== "):
            lines = parts[line[3:]] = []
        else:
            lines.append(line)
    return parts


def look(image, memory="256M"):
    """Boots it; what its program said, by part."""
    console = kt.scratch("console")
    boot = kt.run(image, "--memory", memory, "--no-net", "--until", "ended", "--console", console, hang_after_s=300)
    kt.check(boot.exit == 0, "the root's program did not end well", boot)
    parts = parts_of(kt.read_bytes(console).decode("utf-8", "replace"))
    kt.check("end" in parts, "it did not come to its end", boot)
    return parts


def check_files(parts, digests):
    found = dict(reversed(line.split("  ")) for line in parts["files"] if re.match("[0-9a-f]{64}  ", line))
    kt.check(found == digests, "other files than were baked", sorted(found.items() ^ digests.items()))


def section(image, name=".kchain.root"):
    """(offset, bytes) of a section in the file."""
    done = kt.command(["readelf", "-SW", image])
    found = re.search(rf"{re.escape(name)} +PROGBITS +\w+ (\w+) (\w+)", done.out)
    kt.check(found, f"no {name}", done)
    return int(found[1], 16), int(found[2], 16)


@functools.lru_cache(maxsize=None)
def seen():
    top, _ = tree()
    image = bake_root(top, "--owner", "7:8")
    return image, look(image)


@kt.test
def a_folder_is_used_where_it_lies():
    top, digests = tree()
    image, parts = seen()
    check_files(parts, digests)
    mounts = [line for line in parts["mounts"] if line.split()[1] == "/"]
    kt.check(len(mounts) == 1 and mounts[0].split()[2] == "overlay", "no overlay is the root", parts["mounts"])
    handoff = json.loads("".join(parts["handoff"]))
    place = handoff["root"]
    kt.check(place["type"] == "erofs" and place["bytes"] == section(image)[1], "the handoff says otherwise", place)
    base, end = int(place["phys"], 16), int(place["phys"], 16) + -(-place["bytes"] // (2 << 20) * (2 << 20))
    kt.check(base % (2 << 20) == 0, "not at a multiple of 2 MiB", place)
    end = base + -(-place["bytes"] // (2 << 20)) * (2 << 20)
    kt.check(f"{base:08x}-{end - 1:08x} : Persistent Memory (legacy)" in parts["iomem"], "Linux was not told of it", parts["iomem"])


@kt.test
def owners_modes_and_times_are_kept():
    top, _ = tree()
    _, parts = seen()
    stats = {line.split(" ", 4)[4]: line.split(" ", 4)[:4] for line in parts["files"] if not re.match("[0-9a-f]{64}  ", line)}
    for path in glob.glob("data/**", root_dir=top, recursive=True):
        path, st = path.rstrip("/"), os.lstat(os.path.join(top, path))
        mode, owner, links, time = stats[path]
        wanted = subprocess.run(["stat", "-c", "%A", os.path.join(top, path)], capture_output=True, text=True, check=True).stdout.strip()
        kt.check((mode, owner, time) == (wanted, "7:8", str(int(st.st_mtime))), f"{path}: {mode} {owner} {time}, not {wanted} {int(st.st_mtime)}")
        kt.check(os.path.isdir(os.path.join(top, path)) or links == str(st.st_nlink), f"{path}: {links} links, not {st.st_nlink}")


@kt.test
def nothing_of_it_is_in_the_page_cache():
    _, parts = seen()
    cached = int(parts["cached"][0].split()[1])
    kt.check(cached < 5 * 1024, f"{cached} KiB of page cache, after all was read", parts["cached"])


@kt.test
def the_same_root_gives_the_same_bytes():
    top, _ = tree()
    one, other = kt.read_bytes(bake_root(top)), kt.read_bytes(bake_root(top))
    kt.check(one == other, "two bakes of one tree differ")


@kt.test
def inspect_says_what_the_root_is():
    image, _ = seen()
    done = kt.kchain("inspect", image, "--json")
    root = done.json()["steps"][0]["root"]
    offset, count = section(image)
    kt.check((root["type"], root["offset"], root["bytes"]) == ("erofs", offset, count), "it lies elsewhere", root)
    kt.check(root["entry"]["argv"] == ["/look"] and "/kchain/modules/erofs.ko" in root["modules"], "no entry or no modules", root)
    kt.check("entry: /look" in kt.kchain("inspect", image).out, "not for people", done)


@kt.test
def what_differs_between_two_images_is_reported():
    top, _ = tree()
    other = kt.scratch("other")
    shutil.copytree(top, other, symlinks=True)
    one = bake_root(top, "--name", "x")
    same = kt.kchain("diff", one, bake_root(top, "--name", "x"), "--json").json()
    kt.check(same["same"] and not same["changes"], "two images of one tree differ", same)
    kt.write_bytes(os.path.join(other, "data/new"), b"new")
    os.remove(os.path.join(other, "data/link"))
    os.chmod(os.path.join(other, "data/of-0"), 0o600)
    kt.write_bytes(os.path.join(other, "data/of-4097"), b"short")
    done = kt.kchain("diff", one, bake_root(other, "--name", "x"), "--json")
    changes = {change["path"]: change["change"] + ": " + change.get("what", "") for change in done.json()["changes"]}
    for path, wanted in (("data/new", "added: "), ("data/link", "removed: "), ("data/of-0", "changed: mode"), ("data/of-4097", "changed: contents")):
        kt.check(changes.get("root:/" + path) == wanted, f"{path} is {changes.get('root:/' + path)}, not {wanted}", done)
    kt.check(changes.keys() - {f"root:/data/{name}" for name in ("new", "link", "of-0", "of-4097")} <= {"root:/", "root:/data", "root:/look",
             "root:/data/again", "root:/data/of-4095", "root:/data/of-0"}, "more is told", changes)


def file_system(kind):
    """The tree in a file system of its own maker's; null: there is none."""
    top, _ = tree()
    out = kt.scratch(kind)
    makers = {"erofs": ["mkfs.erofs", "-T0", out, top], "ext4": ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", top, out, "24M"],
              "squashfs": ["mksquashfs", top, out, "-quiet", "-no-progress"],
              "iso9660": ["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", out, top]}
    maker = makers[kind]
    found = shutil.which(maker[0]) or shutil.which("/usr/sbin/" + maker[0])
    if not found:
        return None
    done = kt.command([found, *maker[1:]])
    kt.check(done.exit == 0, f"no {kind}", done)
    return out


def a_file_system_is_baked_as_it_is(kind):
    def test():
        _, digests = tree()
        made = file_system(kind)
        if not made:
            raise kt.Skip(f"nothing here makes {kind}")
        image, back = bake_root(made, "--write", "none"), kt.scratch("back")
        done = kt.command(["objcopy", "--dump-section", f".kchain.root={back}", image, "/dev/null"])
        kt.check(done.exit == 0 and kt.read_bytes(back) == kt.read_bytes(made), "objcopy gives something else back", done)
        parts = look(image)
        check_files(parts, digests)
        kt.check(any(line.split()[1:3] == ["/", kind] for line in parts["mounts"]), f"the root is no {kind}", parts["mounts"])
    return test


for kind in ("erofs", "ext4", "squashfs", "iso9660"):
    kt.add_test(f"{kind}_is_baked_as_it_is", a_file_system_is_baked_as_it_is(kind))


@kt.test
def a_changed_byte_is_refused_before_linux_starts():
    image, _ = seen()
    data = bytearray(kt.read_bytes(image))
    offset, count = section(image)
    some = random.Random(2)
    for at in (0, 1024, count - 1, *(some.randrange(count) for _ in range(2))):
        data[offset + at] ^= 0x40
        kt.expect_error(kt.boot(kt.write_bytes(kt.scratch("flipped.elf"), data), memory="256M"), "image-digest", "/kchain/root")
        data[offset + at] ^= 0x40


@kt.test
def what_is_unverified_is_not_hashed():
    """Neither the root nor the kernel, whose last byte nobody reads, nor the initial file system: the changed bytes are what is found inside."""
    top, _ = tree()
    pipeline = {"kchain": 1, "name": "unverified", "steps": [{"name": "root", "boot": "linux"}],
                "root": {"from": top, "kernel": os.path.join(linux.fetched(), "vmlinuz"), "modules": os.path.join(linux.fetched(), "modules"), "entrypoint": ["/look"], "unverified": True,
                         "hostname": "first-name"}}
    image = kt.bake(pipeline)
    data, content = bytearray(kt.read_bytes(image)), kt.read_bytes(os.path.join(top, "data/deep/er/of-100000"))
    for part, at in ((content, 50_000), (subprocess.run([kt.KCHAIN, "cat", image, "/kchain/linux"], capture_output=True, check=True).stdout, -1), (b'"hostname":"first-name"', 16)):
        where = data.find(part)
        kt.check(where > 0 and part, "not in the image")
        data[where + at % len(part)] ^= 1
    ended = kt.boot(kt.write_bytes(kt.scratch("changed.elf"), data), memory="256M")
    kt.check("== end" in ended.console, "it did not come to its end", ended)
    changed = bytearray(content)
    changed[50_000] ^= 1
    kt.check(hashlib.sha256(changed).hexdigest() in ended.console, "the changed file is not there", ended)


@kt.test
def what_is_wrong_is_said_at_bake():
    top, _ = tree()
    empty = kt.scratch("empty")
    os.makedirs(empty)
    lone = kt.write_bytes(kt.scratch("vmlinuz"), kt.read_bytes(os.path.join(linux.fetched(), "vmlinuz")))
    less = kt.scratch("modules")
    os.makedirs(less)
    with open(os.path.join(linux.fetched(), "modules/modules.order"), encoding="utf-8") as f:
        kt.write_bytes(os.path.join(less, "modules.order"), "".join(line for line in f if "nd_e820" not in line).encode())
    os.symlink(os.path.join(linux.fetched(), "modules/kernel"), os.path.join(less, "kernel"))
    with_kernel = ["--kernel", os.path.join(linux.fetched(), "vmlinuz"), "--modules", os.path.join(linux.fetched(), "modules")]
    noise = kt.write_bytes(kt.scratch("noise"), random.Random(5).randbytes(9999))
    for args, slug in ((["--rootfs", top, *with_kernel], "root-no-entry"),
                       (["--rootfs", top, *with_kernel, "--entrypoint", "/data/of-4096"], "root-program"),
                       (["--rootfs", top, *with_kernel, "--entrypoint", "absent"], "root-program"),
                       (["--rootfs", top, "--kernel", lone, "--entrypoint", "/look"], "root-module"),
                       (["--rootfs", top, "--kernel", lone, "--modules", empty, "--entrypoint", "/look"], "root-module"),
                       (["--rootfs", top, "--kernel", lone, "--modules", less, "--entrypoint", "/look"], "root-kernel-lacks"),
                       (["--rootfs", noise, *with_kernel, "--entrypoint", "/look"], "root-unknown"),
                       (["--rootfs", noise, "--rootfs-type", "image", *with_kernel, "--entrypoint", "/look"], "root-fs-type"),
                       (["--rootfs", kt.scratch("nothing"), *with_kernel, "--entrypoint", "/look"], "io"),
                       (["--rootfs", top, *with_kernel, "--entrypoint", "/look", "--owner", "me"], "not-supported"),
                       (["--rootfs", top, *with_kernel, "--entrypoint", "/look", "--memory", "20M"], "bake-no-room|no-space")):
        done = kt.kchain("bake", *args, "--json", "-o", kt.scratch("none.elf"))
        kt.check(done.exit == 3 and re.fullmatch(slug, done.json()["error"]["slug"]), f"not refused as {slug}", done)


# "root" besides "from" and what starts in it, in a line of its own; where the error points (key, line, column), and what it says behind that.
AT_KEYS = (
    ('"owner": "me"', "root.owner", 3, 4, "me: not supported: an owner is UID:GID, two numbers"),
    ('"owner": "0:4294967295"', "root.owner", 3, 4, "0:4294967295: not supported: an owner is UID:GID, two numbers"),
    ('"type": "tra"', "root.type", 3, 4, "tra: no kind of source for a root; there is debian, oci, docker, folder, image, tar"),
    ('"type": "tar"', "root.from", 2, 12, "TOP: not supported: an archive that is no regular file"),
    ('"platform": "amd64", "type": "oci"', "root.platform", 3, 4, "amd64: not supported: a platform that is not of the form OS/ARCHITECTURE"),
    ('"type": "oci"', "root.from", 2, 12, "TOP: index.json is not in it"),
    ('"from": "nothing"', "root.from", 3, 4, "HERE/nothing: No such file or directory"),
    ('"from": "i.tar:latest"', "root.from", 3, 4, "HERE/i.tar:latest: No such file or directory"),
    ('"from": "image.tar:latest"', "root.from", 3, 4, "HERE/image.tar: index.json: no image for linux/amd64; there is linux/arm64"),
    ('"platform": "linux/s390x", "from": "image.tar:latest"', "root.platform", 3, 4, "HERE/image.tar: index.json: no image for linux/s390x; there is linux/arm64"),
    ('"platform": "amd64", "from": "image.tar"', "root.platform", 3, 4, "amd64: not supported: a platform that is not of the form OS/ARCHITECTURE"),
    ('"from": "noise", "type": "image"', "root.from", 3, 4, "HERE/noise: which file system this is can't be seen from its first bytes"),
    ('"from": "noise", "type": "image",\n "fs": "foofs"', "root.fs", 4, 2, "MODULES: this kernel lacks foofs, without which it can't use a root in place"),
    ('"kernel": "nothing"', "root.kernel", 3, 4, "HERE/nothing: No such file or directory"),
    ('"kernel": "noise"', "root.kernel", 3, 4, "HERE/noise: where its modules are is not said: --modules FOLDER"),
    ('"modules": "nothing"', "root.modules", 3, 4, "HERE/nothing: whose modules they are is not said: --kernel FILE"),
    ('"kernel": "noise",\n "modules": "nothing"', "root.modules", 4, 2, "HERE/nothing: No such file or directory"),
    ('"kernel": "KERNEL",\n "modules": "empty"', "root.modules", 4, 2,
     "HERE/empty: no folder of a kernel's modules: it has no modules.order or modules.dep"),
    ('"load": ["erofs", "none"]', "root.load", 3, 4, "none: is no module in MODULES"),
    ('"load": [' + ", ".join(['"erofs"'] * 65) + "]", "root.load", 3, 4, "load: 65 modules exceed the limit of 64"),
    ('"add": {"/a": "empty",\n "/b": "nothing"}', 'root.add["/b"]', 4, 2, "HERE/nothing: No such file or directory"),
    ('"add": {"b": "empty"}', "root.add.b", 3, 12, "b: it does not begin with /"),
    ('"add": {"/look": "empty"}', 'root.add["/look"]', 3, 12, "/look: is a folder in the root and a file in what is added, or the other way round"),
    ('"write": "some"', "root.write", 3, 4, '"some" is not one of "overlay", "tmp", "none"'),
    ('"entrypoint": ["/data/of-4095"]', "root.entrypoint", 3, 4, "TOP: /data/of-4095: is not executable (mode 0600)"),
    ('"entrypoint": "/data"', "root.entrypoint", 3, 4, "TOP: /data: is a folder, not a program"),
    ('"entrypoint": "absent"', "root.entrypoint", 3, 4,
     "TOP: absent: is in no folder of the PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ('"entrypoint": []', "root.entrypoint", 3, 4, "TOP: what to start in it is not said"),
    ('"entrypoint": "/arm"', "root.entrypoint", 3, 4, "TOP: /arm: is made for aarch64 (ELF machine 183), not for x86-64"),
)


@kt.test
def what_is_wrong_is_said_at_its_key():
    """One error, with the line and the column of the key that it is about; none because of it; and no image."""
    top, here = kt.scratch("top"), kt.scratch("here")
    shutil.copytree(tree()[0], top, symlinks=True)
    os.makedirs(os.path.join(here, "empty"))
    arm = bytearray(kt.read_bytes(os.path.join(top, "bin/busybox"))[:4096])
    arm[18:20] = (183).to_bytes(2, "little")
    os.chmod(kt.write_bytes(os.path.join(top, "arm"), arm), 0o755)
    kt.write_bytes(os.path.join(here, "noise"), random.Random(5).randbytes(9999))
    made = oci.Layout()
    made.image([[oci.folder("a")]], tag="latest", platform=("linux", "arm64"), listed=("linux", "arm64"))
    made.write_tar(os.path.join(here, "image.tar"))
    known = {"TOP": top, "HERE": here, "MODULES": os.path.join(linux.fetched(), "modules"), "KERNEL": os.path.join(linux.fetched(), "vmlinuz")}
    for members, path, line, column, text in AT_KEYS:
        for name, value in known.items():
            members, text = members.replace(name, value), text.replace(name, value)
        usual = "".join(f'"{key}": {value}, ' for key, value in (("from", json.dumps(top)), ("entrypoint", '"/look"')) if f'"{key}"' not in members)
        document = f'{{ "kchain": 1, "name": "a",\n "root": {{ {usual}\n   {members} }} }}'
        pipeline, out = kt.write_bytes(os.path.join(here, "p.json"), document.encode()), os.path.join(here, "none.elf")
        done = kt.kchain("bake", pipeline, "--json", "-o", out)
        errors = done.json().get("errors", [])
        kt.check(done.exit == 3 and [(e["path"], e["line"], e["column"]) for e in errors] == [(path, line, column)], f"not at {path}", document, done)
        kt.check(errors[0]["message"] == f"{path}: {text}", "another message", errors[0]["message"], text)
        kt.check(sorted(os.listdir(here)) == ["empty", "image.tar", "noise", "p.json"], "something was left", os.listdir(here))


@kt.test
def a_kernel_without_dax_is_refused():
    """Its driver for EROFS asks the kernel for none of DAX's functions."""
    top, _ = tree()
    other = kt.scratch("modules")
    shutil.copytree(os.path.join(linux.fetched(), "modules"), other)
    (driver,) = glob.glob(os.path.join(other, "kernel/fs/erofs/erofs.ko"))
    kt.write_bytes(driver, kt.read_bytes(driver).replace(b"dax_iomap_", b"not_iomap_"))
    done = kt.kchain("bake", "--rootfs", top, "--kernel", os.path.join(linux.fetched(), "vmlinuz"), "--modules", other, "--entrypoint", "/look", "--json",
                     "-o", kt.scratch("none.elf"))
    error = done.json()["error"]
    kt.check(done.exit == 3 and error["slug"] == "root-kernel-lacks" and "CONFIG_FS_DAX" in error["message"], "not refused", done)


@kt.test
def facts_in_the_environment_are_checked_at_bake():
    """Each by its key, with line and column."""
    top, _ = tree()
    text = ('{"kchain": 1, "name": "facts", "root": {"from": %s, "entrypoint": "/look",\n "env": {"A": "{{state.a}}",\n  "B": "{{no.such}}", "C": "{{boot_id",\n'
            '  "D": "{{state.d|x}} {{boot_id}}"}}}' % json.dumps(top))
    path = kt.write_bytes(kt.scratch("facts.json"), text.encode())
    done = kt.kchain("bake", path, "--json", "-o", kt.scratch("none.elf"))
    found = [(e["slug"], e["path"], e["line"], e["column"]) for e in done.json()["errors"]]
    kt.check(done.exit == 3 and found == [("template-no-default", "root.env.A", 2, 10), ("template-unknown", "root.env.B", 3, 3),
             ("template-syntax", "root.env.C", 3, 23)], "other errors", found, done)
    done = kt.kchain("bake", "--rootfs", top, "--entrypoint", "/look", "-e", "X={{state.x}}", "--json", "-o", kt.scratch("none.elf"))
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "template-no-default", "not refused", done)


@kt.test
def a_machine_too_small_is_reported():
    image, _ = seen()
    boot = kt.run(image, "--memory", "16M", "--no-net", "--until", "ended", hang_after_s=120)
    kt.check(boot.exit in (3, 4) and re.search("its end lies at|the machine has|memory", str(boot)), "not said", boot)


kt.main()
