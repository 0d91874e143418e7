#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""`make install` and the Debian package: what is installed works where it is, and nothing is half-done where it can't be put."""
import glob
import os
import re
import shutil
import subprocess

import kt

TOP = os.getcwd()
HELLO = os.path.abspath("kernels/hello.c")


def installer(what, destdir, prefix="/usr/local", wrap=(), **environment):
    return kt.command([*wrap, os.path.join(TOP, "tools/install"), what],
                      env=dict(os.environ, DESTDIR=destdir, PREFIX=prefix, VERSION="1.0", **environment))


def installed(destdir, prefix="/usr/local", **environment):
    done = installer("install", destdir, prefix, **environment)
    kt.check(done.exit == 0 and done.out.count("\n") == 1 and not done.err, "install failed", done)
    return done


def tree(top):
    """{path: (mode, bytes) or None for a folder}"""
    found = {}
    for folder, _, names in os.walk(top):
        found[os.path.relpath(folder, top)] = None
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = (os.stat(path).st_mode, kt.read_bytes(path))
    return found


def files(top):
    return {path for path, what in tree(top).items() if what is not None}


def refused(done, pattern):
    kt.check(done.exit == 1 and re.fullmatch(pattern, done.err) and not done.out, f"not refused by one line that says {pattern}", done)


def kernel_made_by(prefix):
    """hello.c by nothing but what is installed, in one command."""
    kernel = kt.scratch("hello.elf")
    script = 'eval "gcc -std=c11 -Os -Wall -Wextra -Werror \'$1\' -o \'$2\' $(pkg-config --cflags --libs kchain)"'
    done = kt.command(["sh", "-c", script, "sh", HELLO, kernel], env=dict(os.environ, PKG_CONFIG_PATH=prefix + "/lib/pkgconfig"))
    kt.check(done.exit == 0, "a kernel can't be built by what is installed", done)
    return kernel


@kt.test
def what_is_installed_works_where_it_is():
    """By `make`, with blanks in each of the names."""
    destdir, prefix = kt.scratch("a place"), "/opt/my programs"
    plain = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "KCHAIN_DEPS", "PKGCONFIGDIR")}
    done = kt.command(["make", "KCHAIN_DEPS=1", "-s", "install", "DESTDIR=" + destdir, "PREFIX=" + prefix], env=plain, hang_after_s=300)
    kt.check(done.exit == 0, "make install failed", done)
    here = destdir + prefix
    kernel = kernel_made_by(here)
    done = kt.command([here + "/bin/kchain", "run", kernel, "--args", "stranger"])
    kt.check(done.exit == 0 and "hello, stranger: this kernel was booted" in done.out, "it does not run", done)
    for page in glob.glob("docs/*.1"):
        kt.check(os.path.exists(f"{here}/share/man/man1/{os.path.basename(page)}"), f"no {page}")
    done = kt.command([here + "/sbin/kchain-next", "--dry-run", "/none"])
    kt.check(done.exit == 3 and "kchain-next: /none: No such file or directory" in done.err, "kchain-next does not run", done)
    for path, what in tree(here).items():
        kt.check(what is None or what[0] & 0o777 == (0o755 if path in ("bin/kchain", "sbin/kchain-next") else 0o644), f"mode of {path}: {what and oct(what[0])}")


@kt.test
def twice_and_over_another_version_then_gone():
    destdir = kt.scratch("dest")
    installed(destdir)
    first = tree(destdir)
    installed(destdir)
    kt.check(tree(destdir) == first, "the second time gave something else")
    # Another version: it had one file more, and other bytes.
    here = destdir + "/usr/local"
    os.mkdir(here + "/lib/kchain/old")
    kt.write_bytes(here + "/lib/kchain/old/part", b"old")
    kt.write_bytes(here + "/bin/kchain", b"old")
    kt.write_bytes(here + "/lib/kchain/installed", kt.read_bytes(here + "/lib/kchain/installed") + b"/usr/local/lib/kchain/old/part\n")
    kt.write_bytes(here + "/bin/another", b"somebody else's")
    installed(destdir)
    os.unlink(here + "/bin/another")
    kt.check(tree(destdir) == first, "the other version left something", sorted(set(tree(destdir)) ^ set(first)))
    kt.write_bytes(here + "/share/doc/kchain/notes", b"the user's own")
    for _ in range(2):
        done = installer("uninstall", destdir)
        kt.check(done.exit == 0 and done.out.count("\n") == 1, "uninstall failed", done)
        kt.check(files(destdir) == {"usr/local/share/doc/kchain/notes"}, "not all is gone, or too much", files(destdir))
    kt.check(not os.path.exists(here + "/lib/kchain"), "its folder is left")


@kt.test
def what_cannot_be_put_changes_nothing():
    top = kt.scratch("top")
    os.mkdir(top)
    file = kt.write_bytes(top + "/file", b"")
    refused(installer("install", file), r"install: cannot write to .*/file: Not a directory\n")
    refused(installer("install", "", "usr"), r"install: PREFIX is no absolute path: 'usr'\n")
    refused(installer("install", top, "/a\nb"), r"install: PREFIX is no absolute path: '/a\\nb'\n")
    kt.check(tree(top) == {".": None, "file": tree(top)["file"]}, "something was left", tree(top))
    # The last of all places is taken by a folder.
    os.makedirs(top + "/d/usr/local/share/man/man1/kchain.1")
    before = tree(top)
    refused(installer("install", top + "/d"), r"install: cannot write to .*/kchain\.1: Is a directory\n")
    kt.check(tree(top) == before, "something was left", tree(top))
    # No room: files of more than 100 KiB can't be written.
    short = ("sh", "-c", 'ulimit -f 200; exec "$@"', "sh")
    refused(installer("install", top + "/e", wrap=short), r"install: cannot write to .*: File too large\n")
    kt.check(tree(top) == before, "something was left", tree(top))
    installed(top + "/e")
    before = tree(top)
    refused(installer("install", top + "/e", wrap=short), r"install: cannot write to .*: File too large\n")
    kt.check(tree(top) == before, "the version that was there has changed")


@kt.test
def a_folder_that_cannot_be_written():
    top = kt.scratch("top")
    os.makedirs(top + "/full")
    installed(top + "/full")
    as_nobody = ()
    if os.getuid() == 0:
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        for folder in (os.path.dirname(os.path.dirname(top)), os.path.dirname(top)):  # what holds our scratch files
            os.chmod(folder, 0o755)
        if kt.command([*as_nobody, "test", "-r", os.path.join(TOP, "tools/install")]).exit:
            raise kt.Skip("the source tree is root's alone")
    for folder in glob.glob(top + "/**/", recursive=True) + [top]:
        os.chmod(folder, 0o555)
    before = tree(top)
    refused(installer("install", top + "/new", wrap=as_nobody), r"install: cannot write to .*/top: Permission denied\n")
    refused(installer("install", top + "/full", wrap=as_nobody), r"install: cannot write to .*: Permission denied\n")
    refused(installer("uninstall", top + "/full", wrap=as_nobody), r"uninstall: cannot remove .*: Permission denied\n")
    kt.check(tree(top) == before, "something has changed")
    for folder in glob.glob(top + "/**/", recursive=True) + [top]:
        os.chmod(folder, 0o755)


# --- completion ----------------------------------------------------------------------------------------------------

def completed(*words, folder=".", program=kt.KCHAIN):
    """What bash offers where the last of the words is being typed."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kchain; ((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true')
    done = kt.command(["bash", "-uc", script, "bash", os.path.abspath("build/install/completion"), program, *words], cwd=folder)
    kt.check(done.exit == 0 and not done.err, "completion failed", done)
    return done.out.splitlines()


@kt.test
def completion_offers_what_help_says():
    commands = re.findall(r"(?m)^  (\w+) +\w", kt.kchain("--help").out)
    kt.check(set(completed("")) == {*commands, "help", "--help", "--version"}, "commands", completed(""))
    for command in commands:
        options = set(re.findall(r"(?m)^ +(?:-\w, )?(--[\w-]+)", kt.kchain(command, "--help").out.split("\n\n", 2)[2]))
        kt.check(options and set(completed(command, "-")) == options, f"options of {command}", completed(command, "-"), options)


@kt.test
def completion_of_kchain_next():
    def offered(*words):
        return completed(*words, program="/usr/sbin/kchain-next", folder="configs")
    options = set(re.findall(r"(?m)^ +(?:-\w, )?(--[\w-]+)", kt.command(["build/next/kchain-next", "--help"]).out.split("\n\n", 2)[2]))
    kt.check(len(options) > 10 and set(offered("-")) == options, "options", offered("-"), options)
    kt.check(offered("--handoff-at", "") == ["last", "first", "none"] and offered("--name", "") == [], "words", offered("--handoff-at", ""))
    for words in (("01",), ("--yes", "01"), ("--handoff", "01"), ("--module", "01")):
        kt.check(offered(*words) == ["01-hello.json"], f"files for {words}", offered(*words))


@kt.test
def completion_offers_files_and_words():
    top = kt.scratch("top")
    os.makedirs(top + "/a folder")
    image = kt.bake(kt.pipeline([{"name": "k", "boot": "fs:/deep/k"}], {"/deep/k": "build/kernels/hello.elf"}))
    shutil.copy(image, top + "/a image.elf")
    kt.write_bytes(top + "/b.json", b"")
    cases = ((("ru",), ["run"]), (("help", "ru"), ["run"]), (("run", ""), ["a folder", "a image.elf", "b.json"]), (("run", "a "), ["a folder", "a image.elf"]),
             (("run", "-M", ""), ["pc", "q35", "microvm"]), (("run", "--machine", "=", "q"), ["q35"]), (("run", "--machine", "="), ["pc", "q35", "microvm"]),
             (("run", "--accel", "k"), ["kvm"]), (("run", "--cpus", ""), []), (("run", "--icount", "b"), ["b.json"]), (("run", "--result", "b"), ["b.json"]),
             (("run", "-c", "4", "b"), ["b.json"]), (("run", "b.json", ""), []), (("bake", "x", "y", "b"), ["b.json"]), (("run", "b.json", "--", "b"), []),
             (("cat", "a image.elf", "/de"), ["/deep/", "/deep/k"]), (("nonsense", ""), []))
    for words, wanted in cases:
        kt.check(sorted(completed(*words, folder=top)) == sorted(wanted), f"kchain {words}", completed(*words, folder=top), wanted)


# --- the Debian package ----------------------------------------------------------------------------------------------

def package():
    found = glob.glob("build/deb/kchain_*.deb")
    kt.check(len(found) == 1, "one package is made by `make deb`", found)
    return os.path.abspath(found[0])


@kt.test
def lintian_finds_no_error():
    if not shutil.which("lintian"):
        raise kt.Skip("no lintian")
    done = kt.command(["lintian", "--allow-root", "--fail-on", "error,warning", package()], hang_after_s=600)
    kt.check(done.exit == 0, "lintian", done)


@kt.test
def package_is_installed_used_and_removed():
    """On this system's own files, with all that is changed kept aside and thrown away (an overlay)."""
    upper = kt.scratch("changes")
    script = f"""
set -e
mount -t tmpfs none {upper}
mkdir {upper}/changes {upper}/work {upper}/merged
mount -t overlay none -o lowerdir=/,upperdir={upper}/changes,workdir={upper}/work {upper}/merged
mount -t proc none {upper}/merged/proc
mount --rbind /dev {upper}/merged/dev
touch {upper}/merged/can-be-written
"""
    os.mkdir(upper)
    here = ["unshare", "--mount", "--pid", "--fork", "sh", "-c"]
    probe = subprocess.run([*here, script], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise kt.Skip("no overlay of this system's files can be made here: " + (probe.stderr.strip().splitlines() or ["?"])[-1])
    use = f"""
cp {package()} {upper}/merged/kchain.deb
cat >{upper}/merged/use <<'END'
set -e
dpkg --purge kchain >/dev/null 2>&1 || true
dpkg -i /kchain.deb >/dev/null
mkdir /mine
cd /mine
cp /usr/lib/kchain/example/hello.c .
gcc -std=c11 -Os hello.c -o hello.elf $(pkg-config --cflags --libs kchain)
test "$(command -v kchain)" = /usr/bin/kchain
env -u KCHAIN_QEMU kchain run hello.elf --args package --accel tcg
test -n "$(find /usr/lib/kchain -name stage.debug)"
dpkg --remove kchain >/dev/null
! test -e /usr/bin/kchain
! test -e /usr/lib/kchain
END
chroot {upper}/merged sh /use
"""
    done = kt.command([*here, script + use], hang_after_s=200, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"})
    kt.check(done.exit == 0 and "hello, package: this kernel was booted" in done.out, "the package does not work", done)


if __name__ == "__main__":
    kt.main()
