#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""A text that a step expects of a called kernel, wherever the kernel's text passes through the stage."""
import kt

FILES = {"/hello": "build/kernels/hello.elf", "/acts": "build/kernels/acts.elf", "/flaky": "build/kernels/flaky.elf", "/echo": "build/kernels/echo.elf"}
SVM = ["-cpu", "max"]


def call(name, kernel, args, marker, **more):
    return {"name": name, "call": f"fs:/{kernel}", "args": args, "expect": {"console": marker}, "on_error": "continue", **more}


def run(steps, processors=1, state=None):
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES, state=state or {})), qemu=[*SVM, "-smp", str(processors)]))
    return ended.of("handoff")[-1]["doc"]["results"], ended


def check(results, name, good, reason=None):
    entry = results[name]
    kt.check((entry["status"] == "ok") == good, f"{name}: {entry}")
    kt.check(reason is None or kt.re.search(reason, entry["reason"]), f"{name}: {entry}")


# Marker, and whether hello's text "hello, ARGS: this kernel was called" has it.
MARKERS = (("this kernel was called", True), ("hello, you", True), ("hello, me", False), ("l", True), ("called\r", None), ("Called", False),
           ("hello, you: this kernel was called", True), ("x" * 300, False))


@kt.test
def of_a_native_kernel():
    chosen = [(i, marker, good) for i, (marker, good) in enumerate(MARKERS) if good is not None]
    results, _ = run([call(f"s{i}", "hello", "you", marker) for i, marker, _ in chosen])
    for i, marker, good in chosen:
        check(results, f"s{i}", good, None if good else 'its text has no "' + marker[:20])
        kt.check(results[f"s{i}"]["result"] == {"greeted": "you"}, f"{marker}: the result is lost", results)


@kt.test
def of_an_isolated_kernel():
    svm = {"isolation": "svm", "memory": "4M", "timeout": "20s"}
    wanted = (("serial", "work 7", "worked on number 7", True), ("other", "work 7", "worked on number 8", False),
              ("unended", "halt", "about to halt", True), ("screen", "screen", "seen on the screen", True), ("debug", "ask 1", "nothing of the sort", False),
              ("silent", "off", "anything", False), ("panics", "halt", "all is well", False))
    results, _ = run([call(name, "acts", args, marker, **svm) for name, args, marker, _ in wanted])
    for name, args, _, good in wanted:
        kt.check((results[name]["status"] == "ok") == good, f"{name}, {args}: {results[name]}")
    check(results, "panics", False, 'its text has no "all is well"')


@kt.test
def a_kernel_that_ends_badly_fails_whatever_it_said():
    svm = {"isolation": "svm", "memory": "4M", "timeout": "20s"}
    results, _ = run([call("status", "acts", "leave 3", "x", **svm), call("said", "flaky", "1 0", "flaky", memory="256K"),
                      call("rest", "hello", "x", "this kernel was called", retries=2)])
    check(results, "status", False, "exit status")
    check(results, "rest", True)


@kt.test
def of_each_kernel_of_a_fan_out():
    for processors, console in ((1, "show"), (3, "show"), (3, "mute")):
        words = ["good", "bad", "good", "go", "od", "goodness", ""]
        fan = call("fan", "hello", "{{self.input}}", "hello, good", fanout={"list": words, "require": 0, "console": console}, retries=1)
        results, ended = run([fan], processors)
        entry = results["fan"]
        kt.check(entry["ok"] == 3 and entry["failed"] == 4 and entry["retried"] == 4, f"{processors}, {console}: {entry}")
        failed = sorted(i for f in entry["failures"] for i in (f["indices"] if "indices" in f else [f["index"]]))
        kt.check(failed == [1, 3, 4, 6], f"{processors}, {console}: {entry['failures']}")
        kt.check(all('its text has no "hello, good"' in f["reason"] for f in entry["failures"]), f"reasons: {entry['failures']}")
        kt.check(("hello, good: this" in ended.console) == (console == "show"), "console", ended)


@kt.test
def of_isolated_kernels_side_by_side():
    fan = call("fan", "acts", "work {{self.index}}", "number 2", isolation="svm", memory="4M", timeout="20s", fanout={"count": 4, "require": 0})
    results, _ = run([fan], 3)
    kt.check(results["fan"]["ok"] == 1 and results["fan"]["failed"] == 3, f"{results['fan']}")


@kt.test
def a_text_that_does_not_pass_is_refused():
    def refused(step, where, message):
        path = kt.write_json(kt.scratch("p.json"), kt.pipeline([step], FILES))
        done = kt.kchain("bake", path, "-o", kt.scratch("image.elf"))
        kt.check(done.exit == 3 and f": {where}: " in done.err and message in done.err, f"{step}: not refused", done)
    refused(call("s", "acts", "", "x", memory="4M"), "steps[0].expect.console", "writes to the console itself")
    refused(call("s", "acts", "", "x", memory="4M", fanout={"count": 2}), "steps[0].expect.console", "writes to the console itself")
    refused(call("s", "hello", "", ""), "steps[0].expect.console", "a text that is not empty expected")
    refused(call("s", "hello", "", "a\nb"), "steps[0].expect.console", "control character")


@kt.test
def the_step_goes_by_it():
    for marker, status in (("this kernel was called", kt.OK), ("no such text", kt.CHILD_FAILED)):
        step = {**call("s", "hello", "x", marker), "on_error": "halt"}
        kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], FILES))), status)


kt.main()
