#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 120
"""What is compiled of others' source is what its digest says, whatever became of the cache; without a network where all is there."""
import glob
import hashlib
import os
import re
import shutil
import subprocess

import kt

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kchain")
OF = {"lwip": "src/core/def.c", "jansson": "src/load.c"}


def pinned(name):
    """The digests that tools/fetch-NAME has."""
    with open(f"tools/fetch-{name}", encoding="utf-8") as f:
        return set(re.findall(r"\b[0-9a-f]{64}\b", f.read()))


def files_of(name):
    found = [p for p in glob.glob(f"{CACHE}/{name}_*") if hashlib.sha256(kt.read_bytes(p)).hexdigest() in pinned(name)]
    kt.check(len(found) == 2, f"the source of {name} is not cached", found)
    return found


def fetch(name, cache, folder, **environment):
    """With an apt that knows no archive: nothing can be fetched."""
    config = kt.write_bytes(kt.scratch("apt.conf"), b'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "/dev/null";\n')
    env = dict(os.environ, XDG_CACHE_HOME=cache, APT_CONFIG=config, **environment)
    return kt.command([f"tools/fetch-{name}", folder], env=env)


def own_cache(name):
    cache = kt.scratch("a cache")
    os.makedirs(cache + "/kchain")
    for path in files_of(name):
        shutil.copy(path, cache + "/kchain/")
    return cache


def without_network(name):
    cache, folder = own_cache(name), kt.scratch("a folder")
    for _ in range(2):
        done = fetch(name, cache, folder)
        kt.check(done.exit == 0 and not done.out and not done.err and os.path.exists(f"{folder}/{OF[name]}"), "not unpacked", done)
    kt.check(len(os.listdir(cache + "/kchain")) == 2, "it leaves something in the cache", os.listdir(cache + "/kchain"))
    good = kt.read_bytes(f"{folder}/{OF[name]}")
    kt.check(kt.read_bytes(f"build/{name}/{OF[name]}") == good, "what was built is another")
    # Somebody changes what was unpacked: it is not what the next one gets.
    kt.write_bytes(f"{folder}/{OF[name]}", b"#error changed\n")
    kt.check(fetch(name, cache, folder).exit == 0 and kt.read_bytes(f"{folder}/{OF[name]}") == good, "a changed file is kept")


def damaged(name):
    for path in files_of(name):
        data = kt.read_bytes(path)
        for other in (data[:-1], data[:100] + bytes([data[100] ^ 1]) + data[101:], b"", None):
            cache, folder = own_cache(name), kt.scratch("folder")
            bad = f"{cache}/kchain/{os.path.basename(path)}"
            if other is None:
                os.unlink(bad)
            else:
                kt.write_bytes(bad, other)
            done = fetch(name, cache, folder)
            says = f"fetch-{name}: cannot fetch {re.escape(os.path.basename(path))}: no archive is configured\n"
            if other is not None:
                says = f"fetch-{name}: .* is damaged, and is fetched again\n" + says
            kt.check(done.exit == 1 and re.fullmatch(says, done.err), "no clear line", done)
            kt.check(not os.path.exists(folder) and len(os.listdir(cache + "/kchain")) == (1 if other is None else 2), "something was left", os.listdir(cache + "/kchain"))


def changed_in_the_build(name):
    """Make looks at the files that it compiles each time, not at when they were unpacked."""
    build = kt.scratch("b")
    folder, stamp = f"{build}/{name}", f"{build}/{name}.unpacked"

    def make():
        done = kt.command(["make", "KCHAIN_DEPS=1", f"B={build}", stamp], env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})
        kt.check(done.exit == 0, "make", done)
        return "UNPACK" in done.out
    kt.check(make() and not make(), "not unpacked once")
    path = f"{folder}/{OF[name]}"
    good = kt.read_bytes(path)
    for label, act in (("appended to", lambda: kt.write_bytes(path, good + b" ")), ("a bit of it", lambda: kt.write_bytes(path, good[:-1] + bytes([good[-1] ^ 1]))),
                       ("emptied", lambda: kt.write_bytes(path, b"")), ("gone", lambda: os.unlink(path)), ("one more", lambda: kt.write_bytes(path + ".h", b"")),
                       ("renamed", lambda: os.rename(path, path + "x")), ("all gone", lambda: shutil.rmtree(folder)), ("stamp cut", lambda: kt.write_bytes(stamp, b""))):
        act()
        kt.check(make() and kt.read_bytes(path) == good and not os.path.exists(path + ".h"), label)
        kt.check(not make(), f"{label}: unpacked twice")


for package in OF:
    kt.add_test(f"{package} is unpacked without a network", lambda p=package: without_network(p))
    kt.add_test(f"{package} changed in the build is unpacked anew", lambda p=package: changed_in_the_build(p))
    kt.add_test(f"{package} damaged in the cache is not believed", lambda p=package: damaged(p))


@kt.test
def a_cache_that_cannot_be_written():
    for cache in ("/dev/null", "/proc/self"):
        done = fetch("lwip", cache, kt.scratch("folder"))
        kt.check(done.exit == 1 and done.err == f"fetch-lwip: cannot write to {cache}/kchain\n", "not one line", done)


@kt.test
def a_damaged_kernel_is_not_believed():
    done = kt.command(["tools/fetch-linux", "--cached"])
    if done.exit:
        raise kt.Skip(done.err.strip())
    cache = kt.scratch("cache")
    folder = f"{cache}/kchain/{os.path.basename(done.out.strip())}"
    os.makedirs(cache + "/kchain")
    shutil.copytree(done.out.strip(), folder, symlinks=True)
    env = dict(os.environ, XDG_CACHE_HOME=cache)
    kt.check(kt.command(["tools/fetch-linux", "--cached"], env=env).out == folder + "\n", "a copy is not taken")
    module = glob.glob(folder + "/**/erofs.ko", recursive=True)[0]
    kt.write_bytes(module, kt.read_bytes(module)[:-1])
    done = kt.command(["tools/fetch-linux", "--cached"], env=env)
    kt.check(done.exit == 1 and re.fullmatch(r"fetch-linux: no Debian kernel in .* \(`make deps` fetches one\)\n", done.err), "it is believed", done)


@kt.test
def kernels_are_fetched_side_by_side():
    """Each of several at once succeeds, finds a whole kernel, and leaves nothing behind; apt's programs are stand-ins."""
    top, cache = kt.scratch("programs"), kt.scratch("cache")
    inside = kt.scratch("inside")
    for path, data in (("boot/vmlinuz-1", b"kernel"), *((f"lib/modules/1/kernel/m{n}.ko", b"module") for n in range(200))):
        os.makedirs(os.path.dirname(os.path.join(inside, path)), exist_ok=True)
        kt.write_bytes(os.path.join(inside, path), data)
    os.makedirs(top)
    programs = {"apt-get": 'case "$*" in *download*) echo deb >linux-image-1.deb ;; esac', "apt-cache": "echo ' Depends: linux-image-1'",
                "dpkg-deb": f'case $1 in -f) echo 1.0 ;; *) tar -c -C "{inside}" boot lib ;; esac'}
    for name, text in programs.items():
        kt.write_bytes(os.path.join(top, name), f"#!/bin/sh\n{text}\n".encode())
        os.chmod(os.path.join(top, name), 0o755)
    env = dict(os.environ, XDG_CACHE_HOME=cache, PATH=top + ":" + os.environ["PATH"])
    for _ in range(3):
        running = [subprocess.Popen([kt.KCHAIN, "kernel", "fetch", "--json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
        for process in running:
            out, err = process.communicate()
            kt.check(process.returncode == 0 and '"version": "1.0"' in out, "one of them failed", out, err)
        folder = os.path.join(cache, "kchain/kernels")
        kt.check(sorted(os.listdir(folder)) == ["linux-image-cloud-amd64", "lock"], "something is left", os.listdir(folder))
        kt.check(len(os.listdir(os.path.join(folder, "linux-image-cloud-amd64/modules/kernel"))) == 200, "a part of it")


def fetch_packages(top, what, name, *packages):
    """As the command runs its script, with all of its caches below `top`."""
    with open("chain/cmd/kernel/fetch.sh", encoding="utf-8") as f:
        return ["sh", "-c", f.read(), "fetch", f"{top}/{what}s", what, name, *packages]


# An archive as Debian's is: what programs depend on, and what only the scripts of their packages do.
ARCHIVE = {
    "libc6": "", "libcap2": "libc6", "libpam0g": "libc6, debconf (>= 0.5) | debconf-2.0", "libsystemd0": "libc6, libcap2 (>= 1)", "libacl1": "libc6",
    "perl-base": "libc6", "tar": "libacl1", "dpkg": "libc6, tar (>= 1)", "debconf": "perl-base", "passwd": "libpam0g", "adduser": "passwd",
    "ucf": "debconf", "sensible-utils": "", "usrmerge": "perl", "init-system-helpers": "usrmerge", "lsb-base": "init-system-helpers",
    "perl": "perl-base (= 1), dpkg (>= 1)", "iproute2": "debconf, libcap2", "redis-server": "libsystemd0, adduser, lsb-base, init-system-helpers (>= 1)",
    "nginx-light": "iproute2, libc6, ucf", "openssh-server": "libpam0g, sensible-utils, adduser, dpkg (>= 1)"}
COME = {
    "perl": "libc6 perl perl-base", "tar": "libacl1 libc6 tar", "iproute2": "iproute2 libc6 libcap2", "redis-server": "libc6 libcap2 libsystemd0 redis-server",
    "nginx-light": "iproute2 libc6 libcap2 nginx-light", "openssh-server": "libc6 libpam0g openssh-server", "dpkg": "dpkg libacl1 libc6 tar",
    "passwd": "libc6 libpam0g passwd", "adduser": "adduser", "adduser,passwd": "adduser libc6 libpam0g passwd", "debconf,perl": "debconf libc6 perl perl-base"}


def archive():
    """Packages of one file each; answers apt's settings, which name this archive only."""
    folder = kt.scratch("archive")
    index = ""
    for name, depends in ARCHIVE.items():
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: none\n" + (f"Depends: {depends}\n" if depends else "")
        inside = kt.scratch(name)
        os.makedirs(inside + "/DEBIAN")
        os.makedirs(inside + "/usr/bin")
        kt.write_bytes(inside + "/DEBIAN/control", control.encode())
        kt.write_bytes(f"{inside}/usr/bin/{name}", name.encode())
        os.makedirs(folder, exist_ok=True)
        done = kt.command(["dpkg-deb", "-Znone", "--root-owner-group", "-b", inside, f"{folder}/{name}.deb"])
        kt.check(done.exit == 0, "no package", done)
        data = kt.read_bytes(f"{folder}/{name}.deb")
        index += control + f"Filename: ./{name}.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    kt.write_bytes(folder + "/Packages", index.encode())
    source = kt.write_bytes(kt.scratch("sources.list"), f"deb [trusted=yes] file:{folder} ./\n".encode())
    return kt.write_bytes(kt.scratch("apt.conf"), f'Dir::Etc::SourceList "{source}";\nDir::Etc::SourceParts "/dev/null";\n'.encode())


@kt.test
def a_root_has_what_its_packages_need():
    """By apt itself: all that they depend on and that doesn't only install, and whatever was asked for. The user's umask doesn't show."""
    env, top = dict(os.environ, APT_CONFIG=archive()), kt.scratch("cache")
    for asked, come in COME.items():
        argv = fetch_packages(top, "root", asked, *asked.split(","))
        done = kt.command(argv, env=env, umask=0o027)
        kt.check(done.exit == 0, f"{asked}: not fetched", done)
        root = f"{top}/roots/{asked}"
        rows = [line.split() for line in kt.read_bytes(root + "/PACKAGES").decode().splitlines()]
        kt.check(" ".join(sorted(row[0] for row in rows)) == come, f"{asked}: other packages", rows)
        kt.check(sorted(os.listdir(root + "/usr/bin")) == come.split(), f"{asked}: other programs", os.listdir(root + "/usr/bin"))
        for folder, names, files in os.walk(root):
            for path in (os.path.join(folder, name) for name in names + files):
                wanted = 0o1777 if path in (root + "/tmp", root + "/var/tmp") else 0o755 if os.path.isdir(path) else 0o644
                kt.check(os.path.islink(path) or os.stat(path).st_mode & 0o7777 == wanted, f"{path}: another mode", oct(os.stat(path).st_mode))
    kt.check(os.stat(top + "/roots").st_mode & 0o7777 == 0o750, "the user's own folder is opened to others")
    argv = fetch_packages(top, "root", "none-such", "none-such")
    done = kt.command(argv, env=env)
    kt.check(done.exit == 3 and done.err.endswith("kchain: root: E: Unable to locate package none-such\n"), "no clear line", done)


@kt.test
def kernels_and_roots_take_turns_at_the_lists():
    """A stand-in of apt's, which two may not be in at once: its own lock is off."""
    top, programs = kt.scratch("cache"), kt.scratch("programs")
    os.makedirs(programs)
    busy, clash = kt.scratch("busy"), kt.scratch("clash")
    inside = kt.scratch("inside")
    for path in ("boot/vmlinuz-1", "lib/modules/1/m.ko"):
        os.makedirs(os.path.dirname(f"{inside}/{path}"))
        kt.write_bytes(f"{inside}/{path}", b"x")
    kt.write_bytes(programs + "/apt-get", f"""#!/bin/sh
mkdir "{busy}" 2>/dev/null || echo "$*" >>"{clash}"
sleep 0.3
case "$*" in *download*) echo deb >a.deb ;; *-s*install*) echo Inst a ;; esac
rmdir "{busy}" 2>/dev/null || :
""".encode())
    kt.write_bytes(programs + "/apt-cache", b"#!/bin/sh\n")
    kt.write_bytes(programs + "/dpkg-deb", f'#!/bin/sh\ncase $1 in -f) echo 1 ;; *) tar -c -C "{inside}" boot lib/modules ;; esac\n'.encode())
    for name in os.listdir(programs):
        os.chmod(f"{programs}/{name}", 0o755)
    env = dict(os.environ, PATH=programs + ":" + os.environ["PATH"])
    running = [subprocess.Popen(fetch_packages(top, *words), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
               for words in (("kernel", "linux-image"), ("root", "a", "a"))]
    for process in running:
        _, err = process.communicate()
        kt.check(process.returncode == 0, "one of them failed", err)
    kt.check(not os.path.exists(clash), "two at once", os.path.exists(clash) and kt.read_bytes(clash))


@kt.test
def other_systems_are_shown_what_to_do():
    """A copy of tools/ on a system of another kind."""
    top = kt.scratch("top")
    shutil.copytree("tools", top + "/tools")
    script = top + "/tools/debian.sh"
    with open(script, encoding="utf-8") as f:
        text = f.read()
    for release in ('ID=fedora\nVERSION_CODENAME=""\nPRETTY_NAME="Fedora Linux 42"\n', 'ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04"\n', ""):
        other = kt.write_bytes(kt.scratch("os-release"), release.encode())
        kt.write_bytes(script, text.replace("/etc/os-release", other).encode())
        done = kt.command([top + "/tools/deps", "run"])
        kt.check(done.exit == 1 and done.err.count("\n") == 1 and re.match(r"deps: .* is not Debian 12 or 13: ", done.err), "not one line", done)
        for word in ("musl-dev", "qemu-system-x86", "podman run ", "debootstrap ", "make KCHAIN_DEPS=1", release.split('"')[-2] if release else "this system"):
            kt.check(word in done.err, f"it does not say {word}", done)
        kt.check(not os.path.exists(top + "/build"), "it began to work")


if __name__ == "__main__":
    kt.main()
