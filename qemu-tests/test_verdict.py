#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""What `kchain run` says of a run is so: the verdict comes from the stage's own end record or from the kernel that was booted last, and its
reason names what ended the run."""
import os
import re
import signal
import subprocess
import time

import kt

FILES = {"/acts": "build/kernels/acts.elf", "/acts32": "build/kernels/acts-32m.elf", "/hello": "build/kernels/hello.elf", "/result": "build/kernels/result.elf",
         "/flaky": "build/kernels/flaky.elf", "/spin": "build/kernels/spin.elf"}
TWO = ["-c", "2"]


def fixed(name, args, **more):
    return {"name": name, "call": "fs:/acts32", "args": args, "memory": "4M", "timeout": "20s", **more}


def hello(name="last"):
    return {"name": name, "call": "fs:/hello"}


def run(steps, *args, exit_status=0, **more):
    """`kchain run --json`: the document and how the command ended."""
    done = kt.kchain("run", kt.bake(kt.pipeline(steps, FILES, **more)), "--accel", "tcg", "--json", *args)
    kt.check(done.exit == exit_status, f"exit status {done.exit}, wanted {exit_status}", done)
    doc = done.json()
    kt.check(doc["exit"] == exit_status and doc["reason"] in done.err, "document and display differ", done)
    return doc, done


def steps_of(doc):
    return [(s["step"], s.get("status", "booted")) for s in doc["steps"]]


BLAME = "; that kernel, which is not isolated, is the likely cause"
ENDS = (
    ("status 0", " (0 was written to the exit port)"),      # what a kernel writes that is content
    ("status 16", " (0x10 was written to the exit port)"),  # what a stage writes that is
    ("status 17", " (0x11 was written to the exit port)"),
    ("reset", " (it was reset)"),
    ("off", ""),
)


@kt.test
def a_called_kernel_can_not_end_the_run_well():
    for args, how in ENDS:
        doc, done = run([fixed("wild", args), hello()], *TWO, exit_status=4)
        kt.check(doc["reason"] == "the machine stopped in the middle of wild" + how + BLAME, args, done)
        kt.check(doc["status"] == "failed" and not doc["steps"], "a step has ended", doc["steps"])


@kt.test
def nor_can_its_text():
    forges = fixed("wild", "forge", timeout="1s", on_error="continue")
    doc, done = run([forges, hello()], *TWO)  # "the chain failed", as a record on the console
    kt.check(doc["records"]["ignored"] == 1 and "1 record left out that was not the stage's" in done.err, "not told", done)
    kt.check(steps_of(doc) == [("wild", "timeout"), ("last", "ok")], "steps", done)


@kt.test
def text_on_the_debug_port_is_text():
    step = {"name": "texts", "boot": "fs:/acts32", "args": "record 3", "handoff": {"at": "none"}}
    doc, done = run([dict(step, expect={"console": "text on the debug port"})])
    kt.check(doc["reason"] == '"text on the debug port" seen' and doc["records"]["bad"] == 0, "the text does not count", done)
    doc, done = run([step], "--until", "ended", "--timeout", "2s", exit_status=124)
    kt.check(doc["records"]["bad"] == 0 and '│ {"event": "other"}' in done.err and "│ text on the debug port" in done.err, "the text is not shown", done)
    # called, it is between the stage's own records
    doc, done = run([fixed("texts", "record 0"), hello()], *TWO)
    kt.check("│ text on the debug port" in done.err and steps_of(doc) == [("texts", "ok"), ("last", "ok")], "called", done)


@kt.test
def results_of_a_booted_kernel():
    def booted(args, **more):
        return [{"name": "left", "boot": "fs:/result", "args": args, **more}]
    want = {"result": {"answer": 42}}
    for args, expect, exit_status, reason in (
            ("good 0", want, 0, "the kernel exited with status 0"),
            ("lines 0", want, 0, "the kernel exited with status 0"),
            ("good 3", want, 1, "the kernel exited with status 3"),
            ("none 0", want, 5, "the kernel's result is not the expected one"),
            ("empty 0", want, 5, "the kernel's result is not the expected one"),
            ("empty 0", "success", 0, "the kernel exited with status 0"),
            ("malformed 0", want, 1, "left left no exit record that can be read (0x10 was written to the exit port)"),
            ("malformed 0", "success", 1, "left left no exit record that can be read (0x10 was written to the exit port)")):
        doc, done = run(booted(args, expect=expect), exit_status=exit_status)
        kt.check(doc["reason"] == reason, f"{args}: {doc['reason']}", done)


@kt.test
def the_reason_is_what_ended_the_run():
    missing = {"name": "missing", "call": "module:none", "unverified": True, "on_error": "continue"}
    fails = {"name": "fails", "call": "fs:/result", "args": "none 3"}
    doc, done = run([missing, fails, hello()], exit_status=1)
    kt.check(doc["reason"] == "fails: its exit status is not 0", "reason", done)
    kt.check(steps_of(doc) == [("missing", "failed"), ("fails", "failed")] and "none" in doc["steps"][0]["reason"], "steps", doc["steps"])
    doc, done = run([missing, hello(), dict(missing, name="again", on_error="halt")], exit_status=4)
    kt.check(doc["reason"].startswith("again: ") and steps_of(doc) == [("missing", "failed"), ("last", "ok"), ("again", "failed")], "steps", done)
    doc, done = run([missing, dict(fails, on_error="continue"), hello()])
    kt.check(doc["reason"] == "all steps done" and len(doc["steps"]) == 3, "steps", done)
    skipped = dict(hello("skipped"), when={"state.go": True})
    doc, done = run([skipped, hello()], state={"go": False})
    kt.check(steps_of(doc) == [("skipped", "skipped"), ("last", "ok")], "steps", done)


@kt.test
def a_step_is_named_once():
    for count in ("x", 1.5, -1, 0, 65537):
        doc, done = run([dict(hello("many"), fanout={"count": "{{state.n}}"})], exit_status=4, state={"n": count})
        kt.check(re.fullmatch(r"many: state\.n (is no whole number|is negative|asks for \d+ kernels; 1 to 65536 there can be)", doc["reason"]), "reason", done)


@kt.test
def what_on_error_does_is_reported():
    fails = {"name": "fails", "call": "fs:/result", "args": "none 3"}
    doc, done = run([dict(fails, on_error="reboot"), hello()], exit_status=1)
    kt.check(doc["reason"] == "fails: its exit status is not 0; the machine reboots, as on_error says", "a reboot", done)
    doc, done = run([dict(fails, retries=2, on_error={"boot": "fs:/hello", "expect": "success"})])
    kt.check(kt.re.search(r"fails +call  fs:/result  retry 1 of 2\n", done.err) and "retry 2 of 2" in done.err, "retries", done)
    kt.check(kt.re.search(r"rescue +boot  fs:/hello  because fails failed", done.err), "a fallback", done)
    kt.check([s.get("retry") for s in doc["steps"]] == [None, 1, 2, None], "retries as JSON", doc["steps"])


@kt.test
def the_consoles_times_have_one_unit_and_one_origin():
    """Milliseconds since the first link's entry, in all links; a dash as long as the clock's rate is not known."""
    last = kt.bake(kt.pipeline([hello("second")], FILES, name="last"))
    middle = kt.bake(kt.pipeline([{"name": "last", "boot": "fs:/last"}], dict(FILES, **{"/last": last}), name="middle"))
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([dict(hello("many"), fanout={"count": 2}), hello("first"), {"name": "middle", "boot": "fs:/middle"}], dict(FILES, **{"/middle": middle}), name="front")), qemu=["-smp", "3"]))
    lines = kt.re.findall(r"(?m)^( *(?:[0-9]+[.][0-9]{3}|-)) (\w+)  (\w+) ", ended.console.replace("\r", ""))
    kt.check([line[2] for line in lines].count("link") == 3 and {line[1] for line in lines} == {"ms"} and {len(line[0]) for line in lines} == {9}, "form", ended.console)
    times = [line[0].strip() for line in lines]
    known = [float(time) for time in times if time != "-"]
    kt.check(times[:times.count("-")] == ["-"] * times.count("-") and known == sorted(known) and len(known) >= 4, "times", times)
    kt.check(abs(known[-1] * 1000 - ended.of("end")[-1]["us"]) < 50000, "another clock than the records'", (times, ended.of("end")))


@kt.test
def a_timeout_names_what_it_waited_for():
    says = {"name": "says", "boot": "fs:/acts32", "args": "halt", "handoff": {"at": "none"}, "expect": {"console": "Login"}}
    doc, done = run([says], "--timeout", "5s", exit_status=124)
    kt.check(doc["reason"] == '"Login" not seen within 5s; last line: about to halt', "an expectation", done)
    doc, done = run([{"name": "spin", "call": "fs:/spin", "timeout": "1h"}], "--timeout", "4s", exit_status=124)
    kt.check(doc["reason"].startswith("spin did not end within 4s"), "a call", done)
    doc, done = run([hello()], "--until", "no [s]uch", exit_status=5)
    kt.check(re.fullmatch('"no \\[s\\]uch" not matched before the machine ended; last line: (-|[0-9.]+) ms +end +ok', doc["reason"]), "an expression", done)


@kt.test
def an_interruption_is_reported_once():
    image = kt.bake(kt.pipeline([{"name": "spin", "call": "fs:/spin", "timeout": "1h"}], FILES))
    process = subprocess.Popen([kt.KCHAIN, "run", image, "--accel", "tcg"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               preexec_fn=kt.end_with_test)
    seen = b""
    while b"call  fs:/spin" not in seen:
        got = os.read(process.stderr.fileno(), 4096)
        kt.check(got, "ended early", seen)
        seen += got
    process.send_signal(signal.SIGINT)
    seen += process.stderr.read()
    kt.check(process.wait() == 130 and seen.count(b"interrupted") == 1 and b"interrupted by SIGINT in spin;" in seen, "words", seen)


@kt.test
def a_result_that_can_not_be_written_is_reported_as_that():
    image = kt.bake(kt.pipeline([hello()], FILES))
    for option in ("--result", "--bootinfo", "--console", "--screenshot"):
        done = kt.kchain("run", image, "--accel", "tcg", option, "/nonexistent/file")
        kt.check(done.exit == 3 and "/nonexistent/file: No such file or directory" in done.err and "stage" not in done.err.split("kchain:")[-1], option, done)
        kt.check("entered by" not in done.err, f"{option}: the machine was started", done)
    done = kt.kchain("run", image, "--accel", "tcg", "--json", "--result", "/dev/full")
    kt.check(done.exit == 3 and "/dev/full: No space left" in done.err and done.json()["reason"].startswith("/dev/full: "), "a full disk", done)


@kt.test
def a_report_takes_every_document_that_a_run_writes():
    none_ran = {"name": "map", "call": "fs:/result", "args": "none 3", "fanout": {"count": 3, "require": 0}}
    cases = ((kt.bake(kt.pipeline([hello()], FILES)), 0, "last "),
             (kt.bake(kt.pipeline([none_ran, {"name": "boots", "boot": "fs:/acts32", "args": "halt", "handoff": {"at": "none"}}], FILES)), 0, "map: 3 kernels: 0 ok, 3 failed"),
             (kt.bake(kt.pipeline([fixed("wild", "reset")], FILES)), 4, "0 steps"),
             (kt.bake(kt.pipeline([{"name": "gone", "call": "module:no", "unverified": True}], FILES)), 4, "gone"),
             ("build/kernels/acts.elf", 1, "0 links, 0 steps"),
             ("/nonexistent", 3, "nothing was started: /nonexistent: No such file"))
    for image, exit_status, said in cases:
        handoff, path, svg = kt.scratch("handoff.json"), kt.scratch("result.json"), kt.scratch("out.svg")
        done = kt.kchain("run", image, "--accel", "tcg", "--json", "-c", "2", "--timeout", "6s", "--result", handoff)
        kt.check(done.exit == exit_status or (exit_status, done.exit) == (0, 3), "run", done)
        kt.write_bytes(path, done.out.encode())
        for document in [path] + [handoff] * os.path.exists(handoff):
            report = kt.kchain("report", document, "--svg", svg)
            kt.check(report.exit == 0 and kt.read_bytes(svg).endswith(b"</svg>\n"), "report", report)
            if document == path:
                kt.check(said in report.out, f"no {said!r}", report)
            figures = kt.kchain("report", document, "--json")
            kt.check(figures.exit == 0 and isinstance(figures.json()["fanouts"], list), "figures", figures)


@kt.test
def a_broken_pipe_ends_quietly():
    image = kt.bake(kt.pipeline([{"name": "floods", "boot": "fs:/acts32", "args": "flood", "handoff": {"at": "none"}}], FILES))
    for command, reads in (([kt.KCHAIN, "run", image, "--accel", "tcg", "--until", "ended"], 1), ([kt.KCHAIN, "cat", image, "--manifest"], 0),
                           ([kt.KCHAIN, "inspect", image], 0), ([kt.KCHAIN, "inspect", "--json", image], 0), ([kt.KCHAIN, "ls", image], 0),
                           ([kt.KCHAIN, "plan", image], 0), ([kt.KCHAIN, "verify", image], 0), ([kt.KCHAIN, "--help"], 0), ([kt.KCHAIN, "run", "--help"], 0)):
        read_end, write_end = os.pipe()
        if not reads:
            os.close(read_end)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.PIPE, preexec_fn=kt.end_with_test)
        os.close(write_end)
        if reads:
            kt.check(os.read(read_end, 10), "nothing to read")
            os.close(read_end)
        started = time.monotonic()
        errors = process.stderr.read()
        kt.check(process.wait() == -signal.SIGPIPE, f"{command[1]}: exit status {process.returncode}", errors)
        kt.check(time.monotonic() - started < kt.HANG_AFTER_S, f"{command[1]}: hangs")
        kt.check(b"kchain:" not in errors and b"ould not" not in errors, f"{command[1]}: not quiet", errors)


kt.main()
