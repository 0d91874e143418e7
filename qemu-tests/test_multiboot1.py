#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""What a Multiboot 1 kernel gets to know, however it is started: its modules and where among them the handoff is; the screen."""
import itertools

import kt

FILES = {"/acts": "build/kernels/acts.elf", "/linear": "build/kernels/acts-linear.elf", "/text": "build/kernels/acts-text.elf", "/hello": "build/kernels/hello.elf"}
TEXT = {"known": True, "type": 2, "phys": 0xB8000, "width": 80, "bits": 16}
SCREEN = ["-vga", "std"]
NONE = {"known": False, "type": 0, "phys": 0, "width": 0, "bits": 0}
PLACES = ("last", "first", "none", None)
STRINGS = ("kchain-handoff", "kchain-handoff rd=/x root=/dev/sda", "kchain-handoff.json /", None)
WAYS = {"svm": {"isolation": "svm"}, "fixed": {}}


def files():
    return FILES | {f"/m{i}": kt.write_bytes(kt.scratch(f"m{i}"), bytes([65 + i]) * (i * 5000)) for i in range(3)}


def combinations():
    """Each place of the handoff with each string and number of modules."""
    return list(itertools.product(PLACES, STRINGS, range(4)))


def step(way, name, place, string, count):
    handoff = {k: v for k, v in (("at", place), ("string", string)) if v is not None}
    modules = [{"from": f"fs:/m{i}", "string": f"m{i} of /{count}"} for i in range(count)]
    call = {"boot": "fs:/acts"} if way == "boot" else {"call": "fs:/acts", "memory": "4M", "timeout": "20s", **WAYS[way]}
    return {"name": name, "args": "modules {{self.mailbox.phys|0}}", **call, **({"handoff": handoff} if handoff else {}), **({"modules": modules} if modules else {})}


def judge(label, found, place, string, count):
    wanted = [(f"m{i} of /{count}", i * 5000, 65 + i if i else 0) for i in range(count)]
    if place != "none":
        wanted.insert(0 if place == "first" else count, (string or "kchain-handoff", None, ord("{")))
    got = [(m["string"], None if m["string"].startswith("kchain") else m["bytes"], m["first"]) for m in found["modules"]]
    kt.check(found["known"] and got == wanted, f"{label}: {got}, wanted {wanted}")


def called(way):
    def run():
        chosen = combinations()
        steps = [step(way, f"s{i}", *c) for i, c in enumerate(chosen)]
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, files())), qemu=["-cpu", "max", "-smp", "2"]))
        results = ended.of("handoff")[-1]["doc"]["results"]
        for i, combination in enumerate(chosen):
            entry = results[f"s{i}"]
            kt.check(entry["status"] == "ok", f"{way} {combination}: {entry}")
            judge(f"{way} {combination}", entry["result"], *combination)
    return run


for way_name in WAYS:
    kt.add_test(f"handoff and modules, called, {way_name}", called(way_name))


@kt.test
def handoff_and_modules_booted():
    chosen = [(place, STRINGS[(i + count) % len(STRINGS)], count) for i, place in enumerate(PLACES) for count in (0, 2)]

    def one(combination):
        ended = kt.boot(kt.bake(kt.pipeline([step("boot", "s", *combination)], files())))
        judge(f"boot {combination}", ended.of("exit")[-1]["result"], *combination)
    kt.in_parallel(one, chosen)


@kt.test
def a_called_native_kernel_gets_its_handoff_and_nothing_else():
    for place, string, count in combinations():
        steps = [{**step("fixed", "s", place, string, count), "call": "fs:/hello"}]
        path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline(steps, files()))
        done = kt.kchain("bake", path, "-o", kt.scratch("image.elf"))
        plain = place in (None, "last") and string in (None, "kchain-handoff") and not count
        kt.check(done.exit == (0 if plain else 3), f"{place}, {string}, {count}", done)
        kt.check(plain or "means nothing to a native kernel" in done.err, "for another reason", done)


def booted_screen(kernel, machine, **more):
    image = kt.bake(kt.pipeline([{"name": "s", "boot": f"fs:/{kernel}", "args": "show-screen", **more}], FILES))
    return kt.boot(image, machine=machine, qemu=SCREEN if machine == "pc" else ())


@kt.test
def a_booted_kernel_knows_the_screen_that_there_is():
    def one(case):
        kernel, machine, wanted = case
        found = booted_screen(kernel, machine).of("exit")[-1]["result"]
        kt.check(found == wanted, f"{kernel} on {machine}: {found}")
    kt.in_parallel(one, [(kernel, machine, wanted) for kernel in ("acts", "linear", "text") for machine, wanted in (("pc", TEXT), ("microvm", NONE))])


@kt.test
def a_screen_that_is_required_and_not_there_is_refused():
    for kernel, machine, message in (("linear", "pc", "1024x768, 32 bits a pixel.*a text screen"), ("linear", "microvm", "no screen that is known"),
                                     ("text", "microvm", "no screen that is known")):
        kt.expect_error(booted_screen(kernel, machine, video="required"), "plan-no-video", message)
    for kernel, machine in (("text", "pc"), ("acts", "microvm")):
        kt.check(booted_screen(kernel, machine, video="required").of("exit")[-1]["result"]["known"] == (machine == "pc"), f"{kernel} on {machine}")


@kt.test
def a_called_kernel_knows_the_screen_too():
    steps = [{"name": f"{way}-{kernel}", "call": f"fs:/{kernel}", "args": "show-screen", "memory": "4M", "timeout": "20s", **WAYS[way]}
             for way in WAYS for kernel in ("acts", "linear", "text")]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=["-cpu", "max", "-smp", "2", *SCREEN]))
    for name, entry in ended.of("handoff")[-1]["doc"]["results"].items():
        kt.check(entry["result"] == TEXT, f"{name}: {entry}")


kt.main()
