#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 180
"""Linux's own EROFS driver reads what we write: one boot of a Debian kernel with two disks, the filesystem of an image that
`kchain bake` made of a host's tree, and one of every kind of node. All that it says of each node is compared, and each content's
SHA-256. Skipped where no such kernel was fetched."""
import functools
import hashlib
import os
import random
import stat

import kt
import linux

LIST_TREE, WRITE_EVERY_NODE = "build/host/fs/tests/list_tree", "build/host/fs/tests/write_every_node"
FIELDS = ("mode", "uid", "gid", "links", "bytes", "device", "time", "target")
MODULES = ("virtio_pci", "virtio_blk", "erofs")
# Each disk mounted and listed; then what the driver had to say.
SCRIPT = """
b=/busybox
for disk in vda vdb; do
	$b echo "== $disk"
	$b mount -t erofs -o ro /dev/$disk /mnt && cd /mnt && /list_tree && $b find . -type f -exec $b sha256sum {} +
	cd / && $b umount /mnt || $b echo "$disk: failed"
done
$b echo "== driver"
$b dmesg | $b grep -i erofs
$b echo "== end"
"""
# Directories of so many files: none, a few behind the inode, one block and the rest, several blocks.
DIRECTORY_SIZES = (0, 1, 2, 3, 7, 20, 60, 90, 100, 110, 128, 150, 200, 333)
# Around the ends of blocks.
FILE_SIZES = (0, 1, 4064, 4095, 4096, 4097, 8191, 8192, 8193, 100_000, 1_500_000)


def make_tree(top):
    """Hundreds of files, names of up to 255 bytes, folders in folders, links of both kinds."""
    some = random.Random(1)
    for number, count in enumerate(DIRECTORY_SIZES):
        folder = os.path.join(top, f"of-{count}")
        os.makedirs(folder)
        for i in range(count):
            name = f"{i}-" + "n" * some.choice((0, 3, 12, 40)) + "é" * (number % 2)
            kt.write_bytes(os.path.join(folder, name), some.randbytes(some.randrange(300)))
    deep = os.path.join(top, *(f"level-{i}" for i in range(40)))
    os.makedirs(deep)
    for size in FILE_SIZES:
        kt.write_bytes(os.path.join(deep, f"size-{size}"), some.randbytes(size))
    for i in range(30):
        kt.write_bytes(os.path.join(top, f"{i:02}" + "l" * 253), b"long name\n")
    for i in range(12):  # a target that fits behind its inode, and longer ones up to the limit
        os.symlink("t" * (1, 10, 100, 1000, 2000, 3000, 4000, 4030, 4060, 4090, 4094, 4095)[i], os.path.join(top, f"link-{i}"))
    os.link(os.path.join(deep, "size-4097"), os.path.join(top, "another-name"))
    os.link(os.path.join(deep, "size-4097"), os.path.join(top, "of-0", "a-third"))
    kt.write_bytes(os.path.join(top, "program"), b"#!/bin/sh\n")
    os.chmod(os.path.join(top, "program"), 0o700)
    kt.write_bytes(os.path.join(top, "same"), kt.read_bytes(os.path.join(deep, "size-8193")))


def add_directory(nodes, path, time="0.000000000"):
    """Folders that nobody named are root's, with mode 0755 and the top's time."""
    nodes.setdefault(path, {}).setdefault("node", ["40755", "0", "0", "1", "0", "0:0", time, ""])
    if path != "/":
        add_directory(nodes, os.path.dirname(path), time)


def count_links(nodes):
    """A directory has its own two, and one of each directory in it."""
    directories = [path for path, node in nodes.items() if node["node"][0].startswith("4")]
    for path in directories:
        inside = sum(1 for other in directories if other != "/" and os.path.dirname(other) == path)
        nodes[path]["node"][FIELDS.index("links")] = str(2 + inside)
    return nodes


def expected_of_tree(top, at):
    """What `bake` makes of a folder that is to lie `at` the image's path: root's, 0755 or 0644, time 0."""
    nodes = {}
    add_directory(nodes, at)
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            inside, st = os.path.join(at, os.path.relpath(path, top)), os.lstat(path)
            if stat.S_ISDIR(st.st_mode):
                add_directory(nodes, inside)
            elif stat.S_ISLNK(st.st_mode):
                nodes[inside] = {"node": ["120777", "0", "0", "1", str(st.st_size), "0:0", "0.000000000", os.readlink(path)]}
            else:
                mode = "100755" if st.st_mode & 0o111 else "100644"
                nodes[inside] = {"node": [mode, "0", "0", str(st.st_nlink), str(st.st_size), "0:0", "0.000000000", ""],
                                 "sha256": hashlib.sha256(kt.read_bytes(path)).hexdigest()}
    return nodes


def parsed(lines):
    """Lines of list_tree (fs/tests/tree_line.h) and of sha256sum, by path."""
    nodes = {}
    for line in lines:
        path, *fields = line.split("\t")
        if len(fields) == len(FIELDS):
            nodes.setdefault(path, {})["node"] = fields
        elif len(fields) == 2:
            nodes.setdefault(path, {})[fields[0]] = fields[1]
        else:
            digest, _, name = line.partition("  .")
            kt.check(len(digest) == 64 and name, f"a line that is none of a listing: {line!r}")
            nodes.setdefault(name, {})["sha256"] = digest
    return nodes


def compare(found, wanted):
    different = [f"{path}: {found.get(path)}, not {wanted.get(path)}" for path in sorted(found.keys() | wanted.keys())
                 if found.get(path) != wanted.get(path)]
    kt.check(not different, f"{len(different)} nodes differ", "\n".join(different[:8]))


@functools.lru_cache(maxsize=None)
def seen():
    """Boots once; the lines of each part, and what is expected of either disk."""
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    top = kt.scratch("tree")
    make_tree(top)
    image = kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/tree/of-0/echo"}],
                                {"/tree": top, "/tree/of-0/echo": "build/kernels/echo.elf"}))
    baked, every = kt.scratch("baked.img"), kt.scratch("every.img")
    done = kt.command(["objcopy", "-O", "binary", "--only-section=.kchain.fs", image, baked])
    kt.check(done.exit == 0, "objcopy failed", done)
    nodes = kt.command([os.path.abspath(WRITE_EVERY_NODE), every])
    kt.check(nodes.exit == 0, "no image of every node", nodes)
    lines = listing(system, baked, every)
    return lines, (expected_of_tree(top, "/tree"), parsed(nodes.out.splitlines()))


def listing(system, *disks):
    files = [("list_tree", LIST_TREE)]
    argv = ["-kernel", system.kernel, "-initrd", linux.initramfs(system, SCRIPT, files, MODULES), "-append", "console=ttyS0 quiet"]
    for number, disk in enumerate(disks):
        argv += kt.virtio_disk(disk, f"DISK{number}", f"disk{number}")
    with kt.Machine(kt.qemu_argv("pc", "128M", *argv)) as machine:
        status = machine.wait_for_end()
        kt.check(status == 0 and "== end" in machine.console(), f"Linux did not end well ({status})", machine.explain())
        parts, lines = {}, []
        for line in machine.console().splitlines():
            if line.startswith("== "):
                lines = parts[line[3:]] = []
            elif line:
                lines.append(line)
    return parts


@kt.test
def what_bake_made_is_the_tree_it_was_made_of():
    lines, (wanted, _) = seen()
    found = parsed(lines["vda"])
    for path in ("/tree/of-0/echo", "/kchain/pipeline.json"):
        kt.check("sha256" in found.pop(path), f"{path} is not there")
    add_directory(wanted, "/kchain")
    compare(found, count_links(wanted))


@kt.test
def every_kind_of_node_is_what_it_was_said_to_be():
    lines, (_, wanted) = seen()
    for path in list(wanted):
        add_directory(wanted, os.path.dirname(path), wanted["/"]["node"][FIELDS.index("time")])
    compare(parsed(lines["vdb"]), count_links(wanted))


@kt.test
def the_driver_complains_of_nothing():
    lines, _ = seen()
    kt.check(len(lines["driver"]) == 2 and all("mounted with root inode" in line for line in lines["driver"]), "it says more", lines["driver"])


kt.main()
