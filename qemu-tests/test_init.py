#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""`kchain init`: each template is built, run and says what it is meant to; nothing is written where something is."""
import json
import os
import re
import shutil
import subprocess

import kt

TEMPLATES = {"call": "hello, world", "chain": r"168 primes were found before me, as the handoff's \d+ bytes say too", "fanout": "32 kernels found 3512 primes"}


def make(folder, *goals, **more):
    plain = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "KCHAIN_DEPS", "PKG_CONFIG_PATH")}
    return kt.command(["make", "-C", folder, *goals], env=plain, hang_after_s=200, **more)


def each_template(name, marker):
    """From the build tree's command, in a folder with a blank, a quote and what make and the shell take for their own."""
    folder = kt.scratch(f"it's a $place, #1; {name}")
    done = kt.kchain("init", "--template", name, folder)
    kt.check(done.exit == 0 and not done.err, "init failed", done)
    kt.check(done.out.splitlines()[:-1] == [f"{folder}/{file}" for file in sorted(os.listdir(folder), key=done.out.index)], "the files it names", done)
    done = make(folder, "run")
    kt.check(done.exit == 0 and re.search(marker, done.out), "it does not work", done)
    for source in (f[:-2] for f in os.listdir(folder) if f.endswith(".c")):
        symbols = subprocess.run(["nm", f"{folder}/{source}.debug"], capture_output=True, text=True, check=True).stdout
        kt.check(re.search(r"(?m) T main$", symbols), f"{source}.debug does not know main")
    kt.check(make(folder).out.count("\n") <= 3, "it is built again though nothing has changed")
    done = make(folder, "clean")
    again = kt.kchain("init", "-t", name, "--json", folder + "2").json()
    kt.check(sorted(os.listdir(folder)) == sorted(again["files"]), "clean leaves something", sorted(os.listdir(folder)))


for template, line in TEMPLATES.items():
    kt.add_test(f"template_{template}", lambda t=template, m=line: each_template(t, m))


@kt.test
def works_where_it_is_installed():
    """Of a command that was installed where pkg-config does not look, with blanks in the name, and that is not on PATH."""
    top, prefix = kt.scratch("top"), "/opt/my programs"
    done = kt.command(["tools/install", "install"], env=dict(os.environ, DESTDIR=top, PREFIX=prefix, PKGCONFIGDIR="", VERSION="1.0"))
    kt.check(done.exit == 0, "install failed", done)
    folder = kt.scratch("mine")
    kt.check(kt.command([f"{top}{prefix}/bin/kchain", "init", folder]).exit == 0, "init failed")
    done = make(folder, "run")
    kt.check(done.exit == 0 and "hello, world" in done.out, "it does not work", done)
    with open(folder + "/Makefile", encoding="utf-8") as f:
        kt.check(f"KCHAIN := '{top}{prefix}/bin/kchain'" in f.read(), "another command was meant")


@kt.test
def a_command_on_path_is_named_by_its_name():
    folder, programs = kt.scratch("mine"), kt.scratch("bin")
    os.mkdir(programs)
    os.symlink(kt.KCHAIN, programs + "/kchain")
    done = kt.command(["kchain", "init", folder], env=dict(os.environ, PATH=programs + ":" + os.environ["PATH"]))
    with open(folder + "/Makefile", encoding="utf-8") as f:
        kt.check(done.exit == 0 and "KCHAIN := kchain\n" in f.read(), "not by its name", done)


@kt.test
def a_kernel_that_does_not_compile_is_not_baked():
    folder = kt.scratch("mine")
    kt.kchain("init", folder)
    kt.check(make(folder).exit == 0, "it is not built")
    with open(folder + "/hello.c", "a", encoding="utf-8") as f:
        f.write("#error wrong\n")
    done = make(folder, "run")
    kt.check(done.exit == 2 and "#error wrong" in done.err and "hello, world" not in done.out, "it was run", done)


@kt.test
def only_empty_folders_are_filled():
    top = kt.scratch("top")
    os.makedirs(top + "/full")
    kt.write_bytes(top + "/full/.hidden", b"")
    kt.write_bytes(top + "/file", b"")
    os.mkdir(top + "/empty")
    for path, message in (("full", ".*/full: the folder is not empty\n  hint: .*\n"), ("file", ".*/file: Not a directory\n"),
                          ("no/such", ".*/no/such: No such file or directory\n"), ("", ": No such file or directory\n"),
                          ("x" * 300, ".*: File name too long\n")):
        done = kt.kchain("init", top + "/" + path if path else "")
        kt.check(done.exit == 3 and re.fullmatch("kchain: " + message, done.err) and not done.out, f"init {path!r}", done)
        refused = kt.kchain("init", "--json", top + "/" + path if path else "")
        kt.check(refused.exit == 3 and json.loads(refused.out)["exit"] == 3, "--json", refused)
    kt.check(sorted(os.listdir(top)) == ["empty", "file", "full"] and os.listdir(top + "/full") == [".hidden"], "something was left")
    kt.check(kt.kchain("init", top + "/empty").exit == 0 and "Makefile" in os.listdir(top + "/empty"), "an empty folder is refused")
    shutil.rmtree(top + "/empty")
    os.mkdir(top + "/empty")
    done = kt.command([kt.KCHAIN, "init", "."], cwd=top + "/empty")
    kt.check(done.exit == 0 and "./hello.c" in done.out, "where one is", done)
    done = kt.kchain("init", "-t", "cal", top + "/new")
    kt.check(done.exit == 2 and "'cal' is not call, chain, fanout or site" in done.err and not os.path.exists(top + "/new"), "unknown template", done)


@kt.test
def what_cannot_be_written_leaves_nothing():
    """Files of more than 512 bytes can't be: the first of them is the second or third."""
    top = kt.scratch("top")
    os.makedirs(top + "/empty")
    for folder in ("new", "empty"):
        done = kt.command(["sh", "-c", 'trap "" XFSZ; ulimit -f 1; exec "$@"', "sh", kt.KCHAIN, "init", f"{top}/{folder}"])
        kt.check(done.exit == 3 and re.fullmatch(r"kchain: .*: File too large\n", done.err), "no clear line", done)
    kt.check(os.listdir(top) == ["empty"] and not os.listdir(top + "/empty"), "something was left", os.listdir(top))


if __name__ == "__main__":
    kt.main()
