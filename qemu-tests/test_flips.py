#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""One random byte of an image is changed, 200 times (50 times in the form for PVH): everybody who looks at the image refuses it.

`kchain verify` and `kchain run` and a parent stage look at the whole file; a booting stage can only look at what it did
not need in order to look: the manifest and the filesystem (docs/THREATS.md).
"""
import functools
import random
import re

import kt

FLIPS = {"multiboot": 200, "pvh": 50}
SEED = 20240229


@functools.lru_cache
def image(form):
    """A small image with something of everything in it, checked wholly when it starts."""
    value = kt.pipeline([{"name": "echo", "call": "fs:/echo"}],
                        {"/echo": "build/kernels/echo.elf", "/docs/a.json": "configs/01-hello.json", "/docs/readme": "README.md"},
                        verify="all", name="flipped")
    return kt.bake(value, "--format", form)


def each_form(function):
    """A test of the images of each form."""
    for form in FLIPS:
        kt.add_test(f"{function.__name__} ({form})", functools.partial(function, form))
    return function


def flips(form, begin, end, gap=(0, 0)):
    """(offset, image bytes) with one byte changed at a random offset of [begin, end) that is not in the gap."""
    whole, chance = kt.read_bytes(image(form)), random.Random(SEED)
    for _ in range(FLIPS[form]):
        at = chance.randrange(begin, end - (gap[1] - gap[0]))
        at += gap[1] - gap[0] if at >= gap[0] and gap[1] else 0
        changed = bytearray(whole)
        changed[at] ^= chance.randrange(1, 256)
        yield at, bytes(changed)


def flipped_files(form, begin, end):
    return [(at, kt.write_bytes(kt.scratch("flipped.elf"), data)) for at, data in flips(form, begin, end)]


def names_a_part(text):
    return re.search(r"image|manifest|filesystem|fs-meta|stage|elf|sections|header|/[a-z]", text)


def refused_by(form, subcommand, *more):
    def one(case):
        at, path = case
        done = kt.kchain(subcommand, path, *more)
        ok = done.exit == 3 and names_a_part(done.err)
        return None if ok else f"byte {at}: {done}"
    bad = [b for b in kt.in_parallel(one, flipped_files(form, 0, len(kt.read_bytes(image(form))))) if b]
    kt.check(not bad, f"{len(bad)} of {FLIPS[form]} not refused", *bad[:3])


@each_form
def verify_accepts_the_whole_image(form):
    done = kt.kchain("verify", image(form))
    kt.check(done.exit == 0, "refused", done)


@each_form
def verify_refuses_each_flip(form):
    refused_by(form, "verify")


@each_form
def run_refuses_each_flip(form):
    refused_by(form, "run", "--timeout", "5s")


@each_form
def a_parent_stage_refuses_each_flip(form):
    """The child comes as a boot module, so that one parent serves for all flips; QEMU gives its file name as its string."""
    parent = kt.bake(kt.pipeline([{"name": "child", "boot": "module:child.elf", "unverified": True}], {}, name="parent"))

    def one(case):
        at, data = case
        child = kt.write_bytes(kt.scratch("child.elf"), data)
        return stage_refuses(kt.qemu_argv("microvm,isa-serial=on", "128M", "-kernel", parent, "-initrd", child), at, "echo received")
    bad = [b for b in kt.in_parallel(one, flips(form, 0, len(kt.read_bytes(image(form))))) if b]
    kt.check(not bad, f"{len(bad)} of {FLIPS[form]} not refused", *bad[:3])


def stage_refuses(argv, at, must_not_appear):
    """None when the stage says what is damaged; else why not."""
    with kt.Machine(argv) as machine:
        machine.wait_for(r"(?m)^.*\berror\b.*\n", 60)
        text = machine.console()
        said = re.search(r"(?m)^.*\berror\b.*$", text)
        if not said or not names_a_part(said.group(0)) or re.search(must_not_appear, text):
            return f"byte {at}: {machine.explain()}"
    return None


@each_form
def a_booting_stage_refuses_each_flip_of_manifest_and_filesystem(form):
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", image(form)).json()["parts"]}
    begin, end = parts["manifest"]["offset"], parts["files"]["offset"] + parts["files"]["bytes"]
    # Between the manifest's last byte and the filesystem's first page lies nothing that a stage reads.
    gap = (begin + parts["manifest"]["bytes"], parts["fs-meta"]["offset"])
    kt.check(0 <= gap[1] - gap[0] < 4096, "the gap behind the manifest", parts)

    def one(case):
        at, data = case
        path = kt.write_bytes(kt.scratch("flipped.elf"), data)
        return stage_refuses(kt.qemu_argv("microvm,isa-serial=on", "128M", "-kernel", path), at, "echo received")
    bad = [b for b in kt.in_parallel(one, flips(form, begin, end, gap)) if b]
    kt.check(not bad, f"{len(bad)} of {FLIPS[form]} not refused", *bad[:3])


@kt.test
def by_default_a_booting_stage_refuses_flips_of_what_it_uses():
    """"verify": "used": manifest, metadata, pipeline and kernel are looked at; a file that no step names is not."""
    unused = kt.write_bytes(kt.scratch("unused"), random.Random(SEED).randbytes(5000))
    plain = kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": "build/kernels/echo.elf", "/unused": unused}))
    whole, chance = kt.read_bytes(plain), random.Random(SEED)
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", plain).json()["parts"]}
    kernel, rest = kt.read_bytes("build/kernels/echo.elf"), kt.read_bytes(unused)
    pipeline = kt.command([kt.KCHAIN, "cat", plain, "/kchain/pipeline.json"]).out.encode()
    used = [(parts[n]["offset"], parts[n]["bytes"]) for n in ("manifest", "fs-meta")]
    used += [(whole.index(data), len(data)) for data in (kernel, pipeline)]

    def flipped(begin, count):
        changed, at = bytearray(whole), begin + chance.randrange(count)
        changed[at] ^= chance.randrange(1, 256)
        return at, kt.write_bytes(kt.scratch("flipped.elf"), bytes(changed))

    def argv(path):
        return kt.qemu_argv("microvm,isa-serial=on", "128M", "-kernel", path)
    cases = [flipped(*place) for place in used for _ in range(10)]
    bad = [b for b in kt.in_parallel(lambda c: stage_refuses(argv(c[1]), c[0], "echo received"), cases) if b]
    kt.check(not bad, f"{len(bad)} of {len(cases)} not refused", *bad[:3])
    kt.expect_end(kt.boot(flipped(whole.index(rest), len(rest))[1]))


kt.main()
