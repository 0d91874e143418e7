#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Calls that go wrong end the call, not the stage: after each wrong kernel a right one still runs."""
import kt

KERNELS = ("fault", "spin", "clobber", "result", "hello", "echo")
FILES = {"/" + name: f"build/kernels/{name}.elf" for name in KERNELS + ("acts",)}

# Kernel and arguments, the status its result must have, its exit status, and what the reason names.
ACTS = (
    ("fault", "null", "fault", None, "page"),
    ("fault", "ud2", "fault", None, "opcode|instruction"),
    ("fault", "div0", "fault", None, "div"),
    ("fault", "jump", "fault", None, "page|protection"),
    ("fault", "stack", "fault", None, "page|double|stack"),
    ("fault", "text", "fault", None, "page"),
    ("fault", "canonical", "fault", None, "protection|stack"),
    ("clobber", "", "fault", None, "page"),
    ("clobber", "0x1000", "fault", None, "page"),
    ("clobber", "0xffff800000100000", "fault", None, "page"),
    ("clobber", "0xffffc00000000000", "fault", None, "page"),
    ("clobber", "0xffffd00000000000", "fault", None, "page"),
    ("spin", "", "timeout", None, "time"),
    ("spin", "cli", "timeout", None, "time"),
    ("spin", "halt", "timeout", None, "time"),
    ("spin", "talk", "timeout", None, "time"),
    ("result", "malformed 0", "failed", 0, "JSON"),
    ("result", "deep 0", "failed", 0, "nested deeper"),
    ("result", "lie 0", "failed", 0, "bytes"),
    ("result", "oversized", "failed", 1, "exit"),
    ("result", "none 7", "failed", 7, "exit"),
    ("result", "good 255", "failed", 255, "exit"),
    ("result", "full", "ok", 0, None),
    ("result", "none", "ok", 0, None),
    ("result", "good", "ok", 0, None),
)


def wrong_then_right(kernel, args):
    return kt.pipeline([
        {"name": "wrong", "call": "fs:/" + kernel, "args": args, "timeout": "300ms", "memory": "1M", "expect": "success", "on_error": "continue"},
        {"name": "right", "call": "fs:/hello", "expect": "success"}], FILES)


def one(kernel, args, status, exit_status, reason):
    def run():
        ended = kt.expect_end(kt.boot(kt.bake(wrong_then_right(kernel, args))))
        kt.check(len(ended.of("result")) == 2, "not two results", ended)
        wrong, right = ended.of("result")
        kt.check(wrong["status"] == status, f"status {wrong['status']}, wanted {status}", ended)
        kt.check(exit_status is None or wrong["exit"] == exit_status, f"exit {wrong.get('exit')}", ended)
        kt.check(reason is None or kt.re.search(reason, wrong["reason"], kt.re.I), f"reason: {wrong.get('reason')}", ended)
        kt.check(right["status"] == "ok", "the next call does not work", ended)
        last = ended.of("handoff")[-1]["doc"]["results"]
        kt.check(last["wrong"]["status"] == status and last["right"]["status"] == "ok", "results of the handoff", last)
    return run


@kt.test
def a_kernel_that_spins_is_taken_back_on_every_machine():
    """Interrupts off, halted, and with the time asked for, which is measured by the timer that watches the call where there is no other."""
    steps = [{"name": f"spin-{how or 'on'}", "call": "fs:/spin", "args": how, "timeout": "300ms", "memory": "1M", "on_error": "continue"}
             for how in ("", "cli", "halt", "clock", "talk", "clock")]
    for n, step in enumerate(steps):
        step["name"] += f"-{n}"
    image = kt.bake(kt.pipeline(steps + [{"name": "right", "call": "fs:/hello"}], FILES))
    for machine in ("pc", "q35", "microvm"):
        # One after the other and each alone: the first one is the one before which no rate is known.
        alone = kt.bake(kt.pipeline([dict(steps[3], name="clock"), {"name": "right", "call": "fs:/hello"}], FILES))
        for baked, count in ((image, len(steps)), (alone, 1)):
            ended = kt.expect_end(kt.boot(baked, machine))
            kt.check([r["status"] for r in ended.of("result")] == ["timeout"] * count + ["ok"], f"{machine}: results", ended)


def taken_us(step, cpus, machine="pc"):
    """How long the stage says that a fan-out's kernels had their processors."""
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES)), machine, qemu=["-cpu", "max", "-smp", cpus], hang_after_s=200))
    rows = [row for record in ended.of("kernels") for row in record["rows"]]
    kt.check(rows and all(row[5:6] == ["timeout"] for row in rows), "no timeout", ended)
    return [row[4] for row in rows]


@kt.test
def a_timeout_is_its_time_on_a_busy_host():
    """A virtual processor that its host keeps waiting loses ticks: where they were counted, 2 s became 7 to 14 here. The lower bound is
    exact; the upper one leaves room for whatever the host does."""
    fan = {"name": "t", "memory": "2M", "timeout": "2s", "on_error": "continue", "fanout": {"count": 1, "console": "mute"}}
    native = dict(fan, call="fs:/spin", args="cli")
    fixed = dict(fan, call="fs:/acts", args="spin", memory="4M")
    isolated = dict(fan, call="fs:/acts", isolation="svm")
    several = dict(native, fanout=dict(fan["fanout"], cpus=2))
    with kt.busy_host():
        for step, cpus in ((native, 1), (native, 2), (several, 3), (fixed, 2), (dict(isolated, args="spin"), 1), (dict(isolated, args="ask"), 1),
                           (dict(isolated, args="spin"), 2)):
            for us in taken_us(step, cpus):
                kt.check(2000000 <= us < 4000000, f"{step}, {cpus} processors: {us} us")


for row in ACTS:
    kt.add_test(f"call: {row[0]} {row[1]}", one(*row))


REGISTERS = "rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 rsp rflags".split()
WHERE = {"null": (14, "page fault", "0x8", "0x2"), "ud2": (6, "invalid opcode", "0x0", "0x0"), "div0": (0, "divide error", "0x0", "0x0"),
         "jump": (14, "page fault", "0x123456789000", "0x10"), "canonical": (13, "general protection", "0x0", "0x0")}


def is_in_text(address, kernel):
    shown = kt.command(["readelf", "-lW", f"build/kernels/{kernel}.debug"]).out
    base, size = kt.re.search(r"LOAD +\S+ (0x\w+) \S+ \S+ (0x\w+) R E", shown).groups()
    return int(base, 16) <= int(address, 16) < int(base, 16) + int(size, 16)


@kt.test
def a_fault_is_reported_with_place_and_registers():
    steps = [{"name": name, "call": "fs:/fault", "args": name, "on_error": "continue"} for name in WHERE]
    fan = {"name": "many", "call": "fs:/fault", "args": "{{self.input|}}", "on_error": "continue", "fanout": {"list": list(WHERE)}}
    for cpus in (1, 3):
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([*steps, fan], FILES)), qemu=["-cpu", "max", "-smp", cpus]))
        results = ended.of("handoff")[-1]["doc"]["results"]
        failures = {list(WHERE)[f["index"]]: f for f in kt.failed(results["many"])}
        for record in ended.of("result")[:-1]:
            name = record["step"]
            fault, (vector, called, address, code) = dict(record["fault"]), WHERE[name]
            registers = fault.pop("registers")
            kt.check(list(registers) == REGISTERS and all(kt.re.fullmatch("0x[0-9a-f]+", r) for r in registers.values()), "registers", registers)
            kt.check(registers["rflags"] != "0x0" and registers["rsp"].startswith("0xffffc000"), "registers", registers)
            rip = fault["rip"]
            kt.check(rip == address if name == "jump" else is_in_text(rip, "fault"), f"{name}: rip {rip}")
            kt.check(fault == {"vector": vector, "name": called, "rip": rip, "address": address, "error_code": code, "cpu": 0}, name, fault)
            kt.check(results[name]["fault"] == fault and failures[name]["fault"] == fault, f"{name}: another place elsewhere", results[name], failures[name])
            kt.check(record["reason"] == f"{called} at {rip}, address {address}, error code {code}", "reason", record)


@kt.test
def a_stack_overflow_is_called_that():
    steps = [{"name": "deep", "call": "fs:/fault", "args": "stack", "on_error": "continue"}, {"name": "not", "call": "fs:/fault", "args": "null", "on_error": "continue"}]
    deep, null = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)))).of("result")
    kt.check(deep["reason"].split(",")[0].endswith(": its stack of 32768 bytes overflowed (kchain_stack_bytes)") and deep["fault"]["stack_bytes"] == 32768, "overflow", deep)
    kt.check("stack_bytes" not in null["fault"] and "stack" not in null["reason"], "another fault", null)


@kt.test
def every_act_in_one_boot_many_times():
    """Windows are given back: what failed 40 times leaves as much memory as before."""
    acts = [a[:2] for a in ACTS if a[2] == "fault"] * 4
    steps = [{"name": f"s{n}", "call": "fs:/" + kernel, "args": args, "memory": "8M", "timeout": "2s", "on_error": "continue"}
             for n, (kernel, args) in enumerate(acts)]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), memory="64M"))
    kt.check([r["status"] for r in ended.of("result")] == ["fault"] * len(acts), "results", ended)


@kt.test
def retries_are_counted_and_the_failure_is_the_childs():
    steps = [{"name": "wrong", "call": "fs:/result", "args": "none 7", "retries": 2, "expect": "success"},
             {"name": "never", "call": "fs:/hello"}]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES))), kt.CHILD_FAILED)
    kt.check([r["step"] for r in ended.of("result")] == ["wrong"] * 3, "results", ended)


@kt.test
def a_failure_can_reboot_the_machine():
    """QEMU is told to end instead of starting again (-no-reboot), with status 0, which no end of a chain gives."""
    steps = [{"name": "wrong", "call": "fs:/result", "args": "none 7", "on_error": "reboot"}]
    for machine in ("pc", "q35", "microvm"):
        ended = kt.boot(kt.bake(kt.pipeline(steps, FILES)), machine)
        kt.check(ended.status == 0 and [(e["status"], "reboots" in e["reason"]) for e in ended.of("end")] == [("child-failed", True)],
                 f"{machine}: no reboot, or not told", ended)


@kt.test
def an_expected_result_is_compared():
    def ended(wanted):
        return kt.boot(kt.bake(kt.pipeline([{"name": "r", "call": "fs:/result", "args": "good", "expect": {"result": wanted}}], FILES)))
    kt.expect_end(ended({"answer": 42}))
    other = ended({"answer": 41})
    kt.check(other.status in (kt.CHILD_FAILED, kt.UNMET), "another result is accepted", other)


@kt.test
def too_small_a_window_is_refused_with_what_is_missing():
    ended = kt.boot(kt.bake(kt.pipeline([{"name": "small", "call": "fs:/echo", "memory": "128K"}], FILES)))
    if ended.status == kt.OK:
        raise kt.Skip("echo fits into the least window")
    kt.expect_error(ended, "call-window-too-small", r"\d+")


@kt.test
def what_a_kernel_asks_for_is_more_than_its_window():
    """Numbers of the native note that no sum of pages may wrap with: least stack (32 bits) and heap (64 bits)."""
    kernel = kt.read_bytes("build/kernels/hello.elf")
    note = kernel.index(b"KCHAIN\0\0", 0x100) + 8
    for stack, heap in ((0, 2**64 - 1), (0, 2**64 - 4095), (0, 2**64 - 4096), (0, 2**64 - 8192), (0, 2**64 - (1 << 20)), (0, 2**63), (0, 1 << 32),
                        (2**32 - 1, 0), (2**32 - 4096, 2**64 - 1)):
        patched = bytearray(kernel)
        patched[note + 4:note + 8], patched[note + 16:note + 24] = stack.to_bytes(4, "little"), heap.to_bytes(8, "little")
        path = kt.write_bytes(kt.scratch("hungry.elf"), patched)
        for fanout in ({}, {"fanout": {"count": 2}}):
            # bake refuses it; what comes as a module is known at the boot only.
            step = {"name": "hungry", "call": "module:" + path, "unverified": True, "memory": "1M", **fanout}
            ended = kt.boot(kt.bake(kt.pipeline([step], {})), qemu=["-initrd", path])
            kt.expect_error(ended, "call-window-too-small", "window of 1048576 bytes is too small")


@kt.test
def an_image_can_be_called_in_isolation_only():
    inner = kt.bake(kt.pipeline([{"name": "echo", "call": "fs:/echo"}], {"/echo": FILES["/echo"]}))
    path = kt.write_json(kt.scratch("p.json"), kt.pipeline([{"name": "k", "call": "fs:/inner"}], {"/inner": inner}))
    done = kt.kchain("bake", path, "-o", kt.scratch("image.elf"))
    kt.check(done.exit == 3 and "neither a native kernel nor a plain Multiboot one (image)" in done.err and '"isolation": "svm"' in done.err, "bake", done)
    # What comes as a module is known at the boot only.
    ended = kt.boot(kt.bake(kt.pipeline([{"name": "k", "call": "module:" + inner, "unverified": True}], {})), qemu=["-initrd", inner])
    kt.expect_error(ended, "call-not-native", "image")
    kt.check('"isolation": "svm"' in ended.of("error")[0]["hint"], "hint", ended)


@kt.test
def kchain_run_tells_the_childs_failure_from_the_stages():
    failed = kt.run(kt.bake(kt.pipeline([{"name": "w", "call": "fs:/result", "args": "none 7", "expect": "success"}], FILES)))
    kt.check(failed.exit == 1, "child's failure", failed)
    failed = kt.run(kt.bake(kt.pipeline([{"name": "w", "boot": "module:nothing", "unverified": True}], FILES)))
    kt.check(failed.exit == 4, "stage's failure", failed)
    kt.expect_boot(kt.run(kt.bake(wrong_then_right("result", "none"))), 0)


kt.main()
