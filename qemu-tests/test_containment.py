#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 3600
"""What a called kernel does by accident ends that kernel: all vectors, interrupts let in, wild jumps, memory overwritten under a service.

KCHAIN_CONTAINMENT=N makes N wild jumps instead of some hundreds (10000: about a quarter of an hour); KCHAIN_SEED begins them elsewhere."""
import functools
import itertools
import os
import re

import kt

FILES = {"/" + name: f"build/kernels/{name}.elf" for name in ("trap", "hello")}
MACHINES = ("pc", "q35", "microvm")
JUMPS = int(os.environ.get("KCHAIN_CONTAINMENT", "600"))
SEED = int(os.environ.get("KCHAIN_SEED", "1"))
SERVICE, NMI = 0xF0, 2
# Exceptions that bring an error code, so that INT n is known not to be one (APM 8.2).
WITH_CODE = {8, 10, 11, 12, 13, 14, 17, 21, 29, 30}
# What controllers send for nothing may come to whoever lets interrupts in.
SPURIOUS = {0x27, 0x2F, 0xFF}
NAMES = {0: "divide error", 1: "debug", 2: "non-maskable interrupt", 3: "breakpoint", 6: "invalid opcode", 16: "x87 exception", 18: "machine check"}

HELLO = {"name": "after", "call": "fs:/hello", "expect": "success"}


def fan(args, fanout, **step):
    return {"name": "map", "call": "fs:/trap", "args": args, "memory": "192K", "timeout": "10s", **step, "fanout": {"require": 0, "console": "mute", **fanout}}


def boot(steps, cpus, machine="pc"):
    """The stage lives on, if it runs what comes after; the results of `map`."""
    image = kt.bake(kt.pipeline([*steps, HELLO], FILES))
    ended = kt.expect_end(kt.boot(image, machine, "128M", ["-cpu", "max", "-smp", cpus], hang_after_s=600))
    results = ended.of("handoff")[-1]["doc"]["results"]
    kt.check(results["after"]["status"] == "ok", "the stage does not call another kernel", ended)
    return ended, results


def check_vector(vector, entry, on, ticked, cpu=0):
    """`entry`: as a result has it; `ticked`: an NMI is the ticker's there."""
    if vector == SERVICE or (vector == NMI and ticked) or (on and vector in SPURIOUS):
        kt.check(entry["status"] == "ok" and entry["result"] == {"came": "back"}, f"vector {vector} does not come back", entry)
        return
    fault = entry.get("fault", {})
    kt.check(entry["status"] == "fault" and fault["vector"] == vector and fault["cpu"] == cpu, f"vector {vector}", entry)
    wanted = "interrupt" if vector >= 32 or vector in WITH_CODE else NAMES.get(vector, fault["name"])
    kt.check(fault["name"] == wanted and fault["error_code"] == "0x0" and fault["address"] == "0x0", f"vector {vector}: the fault", fault)
    reason = f"{wanted} {vector}" if wanted == "interrupt" else wanted
    kt.check(entry["reason"].startswith(f"{reason} at 0x"), f"vector {vector}: the reason", entry)


def entries(results, count):
    """What each kernel of a fan-out came to, by its index."""
    found = {f["index"]: f for f in kt.failed(results["map"])}
    for index in range(count):
        found.setdefault(index, {"status": "ok", "result": results["map"]["result"][index]})
    return [found[index] for index in range(count)]


def vectors_of_a_fanout(machine, cpus, each, victim, on):
    def test():
        _, results = boot([fan(f"{victim} int {{{{self.index}}}}{on}", {"count": 256, "cpus": each})], cpus, machine)
        for vector, entry in enumerate(entries(results, 256)):
            check_vector(vector, entry, on, cpus == 1, victim)
    return test


def vectors_of_calls(machine):
    def test():
        steps = [{"name": f"v{v}", "call": "fs:/trap", "args": f"0 int {v}", "memory": "192K", "timeout": "10s", "on_error": "continue"} for v in range(256)]
        _, results = boot(steps, 1, machine)
        for vector in range(256):
            check_vector(vector, results[f"v{vector}"], "", True)
    return test


for machine in MACHINES:
    name = f"vectors_{machine}"
    kt.add_test(f"{name}_in_calls", vectors_of_calls(machine))
    kt.add_test(f"{name}_in_a_fanout_on_1", vectors_of_a_fanout(machine, 1, 1, 0, ""))
    kt.add_test(f"{name}_in_a_fanout_on_3", vectors_of_a_fanout(machine, 3, 1, 0, ""))
    kt.add_test(f"{name}_on_the_first_of_two", vectors_of_a_fanout(machine, 3, 2, 0, ""))
    kt.add_test(f"{name}_on_the_second_of_two", vectors_of_a_fanout(machine, 3, 2, 1, ""))
    kt.add_test(f"{name}_with_interrupts_on_1", vectors_of_a_fanout(machine, 1, 1, 0, " on"))
    kt.add_test(f"{name}_with_interrupts_on_the_second_of_two", vectors_of_a_fanout(machine, 3, 2, 1, " on"))


def interrupts_let_in(machine):
    """A while with interrupts on is nothing; who waits for one waits no longer than its time is."""
    def test():
        for what, good in (("sti", ["ok"]), ("popf", ["ok"]), ("hlt", ["ok", "timeout"])):
            more = {"timeout": "500ms"} if what == "hlt" else {}
            call = {"name": "call", "call": "fs:/trap", "args": f"0 {what}", "memory": "192K", "timeout": "10s", "on_error": "continue", **more}
            _, results = boot([call, fan(f"0 {what}", {"count": 6}, **more)], 1, machine)
            kt.check(results["call"]["status"] in good, f"{what} in a call", results["call"])
            found = [e["status"] for e in entries(results, 6)]
            for each, victim in ((1, 0), (2, 0), (2, 1)):
                _, results = boot([fan(f"{victim} {what}", {"count": 6, "cpus": each}, **more)], 3, machine)
                found += [e["status"] for e in entries(results, 6)]
            kt.check(set(found) <= set(good), what, found)
    return test


for machine in MACHINES:
    kt.add_test(f"interrupts_let_in_on_{machine}", interrupts_let_in(machine))


@kt.test
def nmis_that_come_while_int_2_is_handled():
    """INT 2 does not hold back NMIs, as an NMI does. On the boot processor it is taken for the ticker's. One that comes on the way in or out takes the
    place of what the kernel was to go on by."""
    for machine in MACHINES:
        call = {"name": "call", "call": "fs:/trap", "args": "0 nmi", "timeout": "1s", "on_error": "continue"}
        _, results = boot([call, fan("0 nmi", {"count": 3}, timeout="1s")], 1, machine)
        found = [results["call"], *entries(results, 3)]
        kt.check({e["status"] for e in found} <= {"ok", "fault", "timeout"}, "results", found)


@kt.test
def an_nmi_from_outside_ends_no_stage():
    """To all processors, in the stage and in kernels: at most a kernel that it hits ends."""
    image = kt.bake(kt.pipeline([fan("0 sti", {"count": 3000}), HELLO], FILES))
    with kt.Machine(kt.qemu_argv("pc", "128M", "-kernel", image, "-cpu", "max", "-smp", 4)) as m:
        kt.check(m.wait_for_record("progress"), "does not begin", m.explain())
        for _ in range(20):
            m.qmp("inject-nmi")
        kt.check(m.wait_for_end(300) == kt.OK, "the stage did not live on", m.explain())
        results = m.records("handoff")[-1]["doc"]["results"]
        kt.check({f["fault"]["name"] for f in kt.failed(results["map"])} <= {NAMES[NMI]} and results["map"]["failed"] <= 60, "failures", results["map"]["failures"][:5])
        kt.check(results["map"]["ok"] + results["map"]["failed"] == 3000 and results["after"]["status"] == "ok", "a kernel is lost", results["map"]["ok"])


@kt.test
def a_timer_and_its_controller_that_a_kernel_stopped():
    """Where there is another processor, the kernel's time is watched by that one's own timer."""
    for machine in MACHINES:
        for each, victim in ((1, 0), (2, 1)):
            _, results = boot([fan(f"{victim} ports", {"count": 5, "cpus": each}, timeout="500ms")], 3, machine)
            kt.check({e["status"] for e in entries(results, 5)} == {"timeout"}, "results", results["map"]["failures"])


@kt.test
def a_timer_that_a_kernel_on_the_first_processor_stopped():
    """Others send the tick: between two kernels of theirs, and when there are none left."""
    for machine in MACHINES:
        for cpus, count in ((2, 40), (2, 6), (3, 100)):
            ended, results = boot([fan("0 ports-of-first", {"count": count, "require": count - 1}, timeout="500ms", retries=0)], cpus, machine)
            kt.check(results["map"]["status"] == "ok" and {f["status"] for f in kt.failed(results["map"])} <= {"timeout"}, "results", results["map"])
            firsts = [row for record in ended.of("kernels") if record["step"] == "map" for row in record["rows"] if row[2] == 0]
            kt.check(len(firsts) == len(kt.failed(results["map"])) and (firsts or count < 40), "the first processor had no kernel", firsts)
            kt.check(all(row[4] >= 500000 for row in firsts), "its time", firsts)


@kt.test
def an_interrupt_nobody_asked_for_is_counted():
    """The ticker's timer, let through to the kernel by the 8259 as well (microvm's reaches no processor)."""
    for machine in ("pc", "q35"):
        ended, results = boot([{"name": "timer", "call": "fs:/trap", "args": "0 timer", "timeout": "10s"}], 1, machine)
        kt.check(results["timer"]["status"] == "ok", machine, results["timer"])
        kt.check(ended.of("end")[0]["interrupts"] >= 1, f"{machine}: not counted", ended)
        calm, _ = boot([{"name": "calm", "call": "fs:/trap", "args": "0 sti", "timeout": "10s"}], 1, machine)
        kt.check("interrupts" not in calm.of("end")[0], f"{machine}: counted without one", calm)


@kt.test
def what_a_service_returns_by_is_in_nobody_elses_memory():
    """One processor writes over all that the kernel has, while the other is in services. Where its traps arrive, too, the frame that it is to go on
    by is wrong sooner or later: its own fault."""
    for entries_too, statuses in (("", {"timeout"}), (" entries", {"timeout", "fault"})):
        ended, results = boot([fan(f"1 overwrite{entries_too}", {"count": 6, "cpus": 2}, timeout="1s")], 3)
        found = entries(results, 6)
        kt.check({e["status"] for e in found} <= statuses, "results", found)
        kt.check(ended.of("result")[0]["machine"]["processors_failed"] == 0, "processors", ended)


# --- wild jumps ------------------------------------------------------------------------------------------------------

@functools.lru_cache(None)
def symbol(path, name):
    return int(re.search(rf"^(\w+) \w {name}$", kt.command(["nm", path]).out, re.M)[1], 16)


def noise(seed):
    """The first number that kernels/trap.c makes of it."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def target(word):
    """Where `trap 0 jump WORD` jumps to."""
    if word.startswith("0x"):
        return int(word, 0)
    begin, end = (symbol("build/kernels/trap.debug", f"stage_{name}") for name in ("image_start", "text_end"))
    return begin + noise(int(word)) % (end - begin)


@functools.lru_cache(None)
def what_stops_the_timer():
    """Where the test's kernel has that (`trap CPU ports`), with the bytes that run into it. A machine's only processor does not come back from there
    (docs/THREATS.md)."""
    begin, size = re.search(r"^(\w+) (\w+) t ports$", kt.command(["nm", "-S", "build/kernels/trap.debug"]).out, re.M).groups()
    return range(int(begin, 16) - 16, int(begin, 16) + int(size, 16))


def survives(words, cpus, each=1):
    """A jump each: whether the stage lived on, with all of its processors."""
    step = fan("0 jump {{self.input|}}", {"list": words, "cpus": each}, timeout="300ms")
    image = kt.bake(kt.pipeline([step, HELLO], FILES))
    with kt.Machine(kt.qemu_argv("pc", "128M", "-kernel", image, "-cpu", "max", "-smp", cpus)) as m:
        ended = m.wait_for_end(300) == kt.OK
        said = [r["machine"] for r in m.records("result") if "machine" in r]
        return ended and said[0]["processors_failed"] == 0


def deaths(words, cpus, each=1):
    """Those of the jumps that end a stage, one by one."""
    if survives(words, cpus, each):
        return []
    if len(words) == 1:
        return words
    middle = len(words) // 2
    return deaths(words[:middle], cpus, each) + deaths(words[middle:], cpus, each)


def run_from(word, path, count=12):
    """The next instructions, as the processor sees them from there."""
    at = target(word)
    shown = kt.command(["objdump", "-d", "--no-show-raw-insn", f"--start-address={at}", f"--stop-address={at + 8 * count}", path]).out
    return [line.split("\t")[-1].strip() for line in shown.splitlines() if re.match(r"^ *[0-9a-f]+:\t", line)][:count]


def tell(words, path):
    return [f"jump {word} to {target(word):#x}: {'; '.join(run_from(word, path))}" for word in words]


@kt.test
def wild_jumps_into_its_own_text():
    """Of ten thousand one may end the stage: some bytes in the middle of an instruction are another one by chance, and what writes to a port in ring 0
    can reset the machine. Any other death is one too many."""
    words, found = [], []
    for word in map(str, itertools.count(SEED * 1000000)):
        if target(word) not in what_stops_the_timer():
            words.append(word)
        if len(words) == JUMPS:
            break
    ways, path = ((3, 1), (1, 1), (3, 2)), "build/kernels/trap.debug"
    for number, at in enumerate(range(0, JUMPS, 200)):
        found += deaths(words[at:at + 200], *ways[number % len(ways)])
    lines = tell(found, path)
    print(f"# {len(found)} of {JUMPS} wild jumps ended the stage", *lines, sep="\n#   ", flush=True)
    kt.check(len(found) <= max(1, JUMPS // 10000), "too many of the jumps within a kernel's text end the stage", *lines)
    by_chance = [word for word in found if any(NOT_CALLED.search(text) for text in run_from(word, path))]
    kt.check(by_chance == found, "what ends the stage is no instruction by chance", *lines)


@kt.test
def wild_jumps_into_what_it_sees_of_the_stage():
    """One page, most of it the entry code. What loads page tables there, and the branch around it, is all that can end the stage."""
    page = symbol("build/stage/stage.debug", "stage_trap_entries")
    kt.check(page % 4096 == 0, "the entry code does not begin a page", hex(page))
    shown = kt.command(["objdump", "-d", "--no-show-raw-insn", f"--start-address={page}", f"--stop-address={page + 4096}", "build/stage/stage.debug"]).out
    lines = re.findall(r"^ *([0-9a-f]+):\t(.*)$", shown, re.M)
    loads = [at for at, (_, text) in enumerate(lines) if re.fullmatch(r"mov +%r\w+,%cr3", text)]
    kt.check(len(loads) == 2 and all(lines[at - 1][1].startswith("jne") for at in loads), "page tables are loaded elsewhere, too", shown)
    known = {int(lines[at + before][0], 16) for at in loads for before in (-1, 0)}
    step = 1 if JUMPS >= 10000 else 16
    words = [hex(page + at) for at in range(SEED % step, 4096, step) if page + at not in known]
    found = [word for at in range(0, len(words), 256) for word in deaths(words[at:at + 256], 3)]
    kt.check(not found, "a jump into the stage's page ends the stage", *tell(found, "build/stage/stage.debug"))


# Instructions that a called kernel has no use for, and those few that it has (docs/NATIVE.md, "Its own to set"; a halt of its own is taken back).
NOT_CALLED = re.compile(r"^(outs?[bwl]?|ins?[bwl]?|rep outs\w*|lgdt|lidt|lldt|ltr|lmsw|wrmsr|hlt|sti|iretq?|sysretq?|invlpg|xsetbv|clts|wbinvd|invd)\b|%[cd]r\d|%db\d")
NEEDED = {"wrmsr": {"stage_cpu_restore_syscall", "stage_sys_arch_prctl", "begin"}, "in": {"has_debug_port", "stage_record"},
          "hlt": {"stage_halt", "kchain_parallel", "__init_libc", "__init_tls", "__stack_chk_fail"}, "sti": {"kchain_parallel"}}


# Functions that a called kernel executes and that lead to what it does not: each asks first which of the two it is in. The last two are a booted
# kernel's own, and harmless.
ASK_FIRST = {"map", "run", "stage_exit", "stage_idle", "stage_pages_take", "stage_record", "stage_tsc_hz", "stage_keep_rsdp", "stage_efi_find"}


@kt.test
def a_called_kernel_does_without_what_it_can_not_execute():
    for kernel in ("hello", "echo", "team", "disk", "arp", "wordcount", "sum", "primes"):
        path, function, found = f"build/kernels/{kernel}.debug", None, set()
        begin, size = re.search(r" \.text\.boot +PROGBITS +(\w+) +\w+ +(\w+)", kt.command(["readelf", "-SW", path]).out).groups()
        boot_only = range(int(begin, 16), int(begin, 16) + int(size, 16))
        for line in kt.command(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", path]).out.splitlines():
            named = re.match(r"^\w+ <(.*)>:$", line)
            function = named[1] if named else function
            if any(int(at, 16) in boot_only for at in re.findall(r"\b(?:0x)?(ffffffffc[0-9a-f]{7})\b", line.split("\t")[-1])):
                found.add(function)
        kt.check(found <= ASK_FIRST, f"{kernel}: a called kernel may go where it can't", found - ASK_FIRST)


@kt.test
def what_only_a_booted_kernel_needs_is_not_in_a_called_kernels_text():
    for kernel in ("hello", "echo", "team", "disk", "arp", "wordcount"):
        path, function, found = f"build/kernels/{kernel}.debug", None, []
        for line in kt.command(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", path]).out.splitlines():
            begin = re.match(r"^\w+ <(.*)>:$", line)
            function = begin[1] if begin else function
            text = line.split("\t")[-1].strip()
            hit = "\t" in line and NOT_CALLED.search(text)
            if hit and function not in NEEDED.get(hit[0], set()) and not function.startswith("hang"):
                found.append(f"{function}: {text}")
        kt.check(not found, f"{kernel}: in the text of a called kernel", *found)
        loads = re.findall(r"^ +LOAD +\S+ +(\S+) +\S+ +\S+ +(\S+) +(.*?) +0x", kt.command(["readelf", "-lW", path]).out, re.M)
        executed = [(int(at, 16), int(at, 16) + int(size, 16)) for at, size, flags in loads if "E" in flags]
        kt.check(executed and all(not begin <= symbol(path, "stage_entry32") < end for begin, end in executed), "a booted kernel's entry can be executed", loads)


if __name__ == "__main__":
    kt.main()
