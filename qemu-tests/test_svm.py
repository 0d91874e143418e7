#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""Kernels under "isolation": "svm": what they do well, what they do badly, and that none of it reaches anybody else."""
import kt

FILES = {"/acts": "build/kernels/acts.elf", "/hello": "build/kernels/hello.elf", "/echo": "build/kernels/echo.elf",
         "/mach": "build/inputs/gnumach", "/state": "build/kernels/state.elf"}

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
    ("waits 0", "failed", -1, r"needs an interrupt to wake it from HLT, flags \(0x2\d\d\)"),
    ("waits 1", "failed", -1, r"needs an interrupt to wake it from HLT, PIC lines unmasked \(0x1\)"),
    ("waits 256", "failed", -1, r"needs an interrupt to wake it from HLT, flags \(0x2\d\d\)"),
    ("waits 65535", "failed", -1, r"needs an interrupt to wake it from HLT, PIC lines unmasked \(0xfffb\)"),
    ("out 64", "ok", 0, None),
    ("out 67", "ok", 0, None),
    ("out 97", "ok", 0, None),
    ("out 33", "ok", 0, None),
    ("in 33", "ok", 0, {"read": 255}),
    ("out 32", "ok", 0, None),
    ("take-over 0", "ok", 0, {"took": 0}),
    ("unikernel", "ok", 0, None),
    ("unikernel 1", "failed", -1, r"needs an interrupt to wake it from HLT, PIC lines unmasked \(0x1\)"),
    ("bios 0x10", "failed", -1, r"needs the BIOS, interrupt \(0x10\)"),
    ("bios 0", "failed", -1, r"needs the BIOS, interrupt \(0x0\)"),
    ("bios 0xff", "failed", -1, r"needs the BIOS, interrupt \(0xff\)"),
    ("apic-off 0", "ok", 0, {"base": 0xfee00100}),
    ("apic-off 1", "failed", -1, r"the local APIC, MSR \(0x1b\)"),
    ("in 980", "ok", 0, {"read": 0}),
    ("in 113", "ok", 0, {"read": 0x80}),
    ("out 113", "failed", -1, r"needs to write to the CMOS \(0x71\)"),
    ("in 128", "ok", 0, {"read": 255}),
    ("in 233", "ok", 0, {"read": 233}),
    ("strings", "failed", -1, "string input or output"),
    ("rdmsr 27", "ok", 0, {"low": 0xfee00100}),
    ("wrmsr 27", "failed", -1, r"the local APIC, MSR \(0x1b\)"),
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
    for failure in kt.failed(entry):
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
    kt.check(result["status"] == "failed" and kt.re.search("needs the keyboard controller .*not there under isolation svm", result["reason"]), "mach", ended)


@kt.test
def a_processor_without_svm_is_refused_with_what_to_do():
    step = isolated("map", "acts", args="work 1")
    for model in ("qemu64,-svm", "max,-npt"):
        ended = kt.boot(kt.bake(kt.pipeline([step], FILES)), qemu=["-cpu", model])
        kt.expect_error(ended, "svm-missing", "nested paging")
        kt.check("--cpu-model max" in ended.of("error")[0]["hint"], "hint", ended)


@kt.test
def too_little_memory_is_refused():
    for memory, message in (("1M", "1 MiB"), ("2M", "does not lie in available memory")):
        kernel = "acts" if memory == "1M" else "mach"
        refused = kt.kchain("bake", kt.write_json(kt.scratch("p.json"), kt.pipeline([isolated("k", kernel, memory=memory)], FILES)), "-o", kt.scratch("i.elf"))
        kt.check(refused.exit == 3 and message in refused.err, "bake", refused)
        # What comes as a module is known at the boot only.
        step = dict(isolated("k", kernel, memory=memory), call="module:" + FILES["/" + kernel], unverified=True)
        kt.expect_error(kt.boot(kt.bake(kt.pipeline([step], {})), qemu=[*cpus(1), "-initrd", FILES["/" + kernel]]), "guest-memory", message)
    done = kt.kchain("plan", "--json", kt.bake(kt.pipeline([isolated("k", "acts")], FILES)))
    plan = done.json()["steps"][0]["plan"]
    kt.check(plan["mode"] == "protected32" and plan["memory"][-1]["end"] == "0x400000", "the plan of its machine", plan)


# --- what one kernel leaves to the next -----------------------------------------------------------------------------

# State of a processor and its machine, what keeps it from the next kernel, and the part of kernels/multiboot1/state.c that writes and reads it.
# docs/THREATS.md has the same table, with the values that this test sees.
SAVED, PARTS, ZEROED, REFUSED = "VMCB", "XRSTOR", "zeroed", "refused"
STATE = (
    ("general registers", ZEROED, "general"),
    ("RFLAGS", SAVED, "flags"),
    ("segment registers", SAVED, "selectors"),
    ("GDTR, IDTR", SAVED, "tables"),
    ("LDTR, TR", SAVED, "ldtr"),
    ("CR0", SAVED, "cr 0"),
    ("CR2", SAVED, "cr 2"),
    ("CR3", SAVED, "cr 3"),
    ("CR4", SAVED, "cr 4"),
    ("CR8 (V_TPR)", SAVED, "cr 8"),
    ("EFER", SAVED, "efer"),
    ("XCR0", PARTS, "xcr0"),
    ("debug registers, DR0", REFUSED, "dr 0"),
    ("DR3", REFUSED, "dr 3"),
    ("DR6", REFUSED, "dr 6"),
    ("DR7", REFUSED, "dr 7"),
    ("10,000 accesses to DR7", REFUSED, "dr-many 7"),
    ("x87 registers, pointers, opcode", PARTS, "x87"),
    ("x87 control and status", PARTS, "x87-words"),
    ("MXCSR", PARTS, "mxcsr"),
    ("XMM0 to XMM15", PARTS, "xmm"),
    ("upper halves of YMM", PARTS, "part 2"),
    ("bounds registers (MPX)", PARTS + "; hidden", "part 3"),
    ("BNDCFGU, BNDSTATUS", PARTS + "; hidden", "part 4"),
    ("PKRU, by XRSTOR", PARTS + "; hidden", "part 9"),
    ("PKRU, by WRPKRU", PARTS + "; hidden", "pkru"),
    ("STAR", SAVED, "msr 0xc0000081"),
    ("LSTAR", SAVED, "msr 0xc0000082"),
    ("CSTAR", SAVED, "msr 0xc0000083"),
    ("SFMASK", SAVED, "msr 0xc0000084"),
    ("FS base", SAVED, "msr 0xc0000100"),
    ("GS base", SAVED, "msr 0xc0000101"),
    ("KERNEL_GS_BASE", SAVED, "msr 0xc0000102"),
    ("SYSENTER_CS", SAVED, "msr 0x174"),
    ("SYSENTER_ESP", SAVED, "msr 0x175"),
    ("SYSENTER_EIP", SAVED, "msr 0x176"),
    ("PAT", SAVED, "msr 0x277"),
    ("TSC_AUX, by RDTSCP", ZEROED + "; " + REFUSED, "tsc-aux"),
    ("TSC_AUX", REFUSED, "msr 0xc0000103"),
    ("APIC base", "constant; " + REFUSED, "msr 0x1b"),
    ("TSC_ADJUST", REFUSED, "msr 0x3b"),
    ("DEBUGCTL, last branches", REFUSED, "msr 0x1d9"),
    ("MISC_ENABLE", REFUSED, "msr 0x1a0"),
    ("MTRRs, default type", REFUSED, "msr 0x2ff"),
    ("machine check, MC0_CTL", REFUSED, "msr 0x400"),
    ("PKRS", REFUSED, "msr 0x6e1"),
    ("BNDCFGS", REFUSED, "msr 0xd90"),
    ("XSS", REFUSED, "msr 0xda0"),
    ("SPEC_CTRL", REFUSED, "msr 0x48"),
    ("U_CET", REFUSED, "msr 0x6a0"),
    ("performance counters (MSR)", REFUSED, "msr 0xc0010000"),
    ("performance counters (RDPMC)", REFUSED, "counter 0"),
    ("VM_CR", REFUSED, "msr 0xc0010114"),
    ("VM_HSAVE_PA", REFUSED, "msr 0xc0010117"),
    ("EFER.SVME", REFUSED, "efer 0x1000"),
    ("nested guests (VMRUN)", REFUSED, "vmrun 0"),
    ("TLB, a global page", "flushed", "tlb"),
    ("memory", "cleaned", "memory 0x300000"),
    ("memory, written by table walks", "cleaned", "marks"),
    ("COM1's scratch register", ZEROED, "port 0x3ff"),
    ("the 8259s' masks", ZEROED, "port 0x21"),
    ("the 8254's counts, the speaker", ZEROED, "timer"),
    ("the CMOS clock's index", ZEROED, "clock-index"),
    ("the screen's cursor", ZEROED, "cursor"),
)
# Which part covers which bit of XCR0.
XCR0_PARTS = {0: "x87", 1: "xmm", 2: "part 2", 3: "part 3", 4: "part 4", 9: "part 9"}


def state_step(name, words, **more):
    return isolated(name, "state", args="{{self.input|none}}", on_error="continue", fanout={"list": words, "concurrency": 1, "console": "mute"}, **more)


def seen(ended, step, count):
    """What each kernel says of its part: a value, or how it ended."""
    values = []
    for _, (status, _, said) in sorted(outcomes(ended, step, count).items()):
        if status == "ok":
            values.append(said.get("value") or f"exception {int(said['vector'], 16)}")
        else:
            values.append({"failed": "refused", "fault": "ended"}.get(status, status) if "not there under" in said or "for hypervisors" in said else f"{status}: {said}")
    return values


def documented():
    """The rows of the page's table."""
    with open("docs/THREATS.md", encoding="utf-8") as f:
        table = f.read().split("<!-- table: state -->")[1].split("<!-- end -->")[0]
    return [line for line in table.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| state"))]


PAIRS = [word for _, _, part in STATE for word in (f"write {part}", f"read {part}")]
READS = [f"read {part}" for _, _, part in STATE]


def table_is_for_this_qemu():
    version = kt.command(["qemu-system-x86_64", "--version"]).out.splitlines()[0]
    if "version 7.2" not in version:
        raise kt.Skip(f"the table of docs/THREATS.md was filled in on QEMU 7.2; this is {version}")


def nothing_leaks(number):
    def run():
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([state_step("state", PAIRS)], FILES)), qemu=cpus(number), hang_after_s=200))
        found = seen(ended, "state", len(PAIRS))
        rows = [f"| {state} | {kept} | {part} | {found[2 * i]} | {found[2 * i + 1]} |" for i, (state, kept, part) in enumerate(STATE)]
        # Where the tables lie that a kernel has to make for itself is of no interest.
        rows = [kt.re.sub(r"(tables|cr 3) \| 0x10[0-9a-f]{4} ", r"\1 | its own ", row) for row in rows]
        for i, (state, _, _) in enumerate(STATE):
            kt.check("0x5a" not in found[2 * i + 1], f"{state} leaks", rows[i])
        table_is_for_this_qemu()
        kt.check(rows == documented(), "docs/THREATS.md has another table", "\n".join(rows))
        for i, (state, kept, _) in enumerate(STATE):
            kt.check((found[2 * i] in ("refused", "ended")) == (REFUSED in kept), f"{state}: written", rows[i])
    return run


def nothing_leaks_of_one_that_is_taken_back(number):
    """All is written to at once, and then the kernel ends well, loses its processor, or had it without isolation."""
    def run():
        steps = [state_step("fresh", READS), state_step("left", ["write all 0"] + READS), state_step("spun", ["write all 1"] + READS, timeout="2s")]
        if number > 1:
            steps += [{"name": "fixed", "call": "fs:/state", "args": "write all", "memory": "4M", "timeout": "20s", "on_error": "continue"}, state_step("after", READS)]
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=cpus(number), hang_after_s=300))
        first = seen(ended, "fresh", len(READS))
        left, spun = seen(ended, "left", len(READS) + 1), seen(ended, "spun", len(READS) + 1)
        if left[0] == "refused":
            table_is_for_this_qemu()  # another one refuses what this kernel writes first
        kt.check(left[0] == "0x1" and spun[0].startswith("timeout"), "what was to write", left, spun)
        kt.check(left[1:] == first, "left", list(zip(READS, first, left[1:])))
        kt.check(spun[1:] == first, "spun", list(zip(READS, first, spun[1:])))
        if number > 1:
            kt.check(ended.of("handoff")[-1]["doc"]["results"]["fixed"]["status"] == "ok", "the one without isolation", ended)
            after = seen(ended, "after", len(READS))
            kt.check(after == first, "after one without isolation", list(zip(READS, first, after)))
    return run


for cpu_count in (1, 2):
    kt.add_test(f"nothing leaks on {cpu_count} processors", nothing_leaks(cpu_count))
    kt.add_test(f"nothing leaks of a kernel that wrote to everything on {cpu_count} processors", nothing_leaks_of_one_that_is_taken_back(cpu_count))


@kt.test
def every_part_that_xsave_knows_is_in_the_table():
    """Without isolation a kernel is told of all that the processor has; isolated, of what is reset and shown."""
    steps = [{"name": "all", "call": "fs:/state", "args": "read parts", "memory": "4M", "timeout": "20s"}, isolated("shown", "state", args="read parts")]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=cpus(2)))
    results = ended.of("handoff")[-1]["doc"]["results"]
    there = int(results["all"]["result"]["value"], 16)
    parts = {part for _, _, part in STATE}
    for bit in range(64):
        kt.check(not there >> bit & 1 or XCR0_PARTS.get(bit) in parts, f"no test of part {bit}", hex(there))
    kt.check(results["shown"]["result"]["value"] == "0x7", "what is shown", results)


@kt.test
def no_processor_state_ends_as_a_riddle():
    """Every bit of CR0, CR3 and CR4 changed, and what only an emulator lets pass: told as what it is, with the kernel's own address."""
    changes = [f"write invalid {n:x}" for n in (0, 1, 2, 3, *range(0x100, 0x120), *range(0x300, 0x340), *range(0x400, 0x440))]
    step = state_step("invalid", changes, timeout="2s")
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), qemu=cpus(1), hang_after_s=200))
    reported = {name: got for name, (_, got) in zip(changes, sorted(outcomes(ended, "invalid", len(changes)).items()))}
    for name, (status, _, said) in reported.items():
        text = str(said)
        kt.check("hypervisors" not in text, f"{name}: {text}")
        kt.check(status in ("ok", "timeout") or kt.re.search(r" at 0x10[0-9a-f]{4}$", text), f"{name}: {status}, {text}")
    kt.check(kt.re.search(r"no processor can be in, CR0 \(0xa0000011\) at", reported["write invalid 0"][2]), "NW without CD", reported["write invalid 0"])
    kt.check(kt.re.search("no processor can be in, attributes of CS", reported["write invalid 2"][2]), "CS", reported["write invalid 2"])
    kt.check(reported["write invalid 3"][2] == {"vector": "0xd"}, "EFER.LME under paging is a general protection exception", reported["write invalid 3"])


# --- how kernels begin that nobody here wrote ------------------------------------------------------------------------

def first_words(number):
    """Their text is seen, also where they end by waiting for ever: on the screen, and on the serial line."""
    def run():
        steps = [isolated("smp", "acts", args="looks-for-processors 1", timeout="2s", on_error="continue"),
                 isolated("uni", "acts", args="unikernel"), isolated("sleeps", "acts", args="unikernel 1", on_error="continue"),
                 isolated("line", "acts", args="half-a-line", timeout="2s", on_error="continue"), isolated("ticks", "acts", args="awaits 9", timeout="2s", on_error="continue"),
                 isolated("many", "acts", args="looks-for-processors", timeout="2s", on_error="continue", fanout={"count": 2})]
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=[*cpus(number), "-rtc", "base=2024-02-28T23:59:30"]))
        results = ended.of("handoff")[-1]["doc"]["results"]
        kt.check(results["smp"]["status"] == "timeout" and results["line"]["status"] == "timeout", "status", results)
        kt.check(results["uni"]["status"] == "ok" and results["uni"]["reason"] == "it halted", "the unikernel", results)
        kt.check("PIC lines unmasked (0x1): not there" in results["sleeps"]["reason"], "its reason", results)
        kt.check(results["ticks"]["reason"] == "it did not return in time: no interrupt comes under isolation svm, PIC lines unmasked (0x9)", "its reason", results)
        kt.check(ended.console.count("time passes") == 2 and ended.console.count("Hello, World") == 2, "the unikernel's text", ended)
        kt.check(kt.re.search(r"^202402(282359\d\d|29000\d\d\d) is the time\s*$", ended.console, kt.re.M), "the time", ended)
        for no in ("a device", "ACPI", "a hypervisor's clock"):
            kt.check(no not in ended.console, no, ended)
        for line in (r"processor 0: stop: several processors are wanted", r" at 80103fa7", r"  __\|  _ \\  \|", r"bindings, version 1", r"half a line",
                     *(rf" *{i}\| processor 0: stop: several processors are wanted" for i in range(2))):
            kt.check(kt.re.search(rf"^{line}\s*$", ended.console, kt.re.M), f"no line {line!r}", ended)
    return run


for cpu_count in (1, 2, 3):
    kt.add_test(f"first words on {cpu_count} processors", first_words(cpu_count))


kt.main()
