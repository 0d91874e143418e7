#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""A container image that umoci made, baked as it is and booted: what its config says is what the program gets, what its layers take away is not
there. Skipped where no kernel can be had (`kchain kernel fetch`)."""
import os
import re
import shutil
import stat

import kt
import linux
import oci

SCRIPT = """#!/bin/busybox sh
b=/bin/busybox
echo "== arguments"
for word in "$@"; do echo "$word"; done
echo "== environment"
echo "$GREETING"
echo "$PATH"
echo "== place"
$b pwd
$b id -u
$b id -g
echo "== files"
cd / && $b find data -exec $b stat -c '%A %u:%g %t:%T %Y %n' {} +
$b sha256sum data/new
echo "== end"
"""


def kernel():
    folder = linux.fetched()
    return ["--kernel", os.path.join(folder, "vmlinuz"), "--modules", os.path.join(folder, "modules")]


def made_by_umoci(layers, *config):
    """Its layout; the image is called web."""
    if not shutil.which("umoci"):
        raise kt.Skip("umoci is not here")
    layout = kt.scratch("layout")
    commands = [["init", "--layout", layout], ["new", "--image", layout + ":web"]]
    commands += [["raw", "add-layer", "--image", layout + ":web", kt.write_bytes(kt.scratch("layer.tar"), oci.tar(layer))] for layer in layers]
    commands.append(["config", "--image", layout + ":web", *config])
    for command in commands:
        done = kt.command(["umoci", *command])
        kt.check(done.exit == 0, f"umoci {command[0]}", done)
    return layout


@kt.test
def a_container_image_is_booted():
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    folders = [oci.folder(name) for name in ("bin", "dev", "proc", "sys", "run", "tmp", "data", "srv")]
    lower = [*folders, oci.entry("bin/busybox", data=kt.read_bytes(system.busybox), mode=0o755), oci.entry("look", data=SCRIPT.encode(), mode=0o755),
             oci.entry("data/old", data=b"old"), oci.entry("data/gone", data=b"gone"), oci.entry("data/set", data=b"s", mode=0o4750, uid=3, gid=4, mtime=1234567890)]
    upper = [oci.opaque("data"), oci.folder("data", mode=0o1755, uid=5, gid=6), oci.entry("data/new", data=b"new", mtime=1111111111),
             oci.entry("data/null", oci.tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)]
    top = [oci.entry("data/set", data=b"s", mode=0o4750, uid=3, gid=4, mtime=1234567890)]
    layout = made_by_umoci([lower, upper, top], "--config.entrypoint", "/look", "--config.cmd", "one", "--config.cmd", "two words", "--config.env",
                           "GREETING=hello container", "--config.env", "PATH=/bin:/usr/bin", "--config.workingdir", "/srv", "--config.user", "7:8",
                           "--config.exposedports", "80/tcp")
    archive, images = kt.scratch("image.tar"), []
    done = kt.command(["tar", "-C", layout, "-cf", archive, "."])
    kt.check(done.exit == 0, "tar", done)
    for source in (layout + ":web", archive + ":web"):
        images.append(kt.scratch("web.elf"))
        done = kt.kchain("bake", "--rootfs", source, *kernel(), "--name", "web", "-o", images[-1])
        kt.check(done.exit == 0, "not baked", done)
    kt.check(kt.read_bytes(images[0]) == kt.read_bytes(images[1]), "folder and archive give other bytes")
    console = kt.scratch("console")
    boot = kt.run(images[0], "--memory", "256M", "--no-net", "--until", "ended", "--console", console, hang_after_s=300)
    kt.check(boot.exit == 0, "it did not end well", boot)
    text = kt.read_bytes(console).decode("utf-8", "replace").replace("\r", "")
    parts = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== )", text, re.M | re.S))
    kt.check(parts.get("arguments") == "one\ntwo words\n", "other arguments", text)
    kt.check(parts["environment"] == "hello container\n/bin:/usr/bin\n", "another environment", text)
    kt.check(parts["place"] == "/srv\n7\n8\n", "another folder or user", text)
    kt.check(parts["files"].splitlines()[-1].split() == [oci.digest(b"new"), "data/new"], "other bytes", text)
    found = {line.split()[4]: line.split()[:4] for line in parts["files"].splitlines()[:-1]}
    kt.check(found == {"data": [stat.filemode(0o41755), "5:6", "0:0", str(oci.TIME)], "data/new": ["-rw-r--r--", "0:0", "0:0", "1111111111"],
                       "data/null": ["crw-rw-rw-", "0:0", "1:3", str(oci.TIME)], "data/set": ["-rwsr-x---", "3:4", "0:0", "1234567890"]}, "other files", found)


@kt.test
def what_is_wrong_with_an_image_is_said_at_bake():
    made, out = kt.scratch("i.tar"), kt.scratch("none.elf")
    for image, tag, slug in ((oci.layout([[oci.folder("a")]]), "latest", "root-program"),
                             (oci.layout([[oci.folder("a")]], platform=("linux", "arm64")), "latest", "root-platform"),
                             (oci.layout([[oci.folder("a")]]), "other", "root-tag"),
                             (oci.layout([[oci.entry("../a")]]), "latest", "root-name"),
                             (oci.layout([[oci.folder("a")]], change=lambda manifest, _: manifest["layers"][0].update(mediaType="x")), "latest", "root-media")):
        done = kt.kchain("bake", "--rootfs", image.write_tar(made) + ":" + tag, *kernel(), "--json", "-o", out)
        kt.check(done.exit == 3 and done.json()["error"]["slug"] == slug, f"not refused as {slug}", done)
        kt.check(not os.path.exists(out), "half an image was left")


if __name__ == "__main__":
    kt.main()
