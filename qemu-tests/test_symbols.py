#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""Where in its source a kernel faulted: found by build-id as debuggers do, shown by `run`, `watch` and `report`; no file can crash the command."""
import hashlib
import json
import os
import random
import re
import shutil

import kt

ELF, DEBUG = "build/kernels/fault.elf", "build/kernels/fault.debug"
FILES = {"/fault.elf": ELF, "/flaky": "build/kernels/flaky.elf", "/hello": "build/kernels/hello.elf"}
TEXT = kt.read_bytes("kernels/fault.c").decode().splitlines()


def line_of(text):
    """As `readelf` and a person count."""
    return next(n for n, line in enumerate(TEXT, 1) if text in line)


# What goes wrong, the function it is in and what its line has in it.
FAULTS = (("null", "null_pointer", "*(volatile int *)address = 1"), ("ud2", "invalid_opcode", "ud2"), ("div0", "divide", "one / zero"),
          ("text", "write_text", "(uintptr_t)null_pointer = 0"), ("stack", "deeper", "room[0] = *above"))


def place(function, text):
    return f"{function}, kernels/fault.c:{line_of(text)}"


def calls():
    return [{"name": name, "call": "fs:/fault.elf", "args": name, "on_error": "continue"} for name, _, _ in FAULTS]


def copied(folder, *files):
    os.makedirs(folder, exist_ok=True)
    for path in files:
        shutil.copy(path, folder)
    return folder


@kt.test
def run_and_report_say_where():
    """A pipeline's files are looked beside; an image's own folder, or the one that is given."""
    own = os.path.dirname(kt.scratch("x"))
    copied(own, ELF, DEBUG)
    pipeline = kt.write_json(os.path.join(own, "pipeline.json"), kt.pipeline(calls(), {"/fault.elf": os.path.join(own, "fault.elf")}))
    beside = shutil.copy(kt.bake(pipeline), os.path.join(own, "image.elf"))
    far = kt.bake(pipeline)
    for operand, more in ((pipeline, ()), (beside, ()), (far, ("--symbols", own))):
        done = kt.kchain("run", operand, "--accel", "tcg", "--json", *more)
        kt.check(done.exit == 0, "run", done)
        steps = {s["step"]: s for s in done.json()["steps"]}
        for name, function, text in FAULTS:
            fault, wanted = steps[name]["fault"], place(function, text)
            kt.check((fault["place"], fault["function"], fault["file"], fault["line"]) == (wanted, function, "kernels/fault.c", line_of(text)), name, fault)
            kt.check(re.fullmatch("[0-9a-f]{40}", fault["build_id"]) and f"at {wanted}\n" in done.err, name, fault, done)
        said = kt.kchain("report", kt.write_bytes(kt.scratch("result"), done.out.encode()))
        kt.check(all(f"at {place(f, t)}\n" in said.out for _, f, t in FAULTS), "report", said)
    done = kt.kchain("run", far, "--accel", "tcg", "--json")
    kt.check(done.exit == 0 and not any("place" in s["fault"] for s in done.json()["steps"]) and "warning" not in done.err, "from nowhere", done)


@kt.test
def an_image_in_an_image_and_kernels_that_are_booted():
    inner = kt.bake(kt.pipeline([{"name": "null", "call": "fs:/fault.elf", "args": "null", "on_error": "continue"}, {"name": "stops", "boot": "fs:/fault.elf", "args": "ud2"}],
                                FILES, name="inner"))
    outer = kt.bake(kt.pipeline([{"name": "div0", "call": "fs:/fault.elf", "args": "div0", "on_error": "continue"}, {"name": "inner", "boot": "fs:/inner"}],
                                dict(FILES, **{"/inner": inner}), name="outer"))
    done = kt.kchain("run", outer, "--accel", "tcg", "--json", "--symbols", "build/kernels")
    places = [place(f, t) for n, f, t in (FAULTS[2], FAULTS[0])]
    kt.check(done.exit == 1 and [s["fault"]["place"] for s in done.json()["steps"] if "fault" in s] == places, "calls", done)
    kt.check(re.fullmatch(r"stops: invalid opcode at 0x[0-9a-f]+, " + re.escape(place(*FAULTS[1][1:])), done.json()["reason"]), "a kernel that was booted", done.json()["reason"])


@kt.test
def fan_outs_group_by_lines():
    step = {"name": "map", "call": "fs:/flaky", "args": "10 0", "timeout": "1s", "fanout": {"count": 60, "console": "mute", "require": 0}}
    done = kt.kchain("run", kt.bake(kt.pipeline([step], FILES)), "-c", 3, "--json", "--symbols", "build/kernels")
    kt.check(done.exit == 0 and re.search(r"1 x page fault, fault, kernels/flaky\.c:\d+: 9\n", done.err), "no group with its line", done)
    groups = done.json()["steps"][0]["failures"]
    kt.check(sum("place" in g.get("fault", {}) for g in groups) >= 2, "groups", groups)


@kt.test
def watch_knows_kernels_by_their_digests():
    image, log = kt.bake(kt.pipeline(calls(), FILES)), kt.scratch("log")
    done = kt.command(["qemu-system-x86_64", "-accel", "tcg", "-m", "64M", "-display", "none", "-nodefaults", "-no-reboot", "-kernel", image,
                       "-serial", f"file:{log}", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
    kt.check(done.exit == kt.OK, "boot", done)
    for folder, known in (("build/kernels", True), (copied(kt.scratch("f"), DEBUG), False), (copied(kt.scratch("f"), ELF, DEBUG), True)):
        done = kt.kchain("watch", log, "--json", "--symbols", folder)
        kt.check([s["fault"].get("place") for s in done.json()["steps"]] == [place(f, t) if known else None for _, f, t in FAULTS], folder, done)


# --- finding the file, without a machine ------------------------------------------------------------------------------------

def document(kernel=ELF, rip=None, **fault):
    """What `run --json` would have said of a fault at `rip`, by default in null_pointer."""
    if rip is None:
        rip = symbol("null_pointer")
    return {"links": [{"name": "a"}], "steps": [{"step": "s", "status": "fault", "source": "fs:/" + os.path.basename(kernel),
            "kernel_sha256": hashlib.sha256(kt.read_bytes(kernel)).hexdigest(), "fault": {"name": "page fault", "rip": hex(rip), **fault}}]}


def symbol(name):
    return int(re.search(rf"(?m)^(\w+) \w {name}$", kt.command(["nm", DEBUG]).out).group(1), 16)


def build_id(path=ELF):
    return re.search(r"Build ID: (\w+)", kt.command(["readelf", "-n", path]).out).group(1)


def look(doc, *folders):
    """The place that `report` says, or None."""
    args = [arg for folder in folders for arg in ("--symbols", folder)]
    done = kt.kchain("report", kt.write_json(kt.scratch("doc"), doc), *args)
    kt.check(done.exit == 0, "report", done)
    return (re.findall(r"(?m)^ +at (.*)$", done.out) or [None])[0]


@kt.test
def found_as_debuggers_do():
    wanted = look(document(), "build/kernels")
    kt.check(wanted and re.fullmatch(r"null_pointer, kernels/fault\.c:\d+", wanted), "beside it", wanted)
    by_id, by_digest = document(build_id=build_id()), document()
    only = kt.scratch("only.debug")
    kt.check(kt.command(["objcopy", "--only-keep-debug", DEBUG, only]).exit == 0, "objcopy")
    linked = kt.scratch("fault.elf")
    kt.check(kt.command(["objcopy", f"--add-gnu-debuglink={only}", ELF, linked]).exit == 0, "objcopy")
    top = kt.scratch("places")
    deep = os.path.join(top, "a/.build-id", build_id()[:2])
    os.makedirs(deep)
    shutil.copy(only, os.path.join(deep, build_id()[2:] + ".debug"))
    kt.check(look(by_id, os.path.join(top, "a")) == wanted, "by .build-id")
    kt.check(look(by_id, copied(os.path.join(top, "b"), DEBUG)) == wanted, "by its name")
    renamed = copied(os.path.join(top, "c"))
    shutil.copy(only, os.path.join(renamed, "whatever"))
    kt.check(look(by_id, renamed) == wanted and look(by_digest, renamed) is None, "by any name, but not by a digest that is another's")
    kt.check(look(by_digest, copied(os.path.join(top, "d"), ELF), renamed) == wanted, "by the kernel's digest, then its build-id")
    kt.check(look(dict(document(linked)), copied(os.path.join(top, "e"), linked)) is None, "no symbols there")
    os.makedirs(os.path.join(top, "e/.debug"))
    shutil.copy(only, os.path.join(top, "e/.debug"))
    kt.check(look(document(linked), os.path.join(top, "e")) in (None, wanted), "by its link")
    other = copied(os.path.join(top, "g"))
    shutil.copy("build/kernels/hello.debug", os.path.join(other, "fault.debug"))
    kt.check(look(by_id, other) is None, "another kernel's file of that name is not its")
    kt.check(look(document(build_id="../../../../etc/passwd"), "build/kernels") == wanted, "a build-id that is none")


@kt.test
def addresses_anywhere_do_no_harm():
    seen = {look(document(rip=rip, build_id=build_id()), "build/kernels")
            for rip in (0, 1, 0xffffffffc0000000, symbol("null_pointer") + 1, 0xffffffffffffffff, 0x8000000000000000, symbol("stage_image_end"))}
    kt.check(all(found is None or re.fullmatch(r"(null_pointer|stage_image_start)(, kernels/fault\.c:\d+)?", found) for found in seen), "places", seen)
    for rip in ("", "x", "0x", "-1", 7, None, [], "0x11112222333344445"):
        doc = document(build_id=build_id())
        doc["steps"][0]["fault"]["rip"] = rip
        look(doc, "build/kernels")


@kt.test
def no_file_can_crash_it():
    """Symbols that are cut, or have bytes changed: said in one line, or nothing is found."""
    whole = kt.read_bytes(DEBUG)
    chance, folder = random.Random(3), kt.scratch("f")
    os.makedirs(folder)
    sections = int.from_bytes(whole[40:48], "little")
    doc = document(build_id=build_id())
    for number in range(60):
        data = bytearray(whole if number % 3 else whole[:chance.randrange(len(whole))])
        for _ in range(0 if not number else 1 + number % 12):
            at = chance.choice((sections + chance.randrange(len(whole) - sections), chance.randrange(len(whole))))
            if at < len(data):
                data[at] = chance.randrange(256)
        kt.write_bytes(os.path.join(folder, "fault.debug"), bytes(data))
        done = kt.kchain("report", kt.write_json(kt.scratch("doc"), doc), "--symbols", folder)
        kt.check(done.exit in (0, 3) and (done.exit == 0 or done.err == "kchain: fault.elf: its ELF structures or symbols can't be read\n"), f"round {number}", done)
    os.unlink(os.path.join(folder, "fault.debug"))
    os.mkfifo(os.path.join(folder, "fault.debug"))
    os.symlink("/dev/zero", os.path.join(folder, "zero"))
    os.symlink("loop", os.path.join(folder, "loop"))
    kt.check(look(doc, folder) is None, "what is no file is left alone")
    kt.check(json.loads(json.dumps(doc)) == doc, "the document")


kt.main()
