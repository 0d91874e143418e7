#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 180
"""The same inputs give the same bytes, wherever, whenever and by whomever they are baked."""
import os
import shutil

import kt

TREE = {"a/one.txt": b"one\n", "a/two.txt": b"two\n" * 5000, "b/same-as-one.txt": b"one\n", "empty": b"", "b/z.bin": bytes(range(256)) * 40}


def make_input(folder, order, umask, when):
    """The same pipeline and tree, made in another order, under another umask, at another time."""
    old = os.umask(umask)
    try:
        for name in order:
            path = os.path.join(folder, "tree", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            kt.write_bytes(path, TREE[name])
            os.utime(path, (when, when))
        os.symlink("a/one.txt", os.path.join(folder, "tree", "link"))
        shutil.copyfile("build/kernels/echo.elf", os.path.join(folder, "echo.elf"))
        return kt.write_json(os.path.join(folder, "p.json"), {
            "kchain": 1, "name": "same", "files": {"/tree": "tree", "/echo": "echo.elf"}, "steps": [{"name": "echo", "call": "fs:/echo"}]})
    finally:
        os.umask(old)


@kt.test
def same_bytes_from_other_folder_order_umask_locale_and_time():
    images = []
    for order, umask, when, locale, zone in ((sorted(TREE), 0o022, 1000000000, "C", "UTC"),
                                             (sorted(TREE, reverse=True), 0o077, 1700000000, "C.UTF-8", "Asia/Tokyo")):
        folder = os.path.dirname(kt.scratch("x"))
        path = make_input(folder, order, umask, when)
        env = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
        env.update(LC_ALL=locale, TZ=zone)
        image = os.path.join(folder, "out.elf")
        done = kt.kchain("bake", os.path.basename(path), "-o", image, cwd=folder, env=env)
        kt.check(done.exit == 0, "bake failed", done)
        images.append(kt.read_bytes(image))
    kt.check(images[0] == images[1], f"{len(images[0])} and {len(images[1])} bytes differ")


@kt.test
def baking_again_over_an_image_gives_the_same_bytes():
    value = kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": "build/kernels/echo.elf"})
    kt.check(kt.read_bytes(kt.bake(value)) == kt.read_bytes(kt.bake(value)), "two bakes differ")


@kt.test
def digests_that_were_kept_make_the_same_image():
    value = kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": "build/kernels/echo.elf", "/tool": kt.KCHAIN})
    path, home = kt.write_json(kt.scratch("p.json"), value), kt.scratch("cache")
    digests, images = os.path.join(home, "kchain", "digests"), []
    for options, kept in (["--no-cache"], False), ([], True), ([], True):
        image = kt.scratch("image.elf")
        done = kt.kchain("bake", path, "-o", image, *options, env=dict(os.environ, XDG_CACHE_HOME=home))
        kt.check(done.exit == 0, "bake failed", done)
        kt.check(os.path.exists(digests) == kept, f"digests are {'not ' if kept else ''}there behind {options}")
        images.append(kt.read_bytes(image))
    kt.check(images[0] == images[1] == images[2], "the images differ")


kt.main()
