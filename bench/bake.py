# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""`kchain bake` beside cp, mkfs.erofs and grub-mkrescue on the same trees: wall time, interleaved, and peak memory.

The inputs are in the page cache before the first run; each run writes a new file on the same file system, and
what a run left unwritten is written out before the next one starts.
"""
import hashlib
import os
import random
import shutil
import statistics
import tempfile
import time

import kt
import plot

KIB, MIB = 1 << 10, 1 << 20
KERNEL = "build/bench/tick.elf"
FILES, DIRECTORIES = 2000, 40
LARGE_BYTES = 1 << 30
VARIANTS, SINGLE = 1000, 40
REST_S = 4  # the digest of a file that is newer than two seconds is not kept
COLUMNS = ("command", "run", "seconds")
FIRST, AGAIN = "kchain bake", "kchain bake, again"


def timed(argv, output):
    """Seconds of one run; its output is a new file."""
    if os.path.exists(output):
        os.remove(output)
    os.sync()
    started = time.monotonic()
    done = kt.command(argv, hang_after_s=300)
    seconds = time.monotonic() - started
    kt.check(done.exit == 0 and os.path.exists(output), "failed", done)
    return seconds


def peak_kib(argv):
    done = kt.command(["/usr/bin/time", "-f", "%M", *argv], hang_after_s=300)
    kt.check(done.exit == 0, "failed", done)
    return int(done.err.splitlines()[-1])


def in_turns(contestants, runs):
    """name -> (argv, output); returns name -> seconds of each run."""
    seconds = {name: [] for name in contestants}
    for _ in range(runs):
        for name, (argv, output) in contestants.items():
            seconds[name].append(timed(argv, output))
    for _, output in contestants.values():
        os.remove(output)
    return seconds


def pipeline_of(folder, files, **more):
    value = kt.pipeline([{"name": "tick", "call": "fs:/tick"}], {"/tick": KERNEL, **files}, **more)
    return kt.write_json(os.path.join(folder, "pipeline.json"), value)


def bake_argv(pipeline, output, *options):
    return [kt.KCHAIN, "bake", *options, pipeline, "-o", output]


def small_tree(folder):
    tree, sizes = os.path.join(folder, "tree"), random.Random(1)
    for number in range(FILES):
        path = os.path.join(tree, f"d{number % DIRECTORIES}", f"file{number}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        kt.write_bytes(path, sizes.randbytes(sizes.randrange(100, 6000)))
    return tree


def small_files(out, folder):
    tree = small_tree(folder)
    pipeline, image = pipeline_of(folder, {"/tree": tree}), os.path.join(folder, "image.elf")
    erofs, iso = os.path.join(folder, "tree.erofs"), os.path.join(folder, "tree.iso")
    contestants = {
        FIRST: (bake_argv(pipeline, image, "--no-cache"), image),
        "mkfs.erofs": (["mkfs.erofs", "--quiet", erofs, tree], erofs),
    }
    seconds = in_turns(contestants, 9)
    seconds["grub-mkrescue"] = in_turns(
        {"iso": (["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", iso, tree], iso)}, 3
    )["iso"]
    for name, several in seconds.items():
        out.times(f"{FILES:,} small files by {name}", several, *([0.1] if name == FIRST else []))
    return [[f"{name}, {FILES} files", n, s] for name, several in seconds.items() for n, s in enumerate(several)]


def large_file(folder, size):
    path = os.path.join(folder, "large")
    with open(path, "wb") as f:
        piece = random.Random(2).randbytes(MIB)
        for number in range(size // MIB):  # no two pieces alike
            f.write(number.to_bytes(8, "little") + piece[8:])
    return path


def sha256_seconds(path):
    """What a first bake cannot do without: OpenSSL's SHA-256 of all bytes, out of the page cache."""
    started, digest = time.monotonic(), hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        piece = bytearray(MIB)
        while count := f.readinto(piece):
            digest.update(memoryview(piece)[:count])
    return time.monotonic() - started


def one_gib(out, folder):
    tree = os.path.join(folder, "large-tree")
    os.makedirs(tree)
    image, again, copy, erofs = (os.path.join(folder, n) for n in ("image.elf", "again.elf", "copy", "large.erofs"))
    peaks = {}
    for size in (16 * MIB, LARGE_BYTES):
        large = large_file(tree, size)
        pipeline = pipeline_of(folder, {"/large": large})
        peaks[size] = peak_kib(bake_argv(pipeline, image, "--no-cache"))
    time.sleep(REST_S)
    timed(bake_argv(pipeline, image), image)  # which keeps the digest
    contestants = {
        "cp": (["cp", large, copy], copy),
        FIRST: (bake_argv(pipeline, image, "--no-cache"), image),
        AGAIN: (bake_argv(pipeline, again), again),
        "mkfs.erofs": (["mkfs.erofs", "--quiet", erofs, tree], erofs),
    }
    seconds = in_turns(contestants, 7)
    for name in (FIRST, AGAIN, "cp", "mkfs.erofs"):
        out.times(f"1 GiB by {name}", seconds[name])
    for name in (FIRST, AGAIN):
        over = statistics.median(seconds[name]) / statistics.median(seconds["cp"])
        out.figure(f"1 GiB: {name} over cp (medians)", over, "times", 1.1)
    out.times("1 GiB: SHA-256 alone, one thread", [sha256_seconds(large) for _ in range(3)])
    out.figure("peak memory, image of 16 MiB", peaks[16 * MIB] / KIB, "MiB")
    out.figure("peak memory, image of 1 GiB", peaks[LARGE_BYTES] / KIB, "MiB")
    out.figure("peak memory, 1 GiB over 16 MiB", peaks[LARGE_BYTES] / peaks[16 * MIB], "times", 1.1)
    shutil.rmtree(tree)
    return [[f"{name}, 1 GiB", n, s] for name, several in seconds.items() for n, s in enumerate(several)]


def variants(out, folder):
    """Another `state` each; a kernel and 1 MiB of data in common."""
    data, inputs, images = large_file(folder, MIB), os.path.join(folder, "variants"), os.path.join(folder, "images")
    os.makedirs(inputs)
    os.makedirs(images)
    paths = []
    for number in range(VARIANTS):
        value = kt.pipeline(
            [{"name": "tick", "call": "fs:/tick"}], {"/tick": KERNEL, "/data": data}, state={"run": number}
        )
        paths.append(kt.write_json(os.path.join(inputs, f"v{number:04}.json"), value))
    started = time.monotonic()
    for path in paths[:SINGLE]:
        kt.check(kt.kchain("bake", path, "-o", os.path.join(images, "one.elf")).exit == 0, f"{path}: bake failed")
    single = SINGLE / (time.monotonic() - started) * 60
    os.sync()
    started = time.monotonic()
    done = kt.kchain("bake", *paths, "-o", images + "/", hang_after_s=300)
    seconds = time.monotonic() - started
    kt.check(done.exit == 0 and len(os.listdir(images)) == VARIANTS + 1, "bake failed", done)
    out.figure(
        f"{VARIANTS:,} variants of one image, baked in one run",
        VARIANTS / seconds * 60,
        "images/minute",
        VARIANTS,
        ">=",
    )
    out.figure(f"the same by one run each ({SINGLE} of them)", single, "images/minute")
    return [
        ["kchain bake, 1000 variants in one run", 0, seconds],
        [f"kchain bake, {SINGLE} single runs", 0, SINGLE / single * 60],
    ]


def run(out):
    os.makedirs("build/bench", exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build/bench", prefix="bake-") as folder:
        folder = os.path.abspath(folder)
        rows = small_files(out, folder) + one_gib(out, folder) + variants(out, folder)
    out.table("seconds", COLUMNS, rows)
    median = {name: statistics.median(r[2] for r in rows if r[0] == name) for name, _, _ in rows}
    names = [FIRST, AGAIN, "mkfs.erofs", "grub-mkrescue", "cp"]
    groups = [
        (group, [median.get(f"{name}, {key}") for name in names])
        for group, key in ((f"{FILES:,} small files", f"{FILES} files"), ("one file of 1 GiB", "1 GiB"))
    ]
    out.plot(
        "seconds",
        plot.bars(
            "Baking, beside others on the same tree",
            "median wall time; inputs in the page cache; kchain hashes every byte, again: of what has changed",
            "",
            "seconds",
            groups,
            names,
            log_y=True,
        ),
    )
