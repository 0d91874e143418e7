#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""The command on bad disks, with signals at any time, and with files that others cut while it reads them: it does what it does all the same, or ends with a
documented exit code, says which file and why, and leaves nothing half-written. KCHAIN_IO=all tries every call; a check takes a sample."""
import os
import random
import re
import shutil
import signal
import subprocess
import time

import kt

COMMAND = os.path.abspath("build/kchain-failing")
EVERY = os.environ.get("KCHAIN_IO") == "all"
SAMPLE = 24
CAUSE = {"eio": "Input/output error", "enospc": "No space left on device"}
FAILURES = (2, 3, 4)
CHANGED = "changed while it was being read"


def make_tree(folder):
    """Some of all that `bake` treats in its own way."""
    os.makedirs(f"{folder}/d/inner")
    shutil.copy("build/kernels/hello.elf", f"{folder}/kernel")
    sizes = random.Random(3)
    for n in range(4):
        kt.write_bytes(f"{folder}/d/inner/file{n}", sizes.randbytes(3000))
    kt.write_bytes(f"{folder}/d/twin", kt.read_bytes(f"{folder}/d/inner/file0"))
    kt.write_bytes(f"{folder}/d/large", sizes.randbytes((1 << 20) + 5000))
    with open(f"{folder}/d/sparse", "wb") as f:
        f.write(b"begin")
        f.truncate(3 << 20)
        f.seek(2 << 20)
        f.write(b"middle")
    kt.write_bytes(f"{folder}/d/empty", b"")
    os.symlink("d/twin", f"{folder}/link")
    os.link(f"{folder}/link", f"{folder}/d/link")
    try:
        os.setxattr(f"{folder}/d/twin", "user.note", b"value")
    except OSError:
        pass  # the file system has none: so many calls less
    return folder


TREE = make_tree(kt.scratch("tree"))
PIPELINE = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([{"name": "hello", "call": "fs:/kernel"}], {"/": TREE}))
IMAGE = kt.bake(PIPELINE)
GOOD = kt.read_bytes(IMAGE)
REPORT = kt.write_json(kt.scratch("report.json"), {"kchain": 1, "links": [], "steps": []})


class Case:
    """A command and where its output goes: a file (`{out}` in its arguments) or standard output."""

    def __init__(self, name, args, replaces=False, cached=False, nameless=True):
        self.name, self.args, self.replaces, self.cached, self.nameless = name, args, replaces, cached, nameless
        self.writes = "{out}" in args
        self.good, self.calls = None, 0

    def attempt(self, setting):
        """How it ended, what it made, what lies where it was made, and whether anything was done to it."""
        place, cache, report = kt.scratch("place"), kt.scratch("cache"), kt.scratch("report")
        os.mkdir(place)
        os.mkdir(cache)
        if self.cached:
            shutil.copytree(CACHE, cache, dirs_exist_ok=True)
        out = f"{place}/out"
        if self.replaces:
            kt.write_bytes(out, b"old")
        env = dict(os.environ, NO_COLOR="1", XDG_CACHE_HOME=cache, TMPDIR=place, KCHAIN_FAIL_REPORT=report, **setting)
        if not self.nameless:
            env["KCHAIN_NO_TMPFILE"] = "1"
        done = kt.command([COMMAND, *[a.format(out=out) for a in self.args]], env=env)
        made = kt.read_bytes(out) if self.writes and os.path.exists(out) else done.out.replace(place, "PLACE").encode()
        left = {name: kt.read_bytes(f"{place}/{name}") for name in os.listdir(place)}
        left.update((f"cache/{name}", b"") for name in (os.listdir(f"{cache}/kchain") if os.path.isdir(f"{cache}/kchain") else ()))
        happened = os.path.exists(report) and kt.read_bytes(report) == b"failed"
        for path in (place, cache):
            shutil.rmtree(os.path.dirname(path))
        return done, made, left, happened

    def measure(self):
        done, self.good, left, _ = self.attempt({})
        kt.check(done.exit == 0, f"{self.name}: it does not even work on a good disk", done)
        if self.args[1] == PIPELINE and self.writes:
            kt.check(self.good == GOOD, f"{self.name}: another image", done)
        low, high = 0, 1 << 14
        while low < high:  # the first call that is not made
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.attempt({"KCHAIN_FAIL_IO": str(middle), "KCHAIN_FAIL_AS": "kill"})[0].exit < 0 else (low, middle)
        self.calls = low
        kt.check(self.calls > 3, f"{self.name}: {low} calls")

    def places(self, first=10, last=14, sample=SAMPLE):
        step = 1 if EVERY else max(1, self.calls // sample)
        return sorted({*range(min(first, self.calls)), *range(0, self.calls, step), *range(max(0, self.calls - last), self.calls)})

    def nothing_left(self, left):
        wanted = {"out": b"old"} if self.replaces else {}
        return {name: data for name, data in left.items() if name != "cache/digests"} == wanted


def cache_make():
    """A cache that knows the large files: they have to rest for a while before their digests are kept."""
    folder = kt.scratch("cache")
    time.sleep(3)
    done = kt.command([COMMAND, "bake", PIPELINE, "-o", kt.scratch("image.elf")], env=dict(os.environ, XDG_CACHE_HOME=folder))
    kt.check(done.exit == 0 and os.path.exists(f"{folder}/kchain/digests"), "no cache", done)
    return folder


CACHE = cache_make()
BAKES = [Case("bake", ["bake", PIPELINE, "-o", "{out}"]),
         Case("bake over a file", ["bake", PIPELINE, "-o", "{out}"], replaces=True, cached=True),
         Case("bake without nameless files", ["bake", PIPELINE, "-o", "{out}"], nameless=False),
         Case("bake a folder", ["bake", TREE, "-o", "{out}"])]
READERS = [Case("verify", ["verify", IMAGE]), Case("ls", ["ls", "-l", IMAGE]), Case("ls --json", ["ls", "--json", IMAGE]), Case("inspect", ["inspect", IMAGE]),
           Case("cat", ["cat", IMAGE, "/d/large", "--json"]), Case("plan", ["plan", IMAGE]), Case("plan of a pipeline", ["plan", PIPELINE])]
WRITERS = [Case("report --svg", ["report", REPORT, "--svg", "{out}"]), Case("report --svg over a file", ["report", REPORT, "--svg", "{out}"], replaces=True)]


# --- calls that fail -----------------------------------------------------------------------------------------------

def judge_failure(case, n, way, once):
    setting = {"KCHAIN_FAIL_IO": str(n), "KCHAIN_FAIL_AS": way, **({"KCHAIN_FAIL_ONCE": "1"} if once else {})}
    done, made, left, happened = case.attempt(setting)
    label = f"{case.name}: call {n}{'' if once else ' and all behind it'} {way}"
    kt.check(done.exit >= 0, f"{label}: ended by a signal", done)
    if done.exit == 0:
        kt.check(made == case.good, f"{label}: it says that all is well, but its output is another", done)
        return
    kt.check(way not in ("eintr", "short"), f"{label}: no reason to fail", done)
    kt.check(happened and done.exit in FAILURES, f"{label}: exit status {done.exit}", done)
    kt.check(CAUSE[way] in done.err and re.match(r"kchain: \S+: ", done.err), f"{label}: no file and cause", done)
    kt.check(case.nothing_left(left), f"{label}: it left {list(left)}", done)


def sweep_failures(case):
    case.measure()
    trials = [(n, way, once) for n in case.places() for way, once in (("eio", True), ("eio", False), ("enospc", True), ("eintr", True), ("short", True), ("short", False))]
    kt.in_parallel(lambda trial: judge_failure(case, *trial), trials)


# --- the end at any time -------------------------------------------------------------------------------------------

def judge_kill(case, n):
    done, _, left, _ = case.attempt({"KCHAIN_FAIL_IO": str(n), "KCHAIN_FAIL_AS": "kill"})
    label = f"{case.name}: killed at call {n}"
    kt.check(done.exit == -signal.SIGKILL, f"{label}: exit status {done.exit}", done)
    out = left.pop("out", None)
    kt.check(out in ((b"old", case.good) if case.replaces else (None, case.good)), f"{label}: its output is neither old nor new, nor missing")
    others = {name: data for name, data in left.items() if name != "cache/digests"}
    for name, data in others.items():
        # the whole file, between its link and its rename; half of one only where there are no files without a name
        whole = case.replaces and data == case.good or name.startswith("cache/")
        kt.check(whole or not case.nameless, f"{label}: it left {name}, {len(data)} bytes")
        kt.check(re.fullmatch(r"(out|cache/digests)\.\w{6}", name), f"{label}: it left {name}")
    return len(others)


def sweep_kills(case):
    case.measure()
    left = kt.in_parallel(lambda n: judge_kill(case, n), case.places(last=40))
    if case.nameless:
        kt.check(sum(left) <= 2, f"{case.name}: something was left {sum(left)} times")


def any_signal_leaves_nothing():
    """Not at calls, but at any time."""
    delays = random.Random(5)

    def trial(number):
        kind, place = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)[number % 4], kt.scratch("place")
        os.mkdir(place)
        env = dict(os.environ, XDG_CACHE_HOME=kt.scratch("cache"))
        env.update({"KCHAIN_NO_TMPFILE": "1"} if number % 8 < 3 else {})
        process = subprocess.Popen([COMMAND, "bake", PIPELINE, "-o", f"{place}/out"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        time.sleep(delays.random() * 0.06)
        process.send_signal(kind)
        status = process.wait(kt.HANG_AFTER_S)
        kt.check(status in (0, 128 + kind, -kind), f"{kind}: exit status {status}")
        left = os.listdir(place)
        kt.check(left in ([], ["out"]) and (not left or kt.read_bytes(f"{place}/out") == GOOD), f"{kind.name}: it left {left}")
    kt.in_parallel(trial, range(400 if EVERY else 60))


# --- files that others cut -----------------------------------------------------------------------------------------

def judge_cut(case, original, at, size):
    """`original` is cut to `size` bytes while the command, given a copy of it, is at that place."""
    copy = kt.scratch(os.path.basename(original))
    shutil.copy(original, copy)
    cut = Case(case.name, [copy if a == original else a for a in case.args])
    done, made, left, _ = cut.attempt({"KCHAIN_SHRINK": copy, "KCHAIN_SHRINK_TO": str(size), "KCHAIN_SHRINK_AT": at})
    shutil.rmtree(os.path.dirname(copy))
    label = f"{case.name}: cut to {size} bytes at {at}"
    kt.check(done.exit in (0, *FAILURES), f"{label}: exit status {done.exit}", done)
    if done.exit == 0:
        kt.check(made.replace(copy.encode(), original.encode()) == case.good, f"{label}: it says that all is well, but its output is another", done)
    else:
        kt.check(copy in done.err, f"{label}: the file is not named", done)
        kt.check(not left, f"{label}: it left {list(left)}", done)
    return CHANGED in done.err


def sweep_cuts(case):
    case.measure()
    whole = len(GOOD)
    sizes = (0, 1, 4096, 300000, whole // 2, whole - 5000, whole - 1)
    places = [f"io:{n}" for n in range(case.calls)] + [f"sha:{n}" for n in ((0, 1, 2, 3, 5, 8, 9, 10) if not EVERY else range(40))]
    seen = kt.in_parallel(lambda trial: judge_cut(case, IMAGE, *trial), [(at, size) for at in places for size in (sizes if EVERY else sizes[::2])])
    kt.check(sum(seen) > len(seen) // 10, f"{case.name}: reported as changed {sum(seen)} times of {len(seen)}")


def a_file_of_the_tree_is_cut():
    case = BAKES[0]
    case.measure()

    def trial(name, n):
        tree = make_tree(kt.scratch("tree"))
        pipeline = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([{"name": "hello", "call": "fs:/kernel"}], {"/": tree}))
        done, made, left, _ = Case("bake", ["bake", pipeline, "-o", "{out}"]).attempt(
            {"KCHAIN_SHRINK": f"{tree}/{name}", "KCHAIN_SHRINK_TO": "1000", "KCHAIN_SHRINK_AT": f"io:{n}"})
        shutil.rmtree(os.path.dirname(tree))
        kt.check(done.exit in (0, 3), f"{name} cut at {n}: exit status {done.exit}", done)
        if done.exit == 0 and made != GOOD:  # it was cut before it was looked at: then that is what is baked
            image = kt.write_bytes(kt.scratch("image.elf"), made)
            kt.check(kt.kchain("verify", image).exit == 0, f"{name} cut at {n}: an image that is not good")
        elif done.exit:
            kt.check(f"/{name}: " in done.err or f"/{name}:" in done.err, f"{name} cut at {n}: not named", done)
            kt.check(case.nothing_left(left), f"{name} cut at {n}: it left {list(left)}")
        return CHANGED in done.err
    names = ("kernel", "d/large", "d/sparse", "d/inner/file1")
    seen = kt.in_parallel(lambda t: trial(*t), [(name, n) for name in names for n in case.places(first=0, last=0, sample=20)])
    kt.check(any(seen), "a change was never seen")


def a_cut_image_is_not_run():
    """By the time QEMU reads it, too: then QEMU says so."""
    case = Case("run", ["run", IMAGE, "--accel", "tcg", "--timeout", "60s"])
    for at in ("io:3", "io:6", "io:9", "sha:0", "sha:5", "sha:9"):
        for size in (0, len(GOOD) // 2):
            copy = kt.scratch("image.elf")
            shutil.copy(IMAGE, copy)
            case.args[1] = copy
            done, _, left, _ = case.attempt({"KCHAIN_SHRINK": copy, "KCHAIN_SHRINK_TO": str(size), "KCHAIN_SHRINK_AT": at})
            kt.check(done.exit in (3, 4) and copy in done.err, f"cut to {size} at {at}: exit status {done.exit}", done)
            kt.check(not left, f"it left {left}", done)


def a_result_is_whole_or_not_there():
    for old in (None, b"old"):
        for call, way in (("linkat", "eio"), ("linkat", "kill"), ("write", "enospc"), ("write", "short"), ("write", "kill"), ("rename", "eio"), ("rename", "kill")):
            result = kt.scratch("result.json")
            if old:
                kt.write_bytes(result, old)
            env = dict(os.environ, KCHAIN_FAIL_IO="0", KCHAIN_FAIL_ONLY=f"__wrap_{call}", KCHAIN_FAIL_AS=way)
            done = kt.command([COMMAND, "run", IMAGE, "--accel", "tcg", "--result", result, "--timeout", "60s"], env=env)
            label = f"{call} {way}, {'over a file' if old else 'a new file'}"
            left = {name: kt.read_bytes(os.path.join(os.path.dirname(result), name)) for name in os.listdir(os.path.dirname(result))}
            data = left.pop("result.json", None)
            if call == "rename" and not old or way == "short":
                kt.check(done.exit == 0 and kt.json.loads(data)["kchain_handoff"], f"{label}: not written", done)
            else:
                kt.check(done.exit == (-signal.SIGKILL if way == "kill" else 3) and data == old, f"{label}: exit status {done.exit}", done)
                kt.check(way == "kill" or f"{result}: {CAUSE[way]}" in done.err, f"{label}: no file and cause", done)
            kt.check(not left or call == "rename" and way == "kill" and [kt.json.loads(d)["kchain_handoff"] for d in left.values()], f"{label}: it left {list(left)}")


def no_input_is_written_over():
    """By name, by another name of the same file, and by a link to it."""
    folder = os.path.dirname(kt.scratch("x"))
    files = {name: kt.write_bytes(os.path.join(folder, name), data) for name, data in (
        ("image.elf", GOOD), ("report.json", kt.read_bytes(REPORT)), ("pipeline.json", kt.read_bytes(PIPELINE)), ("module", b"m"), ("handoff.json", b"{}"))}
    for name, args in (("image.elf", ["run", "{in}", "--accel", "tcg", "--result", "{out}"]), ("image.elf", ["run", "{in}", "--accel", "tcg", "--console", "{out}"]),
                       ("image.elf", ["run", "{in}", "--accel", "tcg", "--bootinfo", "{out}"]), ("image.elf", ["run", "{in}", "--accel", "tcg", "--screenshot", "{out}"]),
                       ("module", ["run", IMAGE, "--accel", "tcg", "--module", "{in}", "--result", "{out}"]),
                       ("pipeline.json", ["run", "{in}", "--accel", "tcg", "--result", "{out}"]), ("pipeline.json", ["bake", "{in}", "-o", "{out}"]),
                       ("report.json", ["report", "{in}", "--svg", "{out}"])):
        path, hard, soft = files[name], os.path.join(folder, "hard"), os.path.join(folder, "soft")
        os.link(path, hard)
        os.symlink(path, soft)
        before = kt.read_bytes(path)
        for out in (path, hard, soft, os.path.join(folder, ".", name)):
            done = kt.kchain(*[a.replace("{in}", path).replace("{out}", out) for a in args])
            kt.check(done.exit == 3 and f"{out}: it would take the place of an input" in done.err and "entered" not in done.err, f"{args[0]} over {out}", done)
            kt.check(kt.read_bytes(path) == before and os.path.samefile(path, out), f"{args[0]}: {out} is another file")
        os.unlink(hard)
        os.unlink(soft)


def a_reader_that_goes_takes_nothing_along():
    """The image is there, and not a word is said."""
    for reads, args in ((0, ["bake", PIPELINE, "--json", "-o", "{out}"]), (0, ["bake", PIPELINE, "-o", "{out}"]), (0, ["bake", PIPELINE, PIPELINE[:-5] + "2.json", "--json", "-o", "{out}/"]),
                        (100, ["cat", IMAGE, "/d/large"]), (0, ["cat", IMAGE, "/d/large"]), (0, ["verify", "--json", IMAGE]), (0, ["ls", "--json", IMAGE]), (0, ["plan", "--json", IMAGE])):
        out = kt.scratch("out")
        shutil.copy(PIPELINE, PIPELINE[:-5] + "2.json")
        read_end, write_end = os.pipe()
        if not reads:
            os.close(read_end)
        process = subprocess.Popen([kt.KCHAIN, *[a.format(out=out) for a in args]], stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        if reads:
            kt.check(len(os.read(read_end, reads)) == reads, "nothing to read")
            os.close(read_end)
        _, errors = process.communicate(timeout=kt.HANG_AFTER_S)
        kt.check(process.returncode == -signal.SIGPIPE and not errors, f"{args}: exit status {process.returncode}", errors)
        made = [out] if os.path.isfile(out) else [os.path.join(out, name) for name in os.listdir(out)] if os.path.isdir(out) else []
        kt.check(len(made) == args[0].count("bake") * sum(a.endswith(".json") for a in args), f"{args}: {made}")
        kt.check(all(kt.read_bytes(path) == GOOD for path in made), f"{args}: another image")


def a_large_image_takes_little_memory():
    """And a file that is mostly a hole little of the disk."""
    size, most = 400 << 20, 130 << 20
    folder = os.path.dirname(kt.scratch("x"))
    with open(f"{folder}/hole", "wb") as f:
        f.write(b"begin")
        f.truncate(size)
    shutil.copy("build/kernels/hello.elf", f"{folder}/kernel")
    pipeline, image = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([{"name": "hello", "call": "fs:/kernel"}], {"/": folder})), kt.scratch("image.elf")
    for args in (["bake", pipeline, "-o", image], ["verify", image], ["ls", image], ["inspect", image], ["plan", image], ["plan", pipeline]):
        pid = os.posix_spawn(kt.KCHAIN, [kt.KCHAIN, *args], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        _, status, used = os.wait4(pid, 0)
        kt.check(status == 0 and used.ru_maxrss * 1024 < most, f"{args[0]}: status {status}, {used.ru_maxrss >> 10} MiB")
        if args[0] == "bake":  # a file in memory (tmpfs) gets pages for holes that are read by mapping it
            kt.check(os.path.getsize(image) > size and os.stat(image).st_blocks * 512 < 4 << 20, f"the image takes {os.stat(image).st_blocks * 512} bytes")


def controls(text):
    """A tab is one that a guest may say."""
    return re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]", text)


def nothing_odd_is_printed_raw():
    """Operands and names of files with escape sequences, U+0080 to U+009F, and bytes that are no UTF-8."""
    for odd in (b"\x1b[31mred\x1b[0m", b"a\nb\tc\x7f", "\u009b2J\u0085x".encode(), b"\x9b2J", b"\xff\xfe"):
        folder = os.fsencode(os.path.dirname(kt.scratch("x")))
        there, missing = folder + b"/" + odd + b".elf", folder + b"/none" + odd
        with open(there, "wb") as f:
            f.write(GOOD)
        lines = [[b"bake", missing], [b"bake", os.fsencode(PIPELINE), b"-o", there + b"/x"], [b"bake", os.fsencode(PIPELINE), b"-o", there], [b"bake", os.fsencode(PIPELINE), b"--json", b"-o", there],
                 [b"bake", os.fsencode(PIPELINE), os.fsencode(PIPELINE), b"-o", there], [b"bake", os.fsencode(PIPELINE), b"-o", folder + b"/" + odd + b"/"],
                 [b"bake", os.fsencode(PIPELINE), b"--name", odd, b"-o", there], [b"bake", os.fsencode(PIPELINE), b"--base", odd], [odd], [b"--" + odd], [b"help", odd],
                 [b"run", there, b"--accel", odd], [b"run", there, b"--module", missing], [b"run", there, b"--machine", odd], [b"run", there, b"--until", b"(" + odd],
                 [b"watch", there], [b"report", there], [b"plan", there, b"--step", odd], [b"init", there], [b"cat", there, odd], [b"cat", there, b"--manifest"], [b"ls", there, odd],
                 [b"verify", there, b"--id", odd]]
        lines += [[command, path, *more] for command in (b"inspect", b"verify", b"ls", b"plan", b"run", b"report", b"watch") for path in (missing,) for more in ((), (b"--json",))]
        lines += [[command, there, *more] for command in (b"inspect", b"verify", b"ls", b"plan") for more in ((), (b"--json",))]
        lines += [[b"run", there, b"--accel", b"tcg", b"--timeout", b"60s"]]
        for line in lines:
            done = subprocess.run([kt.KCHAIN, *line], stdin=subprocess.DEVNULL, capture_output=True, timeout=kt.HANG_AFTER_S, cwd=folder, check=False)
            for stream in (done.stdout, done.stderr):
                found = controls(stream.decode("utf-8", "surrogateescape"))
                kt.check(not found, f"{line}: raw {found and ascii(found.group(0))}", stream)
            if b"--json" in line and line[0] not in (b"watch",):
                kt.json.loads(done.stdout)


for one in BAKES + READERS + WRITERS:
    kt.add_test(f"{one.name} on a bad disk", lambda one=one: sweep_failures(one))
for one in BAKES[:3] + WRITERS:
    kt.add_test(f"{one.name}, killed", lambda one=one: sweep_kills(one))
for one in READERS[:-1]:
    kt.add_test(f"{one.name} of a file that is cut", lambda one=one: sweep_cuts(one))
for function in (any_signal_leaves_nothing, a_file_of_the_tree_is_cut, a_cut_image_is_not_run, a_result_is_whole_or_not_there, no_input_is_written_over,
                 a_reader_that_goes_takes_nothing_along, a_large_image_takes_little_memory,                 nothing_odd_is_printed_raw):
    kt.add_test(function.__name__, function)

kt.main()
