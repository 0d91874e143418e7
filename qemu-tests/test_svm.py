#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 400
"""Kernels under "isolation": "svm": what they do well, what they do badly, and that none of it reaches anybody else."""
import kt

FILES = {"/acts": "build/kernels/acts.elf", "/hello": "build/kernels/hello.elf", "/echo": "build/kernels/echo.elf",
         "/mach": "build/inputs/gnumach"}

# What kernels/multiboot1/acts.c does, the status and exit status that must come of it, and its reason or its result.
ACTS = (
    ("work 7", "ok", 0, {"sum": 7}),
    ("halt", "ok", 0, None),
    ("off", "ok", 0, None),
    ("screen", "ok", 0, None),
    ("record 0", "ok", 0, {"status": 0}),
    ("record 7", "failed", 7, "exit status"),
    ("status 0", "ok", 0, None),
    ("status 16", "ok", 0, None),
    ("status 5", "failed", 5, "exit status"),
    ("status 256", "failed", 255, "exit status"),
    ("malformed", "failed", 0, "not JSON"),
    ("oversized 16000", "ok", 0, "x" * 16000),
    ("oversized 17000", "failed", 0, "17002 bytes"),
    ("handoff", "ok", 0, dict),
    ("upper-memory", "ok", 0, {"kib": 3 * 1024}),
    ("processor", "ok", 0, {"bits": 0}),
    ("past-end 3", "ok", 0, None),
    ("past-end 4", "fault", -1, r"outside of its memory \(0x400000\)"),
    ("outside", "fault", -1, r"outside of its memory \(0x30000000\)"),
    ("run-away", "fault", -1, r"outside of its memory \(0x30000000\)"),
    ("triple", "fault", -1, "triple fault .* at 0x10[0-9a-f]{4}$"),
    ("wild-idt", "fault", -1, "triple fault|outside of its memory"),
    ("reset", "fault", -1, "reset"),
    ("vmrun", "fault", -1, "hypervisors"),
    ("vmmcall", "fault", -1, "hypervisors"),
    ("sleep", "failed", -1, "an interrupt to wake it"),
    ("local-apic", "failed", -1, "needs the local APIC .*at 0x10"),
    ("io-apic", "failed", -1, "needs the I/O APIC"),
    ("in 64", "failed", -1, r"needs the PIT \(0x40\)"),
    ("out 67", "failed", -1, r"needs the PIT \(0x43\)"),
    ("out 32", "failed", -1, r"needs the PIC \(0x20\)"),
    ("in 113", "failed", -1, "needs the CMOS clock"),
    ("in 128", "ok", 0, {"read": 255}),
    ("in 233", "ok", 0, {"read": 233}),
    ("strings", "failed", -1, "string input or output"),
    ("rdmsr 27", "failed", -1, r"the local APIC, MSR \(0x1b\)"),
    ("rdmsr 3221291029", "failed", -1, r"to read an MSR \(0xc0010015\)"),
    ("rdmsr 3221225600", "ok", 0, {"low": 0}),
    ("wrmsr 3221225600", "ok", 0, {"wrote": 3221225600}),
    ("wrmsr 3221225728", "ok", 0, {"wrote": 3221225728}),
    ("wrmsr 16", "failed", -1, r"to write an MSR \(0x10\)"),
    ("wrmsr 3221291287", "failed", -1, r"to write an MSR \(0xc0010117\)"),
    ("work 9", "ok", 0, {"sum": 9}),
)


def cpus(number):
    return ["-cpu", "max", "-smp", str(number)]


def isolated(name, kernel, **more):
    return {"name": name, "call": "fs:/" + kernel, "isolation": "svm", "memory": "4M", "timeout": "20s", **more}


def outcomes(ended, step, count):
    """Status, exit status and reason or result of each kernel, by its index."""
    entry = ended.of("handoff")[-1]["doc"]["results"][step]
    rows = [row for record in ended.of("kernels") if record["step"] == step for row in record["rows"]]
    kt.check(sorted(row[0] for row in rows) == list(range(count)), "not every kernel once", rows)
    found = {row[0]: (*(row[5:] or ("ok", 0)), entry["result"][row[0]]) for row in rows}
    for failure in entry["failures"]:
        kt.check(failure["status"] != "fault" or failure["fault"]["rip"] in failure["reason"], "a fault without its place", failure)
        found[failure["index"]] = (failure["status"], failure["exit"], failure["reason"])
    return found


def every_act(number):
    def run():
        names = [act[0] for act in ACTS]
        step = isolated("acts", "acts", args="{{self.input|none}}", on_error="continue", fanout={"list": names})
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), qemu=cpus(number)))
        found = outcomes(ended, "acts", len(ACTS))
        for index, (name, status, exit_status, wanted) in enumerate(ACTS):
            got = found[index]
            kt.check(got[:2] == (status, exit_status), f"{name}: {got}", ended)
            if isinstance(wanted, str) and status != "ok":
                kt.check(kt.re.search(wanted, got[2]), f"{name}: {got[2]}", ended)
            elif wanted is dict:
                kt.check(got[2]["string"] == "kchain-handoff", f"{name}: {got}", ended)
                kt.check(got[2]["handoff"]["self"]["index"] == index and got[2]["handoff"]["self"]["input"] == name, f"{name}: {got}", ended)
                kt.check("acpi_rsdp" not in got[2]["handoff"]["platform"], "the machine's addresses are told", got)
            else:
                kt.check(got[2] == wanted, f"{name}: {str(got)[:200]}", ended)
        for line in (r"0\| worked on number 7", r"1\| about to halt", r"3\| seen on the screen", r"4\| text on the debug port",
                     rf"{len(ACTS) - 1}\| worked on number 9"):
            kt.check(kt.re.search(rf"^ *{line}\s*$", ended.console, kt.re.M), f"no line {line}", ended)
        kt.check(not ended.of("other"), "a record of an isolated kernel comes through", ended)
    return run


for cpu_count in (1, 2, 8):
    kt.add_test(f"every act on {cpu_count} processors", every_act(cpu_count))


def good_beside_bad(number):
    """The last one is worked off after the bad ones, in memory that they used."""
    def run():
        acts = ["work", "work", "spin", "work", "triple", "flood", "work", "ask", "work", "work"]
        step = isolated("map", "acts", args="{{self.input|none}} {{self.index}}", timeout="700ms", retries=0,
                        fanout={"list": acts, "require": 6, "console": "mute"})
        again = isolated("again", "acts", args="work {{self.index}}", fanout={"count": 8})
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step, again], FILES)), qemu=cpus(number)))
        bad = {2: "timeout", 4: "fault", 5: "timeout", 7: "timeout"}
        found = outcomes(ended, "map", len(acts))
        for index, got in found.items():
            kt.check(got[0] == bad.get(index, "ok"), f"kernel {index}: {got}", ended)
            kt.check(index in bad or got[2] == {"sum": index}, f"kernel {index}: {got}", ended)
        found = outcomes(ended, "again", 8)
        kt.check([found[i][2] for i in range(8)] == [{"sum": i} for i in range(8)], "the next step's kernels", ended)
    return run


for cpu_count in (1, 2, 8):
    kt.add_test(f"good beside bad on {cpu_count} processors", good_beside_bad(cpu_count))


@kt.test
def native_kernels_run_booted_and_find_their_handoff():
    steps = [isolated("hello", "hello", args="one"), isolated("each", "hello", args="k{{self.index}}", fanout={"count": 3}),
             isolated("echo", "echo", args="a b", memory="8388611"), {"name": "after", "call": "fs:/hello"}]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES, state={"unit": "mm"})), qemu=cpus(2)))
    results = ended.of("handoff")[-1]["doc"]["results"]
    kt.check("hello, one: this kernel was booted" in ended.console, "no greeting", ended)
    kt.check(results["each"]["result"] == [{"greeted": f"k{i}"} for i in range(3)], "results", results)
    echo = results["echo"]["result"]
    kt.check(echo["called"] is False and echo["args"] == "a b", "echo was not booted", echo)
    kt.check(echo["handoff"]["state"] == {"unit": "mm"} and echo["handoff"]["results"]["hello"]["status"] == "ok", "handoff", echo)
    kt.check(echo["handoff"]["platform"]["cpus"] == 1, "its machine", echo)
    kt.check(len(ended.of("entered")) == 1, "a guest's records come through", ended)
    kt.check(results["after"]["result"] == {"greeted": "world"}, "an ordinary call afterwards", results)


@kt.test
def modules_come_before_the_handoff_or_without_it():
    modules = [{"from": "fs:/text", "string": "text {{self.step}}"}, {"from": "fs:/acts", "string": "kernel"}]
    files = dict(FILES, **{"/text": kt.write_bytes(kt.scratch("text"), b'"forty-two"')})
    steps = [isolated("first", "acts", args="handoff", modules=modules), isolated("many", "acts", args="handoff", modules=modules, fanout={"count": 2}),
             isolated("none", "acts", args="handoff", handoff={"at": "none"}, on_error="continue"),
             isolated("front", "acts", args="handoff", modules=modules, handoff={"at": "first", "string": "kchain-handoff x"})]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, files)), qemu=cpus(1)))
    results = ended.of("handoff")[-1]["doc"]["results"]
    kt.check(results["first"]["result"] == {"string": "text first", "handoff": "forty-two"}, "first module", results)
    kt.check(results["many"]["result"] == [{"string": "text many", "handoff": "forty-two"}] * 2, "first module", results)
    kt.check(results["none"]["exit"] == 1 and results["none"]["result"] == {"modules": 0}, "a module nobody asked for", results)
    kt.check(results["front"]["result"]["string"] == "kchain-handoff x", "handoff in front", results)
    kt.check(results["front"]["result"]["handoff"]["self"]["step"] == "front", "handoff in front", results)


@kt.test
def records_on_the_console_cannot_be_forged():
    steps = [isolated("one", "acts", args="forge"), isolated("two", "acts", args="forge", fanout={"count": 1})]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=cpus(1)))
    kt.check(ended.console.count("@kchain") == 2, "its text", ended)
    kt.check(not kt.re.search("^@kchain", ended.console, kt.re.M), "a forged record", ended)


@kt.test
def gnu_mach_is_refused_by_name():
    step = isolated("mach", "mach", memory="32M", on_error="continue")
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), qemu=cpus(1)))
    result = ended.of("result")[0]
    kt.check(result["status"] == "failed" and kt.re.search("needs the PI[CT] .*not there under isolation svm", result["reason"]), "mach", ended)


@kt.test
def a_processor_without_svm_is_refused_with_what_to_do():
    step = isolated("map", "acts", args="work 1")
    for model in ("qemu64,-svm", "max,-npt"):
        ended = kt.boot(kt.bake(kt.pipeline([step], FILES)), qemu=["-cpu", model])
        kt.expect_error(ended, "svm-missing", "nested paging")
        kt.check("--cpu max" in ended.of("error")[0]["hint"], "hint", ended)


@kt.test
def too_little_memory_is_refused():
    for memory, message in (("1M", "1 MiB"), ("2M", "does not lie in available memory")):
        kernel = "acts" if memory == "1M" else "mach"
        image = kt.bake(kt.pipeline([isolated("k", kernel, memory=memory)], FILES))
        kt.expect_error(kt.boot(image, qemu=cpus(1)), "guest-memory", message)
        done = kt.kchain("plan", image)
        kt.check(done.exit and kt.re.search(message, done.err), "kchain plan", done)
    done = kt.kchain("plan", "--json", kt.bake(kt.pipeline([isolated("k", "acts")], FILES)))
    plan = done.json()["steps"][0]["plan"]
    kt.check(plan["mode"] == "protected32" and plan["memory"][-1]["end"] == "0x400000", "the plan of its machine", plan)


kt.main()
