#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 180
"""Several images in one run of `kchain bake`: each is the one that it would be alone, and a bad one spoils only itself."""
import json
import os
import shutil

import kt

COUNT = 12


def make_inputs(more=()):
    """A folder of pipelines with files in common, hard and symbolic links, twins, and a file or more of their own."""
    folder = os.path.dirname(kt.scratch("x"))
    tree = os.path.join(folder, "tree")
    os.makedirs(os.path.join(tree, "sub"))
    for name, size in (("a", 5000), ("b", 5000), ("sub/c", 4096), ("sub/d", 300000), ("sub/empty", 0)):
        kt.write_bytes(os.path.join(tree, name), bytes((i * 7 + len(name)) & 255 for i in range(size)))
    shutil.copyfile(os.path.join(tree, "a"), os.path.join(tree, "sub", "twin-of-a"))
    os.link(os.path.join(tree, "sub/d"), os.path.join(tree, "hard"))
    os.symlink("sub/d", os.path.join(tree, "link"))
    shutil.copyfile("build/kernels/echo.elf", os.path.join(folder, "echo.elf"))
    shutil.copyfile("build/kernels/hello.elf", os.path.join(folder, "hello.elf"))
    paths = []
    for i in range(COUNT):
        kt.write_bytes(os.path.join(folder, f"own{i}"), b"own %d\n" % (i // 2) * 900)
        files = {"/tree": "tree", "/kernel": "hello.elf" if i % 3 == 2 else "echo.elf", "/own": f"own{i}"}
        if i % 4 == 3:
            files["/a-before-all"] = "tree/b"
        paths.append(kt.write_json(os.path.join(folder, f"v{i:02}.json"), {
            "kchain": 1, "name": "variant", "state": {"run": i, "text": "x" * (i * 500)}, "files": files, **dict(more),
            "steps": [{"name": "k", "call": "fs:/kernel", "args": f"run={i}"}]}))
    return folder, paths


def alone(path):
    image = kt.scratch("alone.elf")
    done = kt.kchain("bake", path, "-o", image)
    kt.check(done.exit == 0, "bake failed", done)
    return kt.read_bytes(image)


@kt.test
def each_is_the_one_that_it_would_be_alone():
    folder, paths = make_inputs()
    out = os.path.join(folder, "out")
    done = kt.kchain("bake", *paths, "-o", out)
    kt.check(done.exit == 0 and not done.err, "bake failed", done)
    kt.check(sorted(os.listdir(out)) == [f"v{i:02}.elf" for i in range(COUNT)], "other files are there", os.listdir(out))
    kt.check([line.split()[0] for line in done.out.splitlines()] == [f"{out}/v{i:02}.elf" for i in range(COUNT)], "not one line each", done)
    for i, path in enumerate(paths):
        image = os.path.join(out, f"v{i:02}.elf")
        kt.check(kt.read_bytes(image) == alone(path), f"{image} is not the image of {path}")
        kt.check(kt.kchain("verify", image).exit == 0, f"{image} does not verify")


@kt.test
def json_has_one_line_per_image():
    folder, paths = make_inputs()
    out = os.path.join(folder, "out")
    os.mkdir(out)
    done = kt.kchain("bake", "--json", *paths, "-o", out)
    lines = [json.loads(line) for line in done.out.splitlines()]
    kt.check(done.exit == 0 and len(lines) == COUNT, "not one line each", done)
    for i, line in enumerate(lines):
        single = kt.kchain("bake", "--json", paths[i], "-o", kt.scratch("x.elf")).json()
        kt.check(line["image"] == f"{out}/v{i:02}.elf", "another image", line)
        single["image"] = line["image"]
        kt.check(line == single, "says something else than for one image", line, single)


@kt.test
def one_that_is_refused_is_named_and_the_others_are_baked():
    folder, paths = make_inputs()
    bad = kt.write_bytes(os.path.join(folder, "bad.json"), b'{"kchain": 1, "name": "bad", "steps": [], "stepz": 1}')
    gone = os.path.join(folder, "gone.json")
    lost = kt.write_json(os.path.join(folder, "lost.json"), kt.pipeline([{"name": "k", "call": "fs:/kernel"}], {"/kernel": os.path.join(folder, "nowhere")}))
    out = os.path.join(folder, "out")
    done = kt.kchain("bake", "--json", paths[0], bad, gone, lost, paths[1], "-o", out + "/")
    kt.check(done.exit == 3, "the exit code does not tell", done)
    kt.check(sorted(os.listdir(out)) == ["v00.elf", "v01.elf"], "other files are there", os.listdir(out))
    lines = [json.loads(line) for line in done.out.splitlines()]
    kt.check([line.get("input") for line in lines] == [None, bad, gone, lost, None], "not named", done)
    for path, line in zip((bad, gone, lost), lines[1:4]):
        kt.check(line["exit"] == 3 and path in (line["error"].get("file") or line["error"]["message"]) and path in done.err, "not named", line, done)
    kt.check("nowhere" in lines[3]["error"]["message"], "the reason is missing", lines[3])
    kt.check("3 of 5" in done.err, "not counted", done)
    kt.check(kt.read_bytes(f"{out}/v01.elf") == alone(paths[1]), "the one behind is another")


@kt.test
def a_folder_is_an_input_too_and_gives_its_name():
    folder, paths = make_inputs()
    inner = os.path.join(folder, "inner")
    os.mkdir(inner)
    shutil.copyfile("build/kernels/echo.elf", os.path.join(inner, "kernel"))
    out = os.path.join(folder, "out")
    done = kt.kchain("bake", inner + "/", paths[0], "-o", out + "/")
    kt.check(done.exit == 0 and sorted(os.listdir(out)) == ["inner.elf", "v00.elf"], "another name", done)
    done = kt.kchain("bake", ".", "-o", out, cwd=inner)
    kt.check(done.exit == 0 and out + "/inner.elf" in done.out, "one input into a folder", done)


@kt.test
def what_makes_no_sense_is_refused_before_anything_is_written():
    folder, paths = make_inputs()
    again = os.path.join(folder, "again")
    os.mkdir(again)
    shutil.copyfile(paths[0], os.path.join(again, "v00.json"))
    out = os.path.join(folder, "out")
    file = kt.write_bytes(os.path.join(folder, "file"), b"")
    for args, text in (((paths[0], paths[1]), "FOLDER/"), ((paths[0], paths[1], "-o", file), "is none"),
                       ((paths[0], os.path.join(again, "v00.json"), "-o", out + "/"), "would both be written"),
                       ((paths[0], paths[1], "--name", "n", "-o", out + "/"), "--name")):
        done = kt.kchain("bake", *args)
        kt.check(done.exit == 2 and text in done.err and not os.path.exists(out), "not refused", done)
    done = kt.kchain("bake", "--json", paths[0], "-o", os.path.join(file, "x") + "/")
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "io", "not refused", done)


kt.main()
