#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 1800
"""A stranger on an empty Debian gets from the clone to a kernel of his own by the five commands that README.md shows.

The system is a minimal one (debootstrap), unpacked into memory, in which nothing is installed but what Debian always has. Its archive is
a mirror on this machine (archive.py). It lives in a mount and a process namespace of its own, whose first process the kernel ends
with this one: whatever ends the test, nothing is left. NEWCOMER_RELEASE=trixie (or bookworm) takes another release than this system's.
"""
import contextlib
import glob
import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import archive
import kt

RELEASE = os.environ.get("NEWCOMER_RELEASE") or kt.command(["sh", "-c", ". tools/debian.sh; echo $release"]).out.strip()
NEEDED_BYTES = 3 << 30
# What is there is not asked for: the machine has lost its network, and its tree what it remembers of looking.
AGAIN = "rm -r build/deps && unshare --net make run"


def documentation_check():
    """tools/check-docs as a module: how it finds commands, and how it compares what they print."""
    loader = importlib.machinery.SourceFileLoader("check_docs", os.path.abspath("tools/check-docs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_docs", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def five_commands(docs):
    """[(command, lines that it prints)] of README.md, up to the kernel of one's own."""
    with open("README.md", encoding="utf-8") as f:
        page = f.read()
    parts = [re.search(rf"(?ms)^## {title}$(.*?)^## ", page).group(1) for title in ("Try it", "Your own kernel")]
    return [session for part in parts for _, body in docs.blocks(part, "console") for session in docs.sessions(body)]


def namespace(script, *args, **more):
    """A shell in namespaces of its own, as a Popen. It ends with this process, and all it started with it."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh", *args],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def ended(process):
    out, _ = process.communicate()
    return process.returncode, out


EMPTY = """
mount -t tmpfs -o mode=755,size=3g none "$1"
"""


def skip_where_it_cannot_be():
    for tool in ("debootstrap", "setpriv", "unshare", "git"):
        if not shutil.which(tool):
            raise kt.Skip(f"no {tool} (Debian packages: debootstrap util-linux git)")
    if RELEASE not in ("bookworm", "trixie"):
        raise kt.Skip("it is made on Debian 12 or 13, or where NEWCOMER_RELEASE names one of them")
    if os.getuid() != 0:
        raise kt.Skip("a chroot is made by root alone")
    with open("/proc/meminfo", encoding="ascii") as f:
        free = int(re.search(r"MemAvailable: *(\d+)", f.read()).group(1)) << 10
    if free < NEEDED_BYTES:
        raise kt.Skip(f"{free >> 20} MiB of memory are free; it takes {NEEDED_BYTES >> 20}")
    place = kt.scratch("probe")
    os.mkdir(place)
    status, out = ended(namespace(EMPTY + 'mknod "$1/null" c 1 3; echo x >"$1/null"; mount -t proc none "$1"', place))
    if status:
        raise kt.Skip("no namespace with files and devices of its own can be made here: " + (out.strip().splitlines() or ["?"])[-1])
    if not shutil.which("git") or kt.command(["git", "rev-parse", "HEAD"]).exit:
        raise kt.Skip("this tree is no clone")


def empty_system(mirror):
    """The path of a minimal Debian as a tar file, from the cache or made for it."""
    path = os.path.join(mirror.folder, "base.tar")
    if archive.is_whole(path):
        return path
    place = kt.scratch("base")
    os.mkdir(place)
    script = EMPTY + """
debootstrap --force-check-gpg --variant=minbase "$2" "$1/system" "$3" >"$1/log" 2>&1 || { tail -n5 "$1/log"; exit 1; }
rm -rf "$1/system/var/lib/apt/lists" "$1/system/var/cache/apt/archives"
mkdir -p "$1/system/var/lib/apt/lists/partial" "$1/system/var/cache/apt/archives/partial"
tar --numeric-owner -C "$1/system" -cf "$4" .
"""
    status, out = ended(namespace(script, place, RELEASE, mirror.url, path + ".new"))
    if status and mirror.unreached:
        raise kt.Skip(f"no empty Debian in {mirror.folder}, and none can be fetched: {mirror.unreached}")
    kt.check(status == 0, "debootstrap failed", out)
    with open(path + ".sha256", "w", encoding="ascii") as f:
        f.write(archive.digest(path + ".new"))
    os.replace(path + ".new", path)
    return path


def repository():
    """A repository with this tree as it is now, what is not committed included."""
    path = kt.scratch("repository")
    listed = kt.command(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).out
    for name in (n for n in listed.split("\0") if os.path.lexists(n) and n):
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        shutil.copy2(name, os.path.join(path, name), follow_symlinks=False)
    for words in (["init", "-q"], ["add", "-A", "-f"], ["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-q", "-m", "x"]):
        done = kt.command(["git", "-C", path, *words])
        kt.check(done.exit == 0, "no repository can be made", done)
    return path


STRANGER = """
tar --numeric-owner -xpf "$2" -C "$1"
mount -t proc none "$1/proc"
cp -r "$3" "$1/repository"
cp "$4" "$1/typed"
echo "deb $5 $6 main" >"$1/etc/apt/sources.list"
echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb bash /typed
"""


class Typed:
    """One command: what it printed, how it ended, how long it took and what it fetched."""

    def __init__(self, command):
        self.command, self.lines, self.status, self.seconds, self.bytes = command, [], None, 0.0, 0

    def __str__(self):
        return "\n".join([f"$ {self.command}", *self.lines[-80:], f"exit {self.status}"])


def typed_by_a_stranger(commands, mirror, system):
    """The commands in one shell of the empty system, up to the first that fails."""
    lines = ["export LC_ALL=C GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'", "cd"]
    for command in commands:
        lines += [command.replace("REPOSITORY", "/repository"), 'status=$?; echo "@typed $status"; [ "$status" = 0 ] || exit 1']
    typed = kt.write_bytes(kt.scratch("typed"), "\n".join(lines + [""]).encode())
    place = kt.scratch("system")
    os.mkdir(place)
    process = namespace(EMPTY + STRANGER, place, system, repository(), typed, mirror.url, RELEASE)
    rest = [Typed(command) for command in commands]
    done, began, had = [], time.monotonic(), mirror.bytes
    for line in process.stdout:
        end = re.fullmatch(r"@typed (\d+)\n", line)
        if not end or not rest:
            (rest or done)[0].lines.append(line.rstrip("\n"))
            continue
        now = rest.pop(0)
        now.status, now.seconds, now.bytes = int(end.group(1)), time.monotonic() - began, mirror.bytes - had
        began, had = time.monotonic(), mirror.bytes
        done.append(now)
    process.wait()
    return done + rest


@kt.test
def five_commands_on_an_empty_system():
    skip_where_it_cannot_be()
    docs = documentation_check()
    shown = five_commands(docs)
    kt.check(len(shown) == 5, "README.md shows five commands", [command for command, _ in shown])
    folder = os.path.join(archive.cache(), "newcomer-" + RELEASE)
    os.makedirs(folder, exist_ok=True)
    with archive.Mirror(folder) as mirror:
        system = empty_system(mirror)
        done = typed_by_a_stranger([command for command, _ in shown] + [AGAIN], mirror, system)
        if mirror.unreached and any(typed.status != 0 for typed in done):
            raise kt.Skip(f"not all that is needed is in {folder}, and it can't be fetched: {mirror.unreached}")
    for typed, (_, lines) in zip(done, shown + [(AGAIN, ["…"])]):
        kt.check(typed.status == 0, "it fails for a stranger", typed)
        wrong = docs.matches(lines, typed.lines)
        kt.check(not wrong, wrong, typed)
        print(f"# {typed.seconds:6.1f} s {typed.bytes / 1e6:6.1f} MB  $ {typed.command}")
    kt.check(done[-1].bytes == 0, "something is fetched though all is there", done[-1])
    print(f"# {sum(t.seconds for t in done):6.1f} s {sum(t.bytes for t in done) / 1e6:6.1f} MB  in all, on an empty Debian {RELEASE}")
    mirror.prune()


def runs(words):
    """Whether a process with this command line is there."""
    wanted = "".join(word + "\0" for word in words).encode()
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if kt.read_bytes(path) == wanted:
                return True
    return False


@kt.test
def nothing_is_left_when_it_is_killed():
    skip_where_it_cannot_be()
    place, sleep = kt.scratch("place"), ["sleep", f"{os.getpid()}.25"]
    os.mkdir(place)
    script = f"""import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
import test_newcomer as t
process = t.namespace(t.EMPTY + 'touch "$1/there"; setsid {' '.join(sleep)} & echo ready; wait', {place!r})
print(process.stdout.readline(), flush=True); process.wait()"""
    test = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    kt.check(test.stdout.readline() == "ready\n", "it does not begin")
    deadline = time.monotonic() + 30
    while not runs(sleep):
        kt.check(time.monotonic() < deadline, "nothing to be ended")
        time.sleep(0.05)
    test.send_signal(signal.SIGKILL)
    test.communicate()
    while runs(sleep):
        kt.check(time.monotonic() < deadline, "a process is left")
        time.sleep(0.05)
    with open("/proc/self/mounts", encoding="utf-8") as f:
        kt.check(place not in f.read() and not os.listdir(place), "something is left")


if __name__ == "__main__":
    kt.main()
