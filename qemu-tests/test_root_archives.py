#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""Archives as sources of a root: tar archives, OCI layouts and docker's archives. What comes of layers is what `umoci unpack` makes of them,
for images made to be difficult and for random ones; hostile ones are refused, each by its own error."""
import json
import os
import random
import shutil
import subprocess
import tarfile
import time

import kt
import oci

PROGRAM = os.path.abspath("build/host/chain/tests/root_list")
SEEDS = int(os.environ.get("KCHAIN_SEEDS", "40"))
CAPABILITY = "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # cap_net_bind_service, effective


def list_root(path, tag="", platform="linux/amd64", env=None):
    """(the entry, nodes by path), or the error's name and text."""
    done = subprocess.run([PROGRAM, path, tag, platform], capture_output=True, timeout=300, check=False, env={**os.environ, **(env or {})})
    lines = done.stdout.decode().splitlines()
    if done.returncode == 3:
        return lines
    kt.check(done.returncode == 0, f"root_list: {done.returncode}", done.stderr.decode(), *lines)
    nodes = [json.loads(line) for line in lines[1:]]
    return json.loads(lines[0]), {node.pop("path"): node for node in nodes}


def refused(path, slug, text, **more):
    found = list_root(path, **more)
    kt.check(found[0] == slug and found[1].endswith(text), f"not refused as {slug}: …{text}", found)
    kt.check(len(found[1]) < 700 and "\n" not in found[1], "not one clear line", found)


def accepted(path, **more):
    found = list_root(path, **more)
    kt.check(isinstance(found[0], dict), "refused", found)
    return found


def needs_umoci():
    if os.geteuid() != 0:
        raise kt.Skip("owners and devices can be unpacked by root alone")
    if not shutil.which("umoci"):
        raise kt.Skip("umoci is not here")


def unpacked(made):
    """(by umoci, when it began); None where it refuses, with its words."""
    where = made.write_folder(kt.scratch("layout"))
    out, began = kt.scratch("root"), int(time.time())
    done = subprocess.run(["umoci", "raw", "unpack", "--image", where + ":latest", out], capture_output=True, text=True, timeout=120, check=False, umask=0o22)
    return where, (oci.of_system(out) if done.returncode == 0 else None), began, done.stderr


def compare(made):
    """Both make the same of it; or both refuse it, and this is false."""
    where, theirs, began, words = unpacked(made)
    found = list_root(where, "latest")
    if theirs is None and not isinstance(found[0], dict):
        return False
    kt.check(theirs is not None and isinstance(found[0], dict), "one refuses it", found, words, describe(made))
    ours = found[1]
    for nodes in (ours, theirs):
        for node in nodes.values():
            node.pop("ns", None)
    for path, node in theirs.items():
        # what no entry says a time of has the time of unpacking there
        if node.get("mtime", 0) >= began and path in ours:
            ours[path]["mtime"] = node["mtime"]
    different = {path: (theirs.get(path), ours.get(path)) for path in {*theirs, *ours} if theirs.get(path) != ours.get(path)}
    kt.check(not different, "another tree than umoci's", json.dumps(different, indent=1), describe(made))
    return True


def describe(made):
    return "\n".join(f"layer {number}: {text}" for number, text in enumerate(getattr(made, "told", [])))


# --- images made to be difficult ---


def opaque_before():
    return [[oci.folder("d"), oci.entry("d/old", data=b"old"), oci.folder("d/sub"), oci.entry("d/sub/x", data=b"x")],
            [oci.opaque("d"), oci.folder("d", mode=0o700, uid=7, gid=8), oci.entry("d/new", data=b"new")]]


def opaque_behind():
    return [[oci.folder("d"), oci.entry("d/old", data=b"old"), oci.folder("d/sub"), oci.entry("d/sub/x", data=b"x")],
            [oci.folder("d"), oci.entry("d/new", data=b"new"), oci.folder("d/sub"), oci.entry("d/sub/y", data=b"y"), oci.opaque("d")]]


def hard_link_across():
    return [[oci.folder("bin"), oci.entry("bin/tool", data=b"tool" * 999, mode=0o755), oci.hard("bin/alias", "bin/tool")],
            [oci.folder("bin"), oci.hard("bin/third", "bin/tool"), oci.entry("bin/tool", data=b"another", mode=0o755), oci.hard("bin/fourth", "bin/tool")]]


def attributes():
    return [[oci.folder("x", xattrs={"user.kind": "folder"}),
             oci.entry("x/bin", data=b"\x7fELF", mode=0o755, xattrs={"security.capability": CAPABILITY, "user.note": "größer"}),
             oci.entry("x/file", data=b"1", xattrs={"user.a": "1", "user.b": ""})],
            [oci.folder("x", xattrs={"user.other": "z" * 500}), oci.entry("x/file", data=b"2", xattrs={"user.c": "3"})]]


def setuid():
    return [[oci.folder("t", mode=0o1777), oci.entry("t/su", data=b"su", mode=0o4755, uid=0, gid=42, mtime=1234567890),
             oci.entry("t/mail", data=b"m", mode=0o2755, uid=1000, gid=70000), oci.entry("t/none", mode=0)],
            [oci.entry("t/su", data=b"su2", mode=0o6711, uid=3, gid=4, mtime=5)]]


def devices():
    return [[oci.folder("dev"), oci.entry("dev/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
             oci.entry("dev/sdq", tarfile.BLKTYPE, mode=0o660, gid=6, devmajor=65, devminor=304), oci.entry("dev/pipe", tarfile.FIFOTYPE, mode=0o600),
             oci.hard("dev/zilch", "dev/null")],
            [oci.entry("dev/pipe", tarfile.CHRTYPE, mode=0o620, devmajor=136, devminor=1000)]]


def types():
    """Each kind of entry in the place of each other."""
    kinds = {"f": lambda n: [oci.entry(n, data=b"f")], "l": lambda n: [oci.link(n, "elsewhere")], "p": lambda n: [oci.entry(n, tarfile.FIFOTYPE)],
             "d": lambda n: [oci.folder(n), oci.entry(n + "/in", data=b"in")], "c": lambda n: [oci.entry(n, tarfile.CHRTYPE, devmajor=1, devminor=5)],
             "h": lambda n: [oci.hard(n, "base")], "w": lambda n: [oci.whiteout(n)]}
    pairs = [(a, b) for a in kinds for b in kinds]
    return [[oci.entry("base", data=b"base")] + [e for a, b in pairs for e in kinds[a](f"{a}{b}")], [e for a, b in pairs for e in kinds[b](f"{a}{b}")]]


def links_in_paths():
    return [[oci.folder("usr/lib"), oci.link("lib", "usr/lib"), oci.link("abs", "/usr/lib"), oci.link("usr/up", "../usr/lib"), oci.link("gone", "made/later"),
             oci.entry("usr/lib/old", data=b"o")],
            [oci.entry("lib/a", data=b"a"), oci.entry("abs/b", data=b"b"), oci.entry("usr/up/c", data=b"c"), oci.entry("gone/d", data=b"d"),
             oci.hard("lib/e", "abs/b"), oci.whiteout("lib/old")]]


def odd_names():
    return [[oci.folder("./"), oci.folder("./é"), oci.entry("./é/ü\nü", data=b"1"), oci.entry("é/" + "n" * 250, data=b"2"), oci.entry("./a//b/./c", data=b"3"),
             oci.entry("/".join(["deep" * 20] * 12), data=b"4"), oci.entry("é/...", data=b"5"), oci.entry(" ", data=b"6"), oci.entry("\\", data=b"7")]]


def whiteouts():
    return [[oci.folder("a"), oci.entry("a/x", data=b"x"), oci.folder("a/b"), oci.entry("a/b/y", data=b"y"), oci.entry("top", data=b"t"), oci.folder("c/d/e")],
            [oci.entry("a/b/new", data=b"n"), oci.whiteout("a/b"), oci.whiteout("top"), oci.entry("top2", data=b"t"), oci.whiteout("top2"),
             oci.whiteout("nothing"), oci.whiteout("no/such"), oci.opaque("none"), oci.whiteout("c")],
            [oci.folder("c"), oci.whiteout("c/d"), oci.entry("a/x", data=b"again")]]


def opaque_root():
    return [[oci.folder("a"), oci.entry("a/x", data=b"x"), oci.entry("b", data=b"y")], [oci.entry("b", data=b"z"), oci.opaque(""), oci.folder("./", mode=0o711, uid=5)]]


MADE = (opaque_before, opaque_behind, hard_link_across, attributes, setuid, devices, types, links_in_paths, odd_names, whiteouts, opaque_root)


def add_made(make):
    def as_umoci_unpacks_it():
        needs_umoci()
        kt.check(compare(oci.layout(make())), "both refuse it")
    kt.add_test(f"{make.__name__}_as_umoci_unpacks_it", as_umoci_unpacks_it)


for made_image in MADE:
    add_made(made_image)

# --- random stacks ---


def random_layer(r, told):
    names = ["a", "b", "c", "d"]

    def path(most=3):
        return "/".join(r.choice(names) for _ in range(r.randint(1, most)))

    entries = []
    for _ in range(r.randint(1, 14)):
        at, what = path(), r.random()
        if what < 0.3:
            entries.append(oci.folder(at, mode=r.choice([0o755, 0o700, 0o1777]), uid=r.randint(0, 9), mtime=r.randint(1, 10**9)))
        elif what < 0.55:
            entries.append(oci.entry(at, data=r.randbytes(r.choice([0, 1, 5000])), mode=r.choice([0o644, 0o4755]), gid=r.randint(0, 9), mtime=r.randint(1, 10**9)))
        elif what < 0.65:
            entries.append(oci.link(at, r.choice(["", "/"]) + path(), mtime=r.randint(1, 10**9)))
        elif what < 0.75:
            entries.append(oci.hard(at, path()))
        elif what < 0.8:
            entries.append(oci.entry(at, tarfile.FIFOTYPE, mode=0o600))
        elif what < 0.92:
            entries.append(oci.whiteout(at))
        else:
            entries.append(oci.opaque(r.choice(["", at, at])))
    told.append(", ".join(f"{e.type.decode()}:{e.name}" + (f">{e.linkname}" if e.linkname else "") for e, _ in entries))
    return entries


@kt.test
def random_layers_as_umoci_unpacks_them():
    needs_umoci()
    both = 0
    for seed in range(SEEDS):
        r, told = random.Random(seed), []
        layers = [random_layer(r, told) for _ in range(r.randint(1, 4))]
        # entries that can't be unpacked are taken out, so that the rest is compared
        for number in range(len(layers)):
            for at in range(len(layers[number]) - 1, -1, -1):
                if len(layers[number]) == 1:
                    break
                if isinstance(list_root(oci.layout(layers[:number] + [layers[number][:at + 1]], how=None).write_tar(kt.scratch("t.tar")))[0], dict):
                    continue
                del layers[number][at]
        made = oci.layout(layers)
        made.told = [", ".join(f"{e.type.decode()}:{e.name}" + (f">{e.linkname}" if e.linkname else "") for e, _ in layer) for layer in layers]
        both += compare(made)
    kt.check(both >= SEEDS // 2, f"only {both} of {SEEDS} were unpacked by both")


if __name__ == "__main__":
    kt.main()
