#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""Multiboot kernels called at their fixed addresses, on a processor of their own: what they find and leave, and what is refused."""
import os

import kt

FILES = {"/acts": "build/kernels/acts.elf", "/hello": "build/kernels/hello.elf"}
TWO = ["-smp", "2"]
MIB = 1 << 20
ROOM = 16384


def fixed(name, args, **more):
    return {"name": name, "call": "fs:/acts", "args": args, "memory": "4M", "timeout": "20s", **more}


def bake(steps, *args, files=None):
    return kt.bake(kt.pipeline(steps, files or FILES), *args)


def results(ended):
    return ended.of("handoff")[-1]["doc"]["results"]


def rows_of(ended, step):
    return [row for record in ended.of("kernels") if record["step"] == step for row in record["rows"]]


@kt.test
def one_kernel_alone():
    steps = [fixed("one", "work 7"), {"name": "native", "call": "fs:/hello"}, fixed("two", "leave 3", on_error="continue"), fixed("three", "work 8")]
    ended = kt.expect_end(kt.boot(bake(steps), qemu=TWO))
    found = results(ended)
    kt.check(found["one"] == {"status": "ok", "exit": 0, "result": {"sum": 7}}, "its result", found)
    kt.check(found["two"]["exit"] == 3 and found["two"]["result"] == {"status": 3} and found["two"]["status"] == "failed", "a bad exit status", found)
    kt.check(found["native"]["result"] == {"greeted": "world"} and found["three"]["result"] == {"sum": 8}, "the calls after it", found)
    kt.check(kt.re.search(r"^worked on number 7", ended.console, kt.re.M), "its text", ended)


def one_after_another(processors):
    """Each finds memory as it was at first, whatever the one before did."""
    def run():
        acts = ["work", "entry", "take-over", "work", "work", "take-over", "work", "handoff", "work"]
        step = fixed("many", "{{self.input|none}} {{self.index}}", fanout={"list": acts})
        after = fixed("after", "{{self.index}}", call="fs:/hello", memory="1M", fanout={"count": 5})  # by timers and interrupts as before
        ended = kt.expect_end(kt.boot(bake([step, after]), qemu=["-smp", str(processors)]))
        found = results(ended)["many"]
        for index, act in enumerate(acts):
            got = found["result"][index]
            if act == "handoff":
                kt.check(got["handoff"]["self"]["index"] == index and got["handoff"]["self"]["count"] == len(acts), "its handoff", got)
            elif act != "entry":
                kt.check(got == {"sum" if act == "work" else "took": index}, f"kernel {index}", got)
        rows = rows_of(ended, "many")
        kt.check([row[0] for row in rows] == list(range(len(acts))), "the order", rows)
        kt.check({row[2] for row in rows} == {1}, "one processor, not the first", rows)
        kt.check(all(before[3] + before[4] <= row[3] for before, row in zip(rows, rows[1:])), "two at once", rows)
        about = [r for r in ended.of("result") if r["step"] == "many"][0]["machine"]
        kt.check(about["workers"] == 1 and about["windows"] == {"1": "0x100000"} and about["window_bytes"] == 4 * MIB, "the window", about)
        kt.check(results(ended)["after"]["ok"] == 5, "the fan-out after it", ended)
    return run


for cpu_count in (2, 4):
    kt.add_test(f"one after another on {cpu_count} processors", one_after_another(cpu_count))


@kt.test
def a_hang_is_a_timeout_and_retried():
    acts = ["work", "spin", "flaky", "halt", "work", "flaky"]
    step = fixed("many", "{{self.input|none}} {{self.attempt}}", timeout="1s", retries=1, on_error="continue", fanout={"list": acts, "require": 4})
    alone = fixed("alone", "spin", timeout="300ms", retries=1, on_error="continue")
    ended = kt.expect_end(kt.boot(bake([step, alone, fixed("after", "work 5")]), qemu=TWO))
    found = results(ended)
    kt.check(found["many"]["ok"] == 4 and found["many"]["retried"] == 4, "counts", found)
    kt.check({f["index"]: (f["status"], f["attempts"]) for f in kt.failed(found["many"])} == {1: ("timeout", 2), 3: ("timeout", 2)}, "failures", found)
    kt.check(found["many"]["result"] == [{"sum": 0}, None, {"attempt": 1}, None, {"sum": 0}, {"attempt": 1}], "the others' results", found)
    kt.check(found["alone"]["status"] == "timeout" and found["after"]["result"] == {"sum": 5}, "single calls", found)
    kt.check(len([s for s in ended.of("step") if s["name"] == "alone"]) == 2, "the single call was not retried", ended)


@kt.test
def kernels_that_know_nothing_of_it_are_taken_back():
    """GNU Mach and GRUB Invaders make timer, interrupt controllers, keyboard and screen their own."""
    files = dict(FILES, **{"/mach": "build/inputs/gnumach", "/invaders": "build/inputs/invaders"})
    alone = {"timeout": "1500ms", "on_error": "continue"}
    steps = [fixed("mach", "", call="fs:/mach", **alone), fixed("invaders", "", call="fs:/invaders", **alone), fixed("after", "work 1"),
             fixed("native", "{{self.index}}", call="fs:/hello", memory="1M", fanout={"count": 3})]
    ended = kt.expect_end(kt.boot(bake(steps, files=files), qemu=TWO))
    found = results(ended)
    kt.check([found[name]["status"] for name in ("mach", "invaders", "after", "native")] == ["timeout", "timeout", "ok", "ok"], "results", found)


@kt.test
def whatever_a_kernel_makes_of_timer_and_interrupts():
    """The first processor finds out by its timer that a native kernel hangs: before, and after the 8259 was somebody else's."""
    files = dict(FILES, **{"/spin": "build/kernels/spin.elf"})
    hangs = {"call": "fs:/spin", "timeout": "200ms", "fanout": {"count": 1}, "on_error": "continue"}
    steps = [{"name": "before", **hangs}]
    for number in range(4):
        steps += [fixed(f"take{number}", f"take-over {number}"), {"name": f"after{number}", **hangs}]
    ended = kt.expect_end(kt.boot(bake([*steps, fixed("apic", "local-apic-on")], files=files), qemu=TWO))
    found = results(ended)
    kt.check([found[f"take{i}"]["result"] for i in range(4)] == [{"took": i} for i in range(4)], "kernels", found)
    kt.check(all(found[name]["failures"][0]["status"] == "timeout" for name in ("before", *(f"after{i}" for i in range(4)))), "hangs", found)
    kt.check(found["apic"]["result"] == {"on": 0}, "the local APIC at its entry", found)


# What the mailbox is made to say, and what must come of it.
WILD = (
    ("malformed 0", "failed", 0, "not JSON"),
    (f"oversized {ROOM - 2}", "ok", 0, "x" * (ROOM - 2)),
    (f"oversized {ROOM - 1}", "failed", 0, f"{ROOM + 1} bytes; the mailbox has {ROOM}"),
    ("oversized 1000000", "failed", 0, "1000002 bytes"),
    ("mailbox-bytes 4294967295", "failed", 0, "4294967295 bytes"),
    ("mailbox-bytes 4", "failed", 0, "not JSON"),
    ("mailbox-bytes 0", "ok", 0, None),
    ("mailbox-state 2", "fault", -1, r"a state that means nothing \(0x2\) at 0x4fb004"),
    ("mailbox-state 4294967295", "fault", -1, r"a state that means nothing \(0xffffffff\)"),
    ("mailbox-state 1", "ok", 0, None),
    ("mailbox-overrun 0", "fault", -1, r"overwritten \(0x0\) at 0x4fb000"),
    ("mailbox-overrun 1", "fault", -1, r"overwritten \(0x1\)"),
    ("leave 256", "failed", 255, "exit status"),
    ("leave 4294967295", "failed", 255, "exit status"),
    ("work 9", "ok", 0, {"sum": 9}),
)


@kt.test
def wild_mailboxes():
    step = fixed("wild", "{{self.input|none}}", on_error="continue", fanout={"list": [act[0] for act in WILD], "console": "mute"})
    ended = kt.expect_end(kt.boot(bake([step]), qemu=TWO))
    found = results(ended)["wild"]
    failures = {f["index"]: f for f in kt.failed(found)}
    for index, (name, status, exit_status, wanted) in enumerate(WILD):
        got = failures.get(index, {"status": "ok", "exit": 0})
        kt.check((got["status"], got["exit"]) == (status, exit_status), f"{name}: {got}", ended)
        if status == "ok":
            kt.check(found["result"][index] == wanted, f"{name}: {str(found['result'][index])[:200]}", ended)
        else:
            kt.check(kt.re.search(wanted, got["reason"]), f"{name}: {got}", ended)


@kt.test
def the_plan_is_what_the_kernel_finds():
    modules = [{"from": "fs:/text", "string": "text {{self.step}}"}]
    files = dict(FILES, **{"/text": kt.write_bytes(kt.scratch("text"), b'"forty-two"')})
    image = bake([fixed("handoff", "handoff", memory="2M"), fixed("entry", "entry", modules=modules), fixed("first", "handoff", modules=modules),
                  fixed("argument", "mailbox-argument {{self.mailbox.phys|0}}", memory="3M", on_error="continue")], files=files)
    ended = kt.expect_end(kt.boot(image, qemu=TWO))
    machine = kt.write_json(kt.scratch("machine.json"), ended.of("bootinfo")[0]["doc"])
    plan = {s["name"]: s for s in kt.kchain("plan", "--json", "--masked", "--bootinfo", machine, image).json()["steps"]}
    found = results(ended)
    got, wanted = found["entry"]["result"], plan["entry"]["plan"]
    map_found = [(low | high << 32, size | more << 32, kind) for low, high, size, more, kind in got["memory"]]
    map_planned = [(int(e["base"], 16), int(e["end"], 16) - int(e["base"], 16), e["type"]) for e in wanted["memory"]]
    kt.check(map_found == map_planned, "memory map", map_found, map_planned)
    kt.check([e[:2] for e in map_found if e[2] == 1] == [(MIB, 4 * MIB - 0x5000)], "what it may use", map_found)
    kt.check(got["info"] == int(wanted["registers"]["rbx"], 16) and got["lower"] == 0 and got["upper"] == 4096 - 20, "information", got, wanted)
    kt.check(found["first"]["result"] == {"string": "text first", "handoff": "forty-two"}, "its module", found["first"])
    handoff = kt.write_json(kt.scratch("handoff.json"), found["handoff"]["result"]["handoff"])
    received = kt.kchain("plan", "--mask", handoff).json()
    kt.check(received == plan["handoff"]["handoff"], "handoff", received, plan["handoff"]["handoff"])
    kt.check(received["self"]["window"] == {"phys": "0x100000", "bytes": 2 * MIB}, "its window", received["self"])
    kt.check(received["self"]["mailbox"] == {"phys": "0x2fb000", "bytes": 16 + ROOM}, "its mailbox", received["self"])
    kt.check(received["platform"]["cpus"] == 1 and len([e for e in received["platform"]["memory"] if e["type"] == 1]) == 1, "platform", received)
    kt.check(found["argument"]["result"] == {"mailbox": 0x3fb000}, "argument", found)
    shown = kt.kchain("plan", "--cpus", 2, image).out
    kt.check("0x100000 to 0x500000, on a processor of its own; mailbox at 0x4fb000" in shown and "entry 0x10000c" in shown, "the plan as text", shown)


def refused(image, slug, message, hint, processors=1):
    """By the stage, and by `kchain plan` alike."""
    ended = kt.expect_error(kt.boot(image, qemu=["-smp", str(processors)]), slug, message)
    reported = ended.of("error")[0]
    done = kt.kchain("plan", "--cpus", processors, image)
    kt.check(done.exit == 3 and reported["message"] in done.err, "kchain plan", reported, done)
    kt.check(hint in reported["hint"] and '"isolation": "svm"' in reported["hint"] and reported["hint"] in done.err, "what to do", reported, done)


@kt.test
def one_processor_is_refused():
    for step in (fixed("k", "work 1"), fixed("k", "work 1", fanout={"count": 2})):
        refused(bake([step]), "fixed-processors", "takes a processor of its own; the machine has 1", "--cpus 2")


@kt.test
def the_image_goes_out_of_the_way():
    """Behind each of two kernels that drive it on, with a file large enough to be written by a second thread."""
    files = dict(FILES, **{"/high": "build/kernels/acts-32m.elf", "/large": kt.write_bytes(kt.scratch("large"), os.urandom(3 * MIB))})
    steps = [fixed("low", "leave 0", memory="31M"), fixed("high", "leave 0", call="fs:/high")]
    image = bake(steps, files=files)
    look = kt.kchain("inspect", "--json", image).json()
    kt.check(look["base"] == "0x2400000", "where it lies", look["base"])
    kt.check([step["window_bytes"] for step in look["steps"]] == [31 * MIB, 4 * MIB], "windows", look["steps"])
    kt.check(kt.kchain("verify", image).exit == 0, "it is whole", image)
    kt.check(kt.read_bytes(image) == kt.read_bytes(bake(steps, "--base", "0x2400000", files=files)), "the same as if it had been said", image)
    kt.expect_end(kt.boot(image, qemu=TWO))
    path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline(steps, files))
    kt.expect_boot(kt.run(path, "--cpus", 2), marker="high .*ok")


@kt.test
def an_overlap_is_refused_with_whose_and_how_much():
    path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([fixed("k", "work 1")], FILES))
    for base, lies_on in (("0x100000", "lies on [0-9]+ bytes"), ("0x4ff000", "lies on 4096 bytes")):
        done = kt.kchain("bake", path, "--base", base, "-o", kt.scratch("image.elf"))
        kt.check(done.exit == 3 and "take 0x100000 to 0x500000" in done.err and kt.re.search(lies_on, done.err), "bake", done)
        kt.check("from 0x500000 on it would not" in done.err and "--base" in done.err and '"isolation": "svm"' in done.err, "what to do", done)
    # A kernel that `bake` does not know.
    kernel = kt.write_bytes(kt.scratch("acts.elf"), kt.read_bytes(FILES["/acts"]))  # QEMU splits names at blanks
    late = {"name": "k", "call": "module:" + kernel, "unverified": True, "memory": "4M"}
    kt.expect_error(kt.boot(kt.bake(kt.pipeline([late], FILES)), qemu=[*TWO, "-initrd", kernel]), "fixed-on-image", "0x100000 to 0x500000")


@kt.test
def the_stages_own_memory_in_the_way_is_named():
    """Of so many kernels the list alone needs more than there is above the image. How much a plan can only guess."""
    image = bake([fixed("k", "leave 0", memory="3M", fanout={"count": 65536})])
    said = "take 0x100000 to 0x400000; [0-9]+ bytes of that, from 0x[123][0-9a-f]{5} on, are not to be had: heap"
    ended = kt.expect_error(kt.boot(image, memory="10M", qemu=TWO), "fixed-overlap", said)
    done = kt.kchain("plan", "--memory", "10M", "--cpus", 2, image)
    kt.check(done.exit == 3 and kt.re.search(said, done.err) and "more for the machine" in ended.of("error")[0]["hint"], "kchain plan", done)


@kt.test
def a_boot_module_in_the_way_is_named():
    module = kt.scratch("large")
    with open(module, "wb") as f:
        f.truncate(32 * MIB)
    image = bake([fixed("k", "leave 0", call="fs:/high")], files={"/high": "build/kernels/acts-32m.elf"})
    ended = kt.expect_error(kt.boot(image, qemu=[*TWO, "-initrd", module + " here"]), "fixed-overlap",
                            r"0x2000000 to 0x2400000; 4194304 bytes of that, from 0x2000000 on, are not to be had: boot module 0, .*large here")
    machine = kt.write_json(kt.scratch("machine.json"), ended.of("bootinfo")[0]["doc"])
    done = kt.kchain("plan", "--bootinfo", machine, image)
    kt.check(done.exit == 3 and ended.of("error")[0]["message"] in done.err, "kchain plan", done)


@kt.test
def a_kernel_that_lies_above_the_image():
    def high(memory):
        return bake([fixed("k", "leave 0", call="fs:/high", memory=memory)], files={"/high": "build/kernels/acts-32m.elf"})
    ended = kt.expect_end(kt.boot(high("4M"), qemu=TWO))
    kt.check(results(ended)["k"]["result"] == {"status": 0}, "where there is memory", ended)
    refused(high("100M"), "fixed-overlap", "0x2000000 to 0x8400000; 4325376 bytes of that, from 0x7fe0000 on, .* no available memory", "more for the machine", processors=2)


@kt.test
def more_than_one_at_once_is_refused():
    path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([fixed("k", "work 1", fanout={"count": 2, "concurrency": 2})], FILES))
    done = kt.kchain("bake", path, "-o", kt.scratch("image.elf"))
    kt.check(done.exit == 3 and "2 at once" in done.err and "one runs after another" in done.err, "bake", done)
    kt.check("no \"concurrency\"" in done.err and '"isolation": "svm"' in done.err, "what to do", done)
    ended = kt.boot(bake([fixed("k", "work {{self.index}}", fanout={"count": 2, "concurrency": 1})]), qemu=TWO)
    kt.check(results(kt.expect_end(ended))["k"]["ok"] == 2, "one at once", ended)


@kt.test
def native_kernels_get_no_modules():
    for key, value in (("modules", [{"from": "fs:/acts", "string": "a"}]), ("handoff", {"at": "none"}), ("handoff", {"string": "kchain-handoff x"})):
        path = kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([{"name": "k", "call": "fs:/hello", key: value}], FILES))
        done = kt.kchain("bake", path, "-o", kt.scratch("image.elf"))
        kt.check(done.exit == 3 and f'"{key}" means nothing to a native kernel' in done.err, "bake", done)


kt.main()
