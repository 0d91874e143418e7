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

PROGRAM = os.path.abspath("build/asan/chain/tests/root_list")  # what is hostile is read with sanitizers on guard
PLAIN = os.path.abspath("build/host/chain/tests/root_list")
SEEDS = int(os.environ.get("KCHAIN_SEEDS", "40"))
CAPABILITY = "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  # cap_net_bind_service, effective


def list_root(path, tag="", platform="linux/amd64", program=PROGRAM, check=False, env=None):
    """(the entry, nodes by path), or the error's name and text."""
    done = subprocess.run([program, path, tag, platform, *(["check"] if check else [])], capture_output=True, timeout=300, check=False, env={**os.environ, **(env or {})})
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
    return "\n".join(f"layer {number}: {text}" for number, text in enumerate(getattr(made, "contents", [])))


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


def random_layer(r, contents):
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
    contents.append(", ".join(f"{e.type.decode()}:{e.name}" + (f">{e.linkname}" if e.linkname else "") for e, _ in entries))
    return entries


@kt.test
def random_layers_as_umoci_unpacks_them():
    needs_umoci()
    both = 0
    for seed in range(SEEDS):
        r, contents = random.Random(seed), []
        layers = [random_layer(r, contents) for _ in range(r.randint(1, 4))]
        # entries that can't be unpacked are taken out, so that the rest is compared
        for number in range(len(layers)):
            for at in range(len(layers[number]) - 1, -1, -1):
                if len(layers[number]) == 1:
                    break
                if isinstance(list_root(oci.layout(layers[:number] + [layers[number][:at + 1]], how=None).write_tar(kt.scratch("t.tar")))[0], dict):
                    continue
                del layers[number][at]
        made = oci.layout(layers)
        made.contents = [", ".join(f"{e.type.decode()}:{e.name}" + (f">{e.linkname}" if e.linkname else "") for e, _ in layer) for layer in layers]
        both += compare(made)
    kt.check(both >= SEEDS // 2, f"only {both} of {SEEDS} were unpacked by both")


# --- sources ---


def put(data, name="t.tar"):
    path = kt.scratch(name)
    kt.write_bytes(path, data)
    return path


PLAIN_TREE = [oci.folder("./"), oci.folder("./bin"), oci.entry("./bin/app", data=b"#!/bin/sh\n", mode=0o755), oci.entry("./big", data=bytes(range(256)) * 9000),
              oci.link("./l", "../../../etc/passwd"), oci.hard("./bin/two", "./bin/app")]


@kt.test
def one_tree_from_every_kind_of_archive():
    """Compressed by all that tools here know, and as one layer of an image in each form; nothing differs but who says what to start."""
    path = put(oci.tar(PLAIN_TREE))
    _, wanted = accepted(path)
    kt.check(wanted["/bin/two"] == {"type": "f", "hard_link": "/bin/app"} and wanted["/l"]["target"] == "../../../etc/passwd", "the tree", wanted)
    for tool in ("gzip", "bzip2", "xz", "zstd", "lz4", "lzma", "compress"):
        if shutil.which(tool):
            packed = subprocess.run([tool, "-c"], stdin=open(path, "rb"), stdout=subprocess.PIPE, check=True).stdout
            kt.check(accepted(put(packed))[1] == wanted, f"{tool}: another tree")
    for how in (None, "gzip", "zstd"):
        made = oci.layout([PLAIN_TREE], how=how)
        for where in (made.write_folder(kt.scratch("layout")), made.write_tar(kt.scratch("i.tar")), made.write_tar(kt.scratch("i.tar.gz"), "gzip")):
            entry, nodes = accepted(where, tag="latest")
            kt.check(nodes == wanted, f"{how}: another tree")
            kt.check(entry["argv"] == ["/bin/app", "serve"] and entry["env"] == ["PATH=/bin"], "the entry", entry)
            kt.check(entry["origin"] == made.manifests[0]["digest"], "the origin", entry)
    for how in (None, "gzip"):
        where = oci.docker([PLAIN_TREE], kt.scratch("save.tar"), how=how)
        for tag in ("", "latest", "web:latest"):
            kt.check(accepted(where, tag=tag)[1] == wanted, "docker: another tree")


@kt.test
def a_layout_that_skopeo_wrote():
    """From docker's archive to an OCI layout and back, by its own reader and writer."""
    if not shutil.which("skopeo"):
        raise kt.Skip("skopeo is not here")
    source, layout, again = oci.docker([PLAIN_TREE, [oci.whiteout("big")]], kt.scratch("save.tar")), kt.scratch("layout"), kt.scratch("again.tar")
    for come, go in ((f"docker-archive:{source}", f"oci:{layout}:web"), (f"oci:{layout}:web", f"docker-archive:{again}:web:two")):
        done = subprocess.run(["skopeo", "--insecure-policy", "copy", come, go], capture_output=True, text=True, timeout=120, check=False)
        kt.check(done.returncode == 0, "skopeo failed", done.stderr)
    wanted = accepted(source)[1]
    kt.check("/big" not in wanted and accepted(layout, tag="web")[1] == wanted and accepted(again, tag="two")[1] == wanted, "another tree")


@kt.test
def what_the_config_says():
    config = {"Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["nginx", "-g", "daemon off;"], "Env": ["A=1", "B=x=y", "C="], "WorkingDir": "/srv", "User": "www:www",
              "StopSignal": "SIGQUIT", "ExposedPorts": {"443/tcp": {}, "53/udp": {}, "80": {}}, "Labels": {"a": "b"}}
    entry, _ = accepted(oci.layout([[oci.folder("a")]], config=config).write_tar(kt.scratch("i.tar")))
    entry.pop("origin")
    kt.check(entry == {"argv": ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"], "env": ["A=1", "B=x=y", "C="], "workdir": "/srv", "user": "www:www",
                       "stop_signal": "SIGQUIT", "ports": ["53/udp", "80/tcp", "443/tcp"]}, "the entry", entry)
    empty = {"Entrypoint": None, "Cmd": ["sh"], "Env": None, "WorkingDir": "", "User": "", "ExposedPorts": None}
    entry, _ = accepted(oci.layout([[oci.folder("a")]], config=empty).write_tar(kt.scratch("i.tar")))
    kt.check(entry["argv"] == ["sh"] and entry["env"] == [] and entry["workdir"] is None and entry["user"] is None, "the entry", entry)
    for config, text in (({"Cmd": "sh"}, 'config.Cmd: an array of strings expected, "sh" found'), ({"Cmd": ["sh", 1]}, "config.Cmd[1]: a string expected, 1 found"),
                         ({"Env": ["novalue"]}, "config: Env: an element is not NAME=VALUE"), ({"User": 3}, "config.User: a string expected, 3 found"),
                         ({"ExposedPorts": {"http": {}}}, "config.ExposedPorts.http: not a port (80/tcp, 53/udp)"),
                         ({"ExposedPorts": {"65536/tcp": {}}}, 'config.ExposedPorts["65536/tcp"]: not a port (80/tcp, 53/udp)')):
        refused(oci.layout([[oci.folder("a")]], config=config).write_tar(kt.scratch("i.tar")), "json-type", text)


@kt.test
def the_platform_that_was_asked_for():
    made = oci.Layout()
    for name, *platform in (("arm", "linux", "arm64"), ("v3", "linux", "amd64", "v3"), ("plain", "linux", "amd64"), ("windows", "windows", "amd64")):
        made.image([[oci.folder(name)]], tag=None, platform=platform[:2], listed=platform)
    kt.check("/plain" in accepted(made.write_tar(kt.scratch("i.tar")))[1], "not the plain one")
    kt.check("/arm" in accepted(made.write_tar(kt.scratch("i.tar")), platform="linux/arm64")[1], "not the other one")
    refused(made.write_tar(kt.scratch("i.tar")), "root-platform", "i.tar: index.json: no image for linux/s390x; there is linux/arm64, linux/amd64, windows/amd64",
            platform="linux/s390x")
    # an index in an index, with a tag, as buildx writes it; attestations are of no platform
    outer = oci.Layout()
    inner = {"schemaVersion": 2, "manifests": made.manifests + [{**made.manifests[0], "platform": {"os": "unknown", "architecture": "unknown"}}]}
    outer.files.update(made.files)
    outer.manifests = [{**outer.blob(inner, "index.v1+json"), "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/web:1.2"}}]
    for tag in ("", "1.2", "docker.io/library/web:1.2"):
        kt.check("/plain" in accepted(outer.write_folder(kt.scratch("layout")), tag=tag)[1], "not the plain one")
    for _ in range(4):
        outer.manifests = [outer.blob({"manifests": outer.manifests}, "index.v1+json")]
    found = list_root(outer.write_folder(kt.scratch("layout")))
    kt.check(found[0] == "limit" and found[1].endswith("5 indexes in each other exceed the limit of 4"), "too deep", found)
    # what the index does not say, the config does
    refused(oci.layout([[oci.folder("a")]], platform=("linux", "arm64")).write_tar(kt.scratch("i.tar")), "root-platform",
            "no image for linux/amd64; there is linux/arm64")
    refused(oci.layout([[oci.folder("a")]]).write_tar(kt.scratch("i.tar")), "not-supported",
            "amd64: not supported: a platform that is not of the form OS/ARCHITECTURE", platform="amd64")


@kt.test
def tags():
    made = oci.Layout()
    for tag in ("one", "two"):
        made.image([[oci.folder(tag)]], tag=tag)
    where = made.write_folder(kt.scratch("layout"))
    kt.check("/two" in accepted(where, tag="two")[1], "another image")
    refused(where, "root-tag", "index.json: which image is meant is not said; there is one, two")
    refused(where, "root-tag", "index.json: no image 'three' is in it; there is one, two", tag="three")
    made.manifests = []
    refused(made.write_folder(kt.scratch("layout")), "root-platform", "index.json: no image for linux/amd64; it is empty")
    where = oci.docker([[oci.folder("a")]], kt.scratch("s.tar"))
    refused(where, "root-tag", "manifest.json: no image 'other' is in it; there is web:latest", tag="other")
    refused(put(oci.tar(PLAIN_TREE)), "root-tag", "t.tar: a tar archive has no tags", tag="latest")


# --- hostile archives ---

HOSTILE = (
    ("absolute", [oci.entry("/etc/passwd")], "root-name", "t.tar: /etc/passwd: an absolute name"),
    ("up", [oci.entry("a/../../x")], "root-name", "t.tar: a/../../x: a name with '..' in it, which may lead out of the tree"),
    ("up within", [oci.entry("a/../x")], "root-name", "t.tar: a/../x: a name with '..' in it, which may lead out of the tree"),
    ("hard link out", [oci.entry("a"), oci.hard("b", "../a")], "root-name", "t.tar: b: a name with '..' in it, which may lead out of the tree"),
    ("hard link to an absolute name", [oci.entry("a"), oci.hard("b", "/a")], "root-name", "t.tar: b: an absolute name"),
    ("through a link out", [oci.folder("d"), oci.link("d/l", "../../etc"), oci.entry("d/l/x")], "root-name", "t.tar: d/l/x: a link in its path leads out of the tree"),
    ("links in a circle", [oci.link("a", "b"), oci.link("b", "a"), oci.entry("a/x")], "limit", "t.tar: a/x: 41 links in its path exceed the limit of 40"),
    ("below a file", [oci.entry("f"), oci.entry("f/x")], "root-parent", "t.tar: f/x: it would lie in f, which is no folder"),
    ("below a link to a file", [oci.entry("f"), oci.link("l", "f"), oci.entry("l/x")], "root-parent", "t.tar: l/x: it would lie in f, which is no folder"),
    ("hard link to nothing", [oci.hard("b", "a"), oci.entry("a")], "root-hard-link", "t.tar: b: a hard link to a, and no file of that name is there before it"),
    ("hard link to a folder", [oci.folder("a"), oci.hard("b", "a")], "root-hard-link", "t.tar: b: a hard link to a, and no file of that name is there before it"),
    ("hard link to itself", [oci.entry("a"), oci.hard("a", "a")], "root-hard-link", "t.tar: a: a hard link to a, and no file of that name is there before it"),
    ("link to nothing", [oci.link("a", "")], "not-supported", "t.tar: a: not supported: a link without a target"),
    ("the root as a file", [oci.entry("./.")], "root-name", "t.tar: ./.: the root itself, which can only be a folder"),
    ("a long name", [oci.entry("a/" + "n" * 256)], "limit", ": 256 bytes of name exceed the limit of 255"),
    ("a long path", [oci.entry("/".join(["n" * 200] * 21))], "limit", ": 4220 bytes of path exceed the limit of 4095"),
    ("an owner", [oci.entry("a", uid=2**32)], "not-supported", "t.tar: a: not supported: an owner's number of more than 32 bits"),
    ("a device", [oci.entry("a", tarfile.CHRTYPE, devmajor=4096, devminor=0)], "not-supported",
     "t.tar: a: not supported: a device's numbers of more than 12 and 20 bits"),
)


def add_hostile(name, entries, slug, text):
    def is_refused():
        refused(put(oci.tar(entries)), slug, text)
        # and as a layer of an image, above another
        made = oci.layout([[oci.folder("lower")], entries])
        found = list_root(made.write_folder(kt.scratch("layout")))
        kt.check(found[0] == slug and found[1].endswith(text.removeprefix("t.tar")), "not refused in an image", found)
    kt.add_test("hostile: " + name, is_refused)


for row in HOSTILE:
    add_hostile(*row)


@kt.test
def names_that_are_no_utf8():
    raw = oci.tar([oci.entry("a?b")]).replace(b"a?b", b"a\xffb")
    data = bytearray(raw)
    data[148:156] = b"%06o\0 " % sum(data[:148] + b" " * 8 + data[156:512])
    refused(put(bytes(data)), "root-name", "t.tar: a name: a name that is not UTF-8")
    link = bytearray(oci.tar([oci.link("a", "t?")]).replace(b"t?", b"t\xfe"))
    link[148:156] = b"%06o\0 " % sum(link[:148] + b" " * 8 + link[156:512])
    refused(put(bytes(link)), "root-name", "t.tar: a: a link to a name that is not UTF-8")
    # in an extended header, where the standard wants UTF-8
    info, _ = oci.entry("x")
    info.pax_headers = {"path": "a\udcffb"}
    found = list_root(put(oci.tar([(info, b"")])))
    kt.check(found[0] in ("root-name", "root-archive"), "not refused", found)


@kt.test
def whiteouts_of_no_name():
    for name in (".wh.", "a/.wh.", ".wh..", ".wh...", "a/.wh..."):
        found = list_root(oci.layout([[oci.folder("a")], [oci.entry(name)]]).write_folder(kt.scratch("layout")))
        kt.check(found[0] == "root-name" and found[1].endswith(f": {name}: a whiteout of no name"), name, found)
    # in an archive that is no layer, these are names like any other
    kt.check("/.wh.x" in accepted(put(oci.tar([oci.entry(".wh.x")])))[1], "a whiteout in a tar archive")


@kt.test
def the_last_of_equal_names_counts():
    nodes = accepted(put(oci.tar([oci.entry("a", data=b"1"), oci.folder("a"), oci.entry("a/x"), oci.entry("a", data=b"333")])))[1]
    kt.check(list(nodes) == ["/", "/a"] and nodes["/a"]["size"] == 3, "not the last one", nodes)


@kt.test
def cut_archives():
    """At each block, and within: refused, in each compression."""
    whole = oci.tar(PLAIN_TREE[:3] + PLAIN_TREE[4:])
    end = len(whole.rstrip(b"\0")) + 511 & ~511
    for cut in [*range(512, end + 1, 512), *range(1, end, 397)]:
        found = list_root(put(whole[:cut]), program=PLAIN)
        kt.check(found[0] in ("root-cut", "root-unknown"), f"cut at {cut}", found)
        kt.check(found[0] == "root-cut" or cut < 512, f"cut at {cut}", found)
    for how in ("gzip", "zstd"):
        packed = oci.pack(whole, how)
        for cut in range(20, len(packed) - 1, max(1, len(packed) // 40)):
            found = list_root(put(packed[:cut]), program=PLAIN)
            kt.check(found[0] in ("root-cut", "root-archive", "root-unknown"), f"{how} cut at {cut}", found)
    refused(put(b""), "root-unknown", "t.tar: no root that is known by its first bytes")


@kt.test
def changed_bytes():
    """Of an image: every file of it is vouched for by another, up to index.json."""
    made = oci.layout([PLAIN_TREE[:3]], how=None)
    for name, data in sorted(made.finished().items()):
        if not name.startswith("blobs/"):
            continue
        for place in sorted({0, len(data) // 3, len(data) - 1}):
            changed = bytearray(data)
            changed[place] ^= 1
            other = oci.Layout()
            other.files, other.manifests = {**made.files, name: bytes(changed)}, made.manifests
            found = list_root(other.write_folder(kt.scratch("layout")))
            kt.check(found[0] in ("root-digest", "root-archive", "root-name", "root-unknown"), f"{name} at {place}", found)
    other.files = {**made.files}
    layer = next(name for name, data in made.files.items() if data == oci.tar(PLAIN_TREE[:3]))
    other.files[layer] = oci.tar([oci.folder("./"), oci.folder("./bin"), oci.entry("./bin/app", data=b"#!/bin/xx\n", mode=0o755)])
    refused(other.write_folder(kt.scratch("layout")), "root-digest", f"{layer}: has the digest sha256:{oci.digest(other.files[layer])} instead of sha256:{layer[-64:]}")
    other.files[layer] += b"\0"
    size = len(other.files[layer])
    refused(other.write_folder(kt.scratch("layout")), "root-size", f"{layer}: has {size} bytes, not the {size - 1} that it is referred to with")
    del other.files[layer]
    refused(other.write_folder(kt.scratch("layout")), "root-missing", f"layout: {layer} is not in it")
    refused(other.write_tar(kt.scratch("i.tar")), "root-missing", f"i.tar: {layer} is not in it")


@kt.test
def what_a_manifest_can_get_wrong():
    def changed(change):
        return oci.layout([[oci.folder("a")]], change=change).write_tar(kt.scratch("i.tar"))

    def diff_id(_, config):
        config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]

    def more(_, config):
        config["rootfs"]["diff_ids"] *= 2

    def media(manifest, _):
        manifest["layers"][0]["mediaType"] = "application/vnd.example.squashfs"

    def packed(manifest, _):
        manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"

    def negative(manifest, _):
        manifest["layers"][0]["size"] = -1

    def sha512(manifest, _):
        manifest["layers"][0]["digest"] = "sha512:" + "0" * 128

    def up(manifest, _):
        manifest["layers"][0]["digest"] = "sha256:../../../../etc/passwd"

    layer = oci.digest(oci.tar([oci.folder("a")]))
    refused(changed(diff_id), "root-digest", f"has the digest sha256:{layer} instead of sha256:{'0' * 64}")
    refused(changed(more), "root-layers", "knows 2 layers by their digests, the image has 1")
    refused(changed(media), "root-media", "layers[0]: of the media type 'application/vnd.example.squashfs', which is none that belongs there")
    refused(changed(packed), "root-archive", "its compression is another than its media type says")
    refused(changed(negative), "json-type", "layers[0]: a size expected, -1 found")
    refused(changed(sha512), "not-supported", "layers[0]: not supported: a digest that is not of the form sha256:HEX")
    refused(changed(up), "not-supported", "layers[0]: not supported: a digest that is not of the form sha256:HEX")
    refused(changed(lambda m, _: m.pop("layers")), "json-type", ": layers: a value expected, nothing found")
    refused(changed(lambda _, c: c.pop("architecture")), "json-type", ": architecture: a value expected, nothing found")
    refused(changed(lambda _, c: c.pop("rootfs")), "json-type", ": rootfs: a value expected, nothing found")
    where = oci.layout([[oci.folder("a")]]).write_folder(kt.scratch("layout"))
    kt.write_bytes(os.path.join(where, "index.json"), b"{\"manifests\": [}")
    found = list_root(where)
    kt.check(found[0] == "json-syntax" and "layout: index.json: line 1, column" in found[1], "no JSON", found)
    kt.write_bytes(os.path.join(where, "index.json"), b" " * ((8 << 20) + 1))
    refused(where, "limit", f"index.json: {(8 << 20) + 1} bytes exceed the limit of {8 << 20}")
    os.unlink(os.path.join(where, "index.json"))
    os.mkfifo(os.path.join(where, "index.json"))
    refused(where, "not-supported", "index.json: not supported: no regular file")


@kt.test
def what_docker_can_get_wrong():
    def diff_id(_, config):
        config["rootfs"]["diff_ids"][0] = "sha256:" + "1" * 64

    where = kt.scratch("s.tar")
    refused(oci.docker([[oci.folder("a")]], where, change=diff_id), "root-digest", f"instead of sha256:{'1' * 64}")
    refused(oci.docker([[oci.folder("a")]], where, change=lambda m, _: m.update(Config="0" * 64 + ".json")), "root-digest", f"instead of sha256:{'0' * 64}")
    refused(oci.docker([[oci.folder("a")]], where, change=lambda m, _: m.update(Layers=["../../etc/passwd"])), "root-missing", "s.tar: ../../etc/passwd is not in it")
    refused(oci.docker([[oci.folder("a")]], where, change=lambda m, _: m.update(Layers=[])), "root-layers", "knows 1 layers by their digests, the image has 0")
    refused(oci.docker([[oci.folder("a")]], where, change=lambda m, _: m.update(RepoTags="x")), "json-type", 'manifest.json: [0].RepoTags: an array of strings expected, "x" found')
    # older versions let equal layers be links
    one = oci.tar([oci.folder("a")])
    names = ["1" * 64 + "/layer.tar", "2" * 64 + "/layer.tar"]
    document = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["sha256:" + oci.digest(one)] * 2}}
    text = json.dumps(document).encode()
    manifest = [{"Config": oci.digest(text) + ".json", "RepoTags": None, "Layers": names}]
    for target in ("../" + names[0], "nowhere"):
        kt.write_bytes(where, oci.tar([oci.entry(manifest[0]["Config"], data=text), oci.entry(names[0], data=one), oci.link(names[1], target),
                                       oci.entry("manifest.json", data=json.dumps(manifest).encode())]))
        found = list_root(where)
        kt.check(("/a" in found[1]) if target != "nowhere" else found[0] == "root-missing", target, found)


@kt.test
def a_decompression_bomb():
    """A sparse file that says it has a tebibyte, and the same twice as large as the limit within compressed bytes."""
    path = kt.scratch("sparse")
    with open(path, "wb") as out:
        out.truncate(1 << 40)
    for more in ([], ["-z"]):
        tar = kt.scratch("t.tar")
        subprocess.run(["tar", "-S", "-c", *more, "-f", tar, "-C", os.path.dirname(path), "sparse"], check=True, timeout=300)
        found = list_root(tar)
        kt.check(found[0] == "limit" and " unpacked bytes exceed the limit of 17179869184" in found[1], "not refused", found)


@kt.test
def sparse_files_have_their_zeros():
    path = kt.scratch("sparse")
    with open(path, "wb") as out:
        out.truncate(3 << 20)
        out.seek(1 << 20)
        out.write(b"middle")
    for form in ("gnu", "pax"):
        tar = kt.scratch("t.tar")
        subprocess.run(["tar", "-S", "-H", form, "-cf", tar, "-C", os.path.dirname(path), "sparse"], check=True)
        node = accepted(tar)[1]["/sparse"]
        kt.check(node["size"] == 3 << 20 and node["sha256"] == oci.digest(kt.read_bytes(path)), f"{form}: other bytes", node)


@kt.test
def a_million_entries():
    """In a bounded memory: 1 GiB of address space."""
    tar = kt.scratch("t.tar")
    block = bytearray(oci.tar([oci.entry("0000000", uid=0)])[:512])
    total = sum(block[:148] + b" " * 8 + block[156:])
    digits = sum(block[:7])
    with open(tar, "wb") as out:
        for number in range(1000000):
            name = b"%07d" % number
            block[:7] = name
            block[148:156] = b"%06o\0 " % (total - digits + sum(name))
            out.write(block)
        out.write(bytes(10240))
    done = subprocess.run(["sh", "-c", f"ulimit -v {1 << 20}; exec {PLAIN} {tar}"], stdout=subprocess.PIPE, timeout=300, check=False)
    kt.check(done.returncode == 0 and done.stdout.count(b"\n") == 1000002, f"exit status {done.returncode}", done.stdout[-300:])


# --- what is started ---


def elf(machine=62, kind=3, interpreter=None, klass=2, data=1):
    order = "little" if data == 1 else "big"
    name = interpreter.encode() + b"\0" if interpreter else b""
    head = b"\x7fELF" + bytes([klass, data, 1]) + bytes(9) + kind.to_bytes(2, order) + machine.to_bytes(2, order) + bytes(12) + (64).to_bytes(8, "little") + bytes(14)
    head += (56).to_bytes(2, "little") + (1 if interpreter else 0).to_bytes(2, "little") + bytes(6)
    if interpreter:
        head += (3).to_bytes(4, "little") + bytes(4) + (120).to_bytes(8, "little") + bytes(16) + len(name).to_bytes(8, "little") + bytes(16)
    return head + name + bytes(64)


PROGRAMS = (
    ("absent", ["/bin/app"], [], "i.tar: /bin/app: is not in the root"),
    ("a folder", ["/bin"], [], "i.tar: /bin: is a folder, not a program"),
    ("not executable", ["/bin/app"], [oci.entry("bin/app", data=elf())], "i.tar: /bin/app: is not executable (mode 0644)"),
    ("aarch64", ["/bin/app"], [oci.entry("bin/app", data=elf(183), mode=0o755)], "i.tar: /bin/app: is made for aarch64 (ELF machine 183), not for x86-64"),
    ("s390", ["/bin/app"], [oci.entry("bin/app", data=elf(22, data=2), mode=0o755)], "i.tar: /bin/app: is made for s390 (ELF machine 22), not for x86-64"),
    ("an object file", ["/bin/app"], [oci.entry("bin/app", data=elf(kind=1), mode=0o755)], "i.tar: /bin/app: is an ELF file, but no program"),
    ("cut ELF", ["/bin/app"], [oci.entry("bin/app", data=elf()[:40], mode=0o755)], "i.tar: /bin/app: is an ELF file that is cut short"),
    ("no loader", ["/bin/app"], [oci.entry("bin/app", data=elf(interpreter="/lib64/ld.so"), mode=0o755)], "i.tar: /bin/app: needs /lib64/ld.so, which is not in the root"),
    ("script without interpreter", ["/bin/app"], [oci.entry("bin/app", data=b"#!/bin/sh\n", mode=0o755)], "i.tar: /bin/app: needs /bin/sh, which is not in the root"),
    ("script of another processor", ["/bin/app"], [oci.entry("bin/app", data=b"#! /bin/sh -e\n", mode=0o755), oci.entry("bin/sh", data=elf(183), mode=0o755)],
     "i.tar: /bin/sh: is made for aarch64 (ELF machine 183), not for x86-64"),
    ("script from Windows", ["/bin/app"], [oci.entry("bin/app", data=b"#!/bin/sh\r\n", mode=0o755), oci.entry("bin/sh", data=elf(), mode=0o755)],
     "i.tar: /bin/app: is a script whose lines end as on Windows, so its interpreter is not found"),
    ("text", ["/bin/app"], [oci.entry("bin/app", data=b"echo\n", mode=0o755)], "i.tar: /bin/app: is neither an ELF program nor a script that begins with '#!'"),
    ("its own interpreter", ["/bin/app"], [oci.entry("bin/app", data=b"#!/bin/app", mode=0o755)], "i.tar: /bin/app: too many interpreters behind each other"),
    ("env without python", ["/bin/app"], [oci.entry("bin/app", data=b"#!/bin/env python3\n", mode=0o755), oci.entry("bin/env", data=elf(), mode=0o755)],
     "i.tar: python3: is in no folder of the PATH /bin"),
    ("not in PATH", ["app"], [oci.entry("sbin/app", data=elf(), mode=0o755)], "i.tar: app: is in no folder of the PATH /bin"),
    ("found in PATH", ["app"], [oci.entry("bin/app", data=elf(), mode=0o755)], None),
    ("through links", ["/usr/bin/app"], [oci.folder("usr"), oci.link("usr/bin", "/bin"), oci.entry("bin/real", data=elf(interpreter="/lib/ld"), mode=0o711),
                                         oci.link("bin/app", "real"), oci.hard("lib/ld", "bin/static"), oci.entry("bin/x", data=elf())], None),
    ("i386", ["bin/app"], [oci.entry("bin/app", data=elf(3, klass=1), mode=0o755)], None),
    ("script", ["/bin/app"], [oci.entry("bin/app", data=b"#!/bin/env -S sh -e\n", mode=0o755), oci.entry("bin/env", data=elf(), mode=0o755), oci.link("bin/sh", "env")], None),
)


@kt.test
def programs_that_can_not_be_started_are_named():
    for name, argv, entries, text in PROGRAMS:
        layer = [oci.folder("bin"), oci.entry("bin/static", data=elf(), mode=0o755), *entries]
        where = oci.layout([layer], config={"Entrypoint": argv, "Env": ["PATH=/bin"]}, how=None).write_tar(kt.scratch("i.tar"))
        found = list_root(where, check=True)
        kt.check(isinstance(found[0], dict) if text is None else found[0] == "root-program" and found[1].endswith(text), name, found)


@kt.test
def any_user_gets_the_same():
    """Who is no root, and in another folder, with another time zone and umask."""
    where = oci.layout(devices() + attributes()).write_tar(kt.scratch("i.tar"))
    os.chmod(os.path.dirname(where), 0o755)
    os.chmod(os.path.dirname(os.path.dirname(where)), 0o755)
    if os.geteuid() != 0 or not os.path.exists("/usr/bin/setpriv"):
        raise kt.Skip("root alone can become another user")
    usual = subprocess.run([PLAIN, where], capture_output=True, check=True).stdout
    other = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", PLAIN, where], capture_output=True, check=False, cwd="/",
                           env={"TZ": "Asia/Tokyo", "LC_ALL": "C"}, umask=0o777)
    kt.check(other.returncode == 0 and other.stdout == usual, "another list", other.stdout, other.stderr)


if __name__ == "__main__":
    kt.main()
