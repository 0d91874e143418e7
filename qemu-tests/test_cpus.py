#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Kernels with several processors of their own ("cpus" of a fan-out): all of them at work, and all of them taken back whatever one does."""
import re

import kt

KERNELS = ("team", "flaky", "hello")
FILES = {"/" + name: f"build/kernels/{name}.elf" for name in KERNELS}


def fan(args, fanout, kernel="team", **step):
    return {"name": "map", "call": "fs:/" + kernel, "args": args, "memory": "512K", "timeout": "20s", **step, "fanout": fanout}


def boot(steps, cpus, machine="pc", files=None, memory="128M"):
    return kt.boot(kt.bake(kt.pipeline(steps, {**FILES, **(files or {})})), machine, memory, ["-cpu", "max", "-smp", cpus], hang_after_s=300)


def run(steps, cpus, status=kt.OK, **more):
    """The machine's end, and the results of `map` as the last handoff has them."""
    ended = kt.expect_end(boot(steps, cpus, **more), status)
    return ended, ended.of("handoff")[-1]["doc"]["results"].get("map")


def rows(ended):
    return [row for record in ended.of("kernels") for row in record["rows"]]


def check_sums(ended, results, each, ranges):
    """The right sum of each range, on as many different processors as the kernel has, of which the row names the first."""
    first = {row[0]: row[2] for row in rows(ended) if len(row) == 5}
    kt.check(sorted(row[0] for row in rows(ended)) == list(range(len(ranges))), "a turn is missing or double", rows(ended)[:5])
    for index, (begin, end) in enumerate(ranges):
        got = results["result"][index]
        kt.check(got and got["sum"] == sum(range(begin, end)) and got["cpus"] == each, f"kernel {index}", got)
        kt.check(got["processors"] == list(range(first[index], first[index] + each)), f"processors of kernel {index}", got, first[index])


def sums(cpus, each, count, workers, machine="pc"):
    def test():
        ranges = [(n * 1000, n * 1000 + 500 + n) for n in range(count)]
        fanout = {"list": [{"from": a, "to": b} for a, b in ranges], "cpus": each, "console": "mute"}
        ended, results = run([fan("sum {{self.input.from|}} {{self.input.to|}}", fanout)], cpus, machine=machine)
        check_sums(ended, results, each, ranges)
        said = ended.of("result")[0]["machine"]
        kt.check(said["workers"] == workers and said["cpus"] == each and said["processors_failed"] == 0, "workers", said)
        used = {p for r in results["result"] for p in r["processors"]}
        kt.check(len(said["windows"]) <= workers and used <= set(range(cpus)), "processors", used)
    return test


kt.add_test("two_kernels_of_two_on_5_processors", sums(5, 2, 8, 2))
kt.add_test("one_kernel_of_four_on_5_processors", sums(5, 4, 3, 1))
kt.add_test("two_kernels_of_three_on_8_processors", sums(8, 3, 6, 2, "q35"))
kt.add_test("one_on_one_processor", sums(1, 1, 3, 1))
kt.add_test("one_of_each_on_2_processors", sums(2, 1, 6, 2))
kt.add_test("200_kernels_of_two_through_the_queue", sums(5, 2, 200, 2))


@kt.test
def the_handoff_says_how_many():
    ended, results = run([fan("sum 0 {{self.cpus}}", {"count": 2, "cpus": 3})], 4)
    kt.check([r["sum"] for r in results["result"]] == [3, 3], "self.cpus", results)
    doc = [r["doc"] for r in ended.of("handoff") if r.get("step") == "map"]
    kt.check([d["self"]["cpus"] for d in doc] == [3], "the handoff of the step", doc)


@kt.test
def kernels_that_do_not_ask_run_as_ever():
    steps = [fan("0", {"count": 20, "cpus": 3, "console": "mute"}, "flaky"), {"name": "one", "call": "fs:/team", "args": "sum 0 100"}]
    ended, results = run(steps, 7)
    kt.check(results["result"] == [{"index": n} for n in range(20)], "results", results)
    alone = ended.of("handoff")[-1]["doc"]["results"]["one"]["result"]
    kt.check(alone == {"sum": 4950, "cpus": 1, "processors": [0]}, "called without a fan-out", alone)


@kt.test
def a_booted_kernel_has_one():
    ended, _ = run([{"name": "team", "boot": "fs:/team", "args": "sum 0 100"}], 4)
    kt.check(ended.of("exit")[-1]["result"] == {"sum": 4950, "cpus": 1, "processors": [0]}, "result", ended)


@kt.test
def a_thousand_regions_come_back():
    _, results = run([fan("many 1000", {"count": 2, "cpus": 3})], 4)
    kt.check([r["counts"] for r in results["result"]] == [[1000] * 3] * 2, "counts", results)


@kt.test
def each_processor_has_its_own_errno_and_a_lock_keeps_the_heap():
    steps = [fan("libc", {"count": 2, "cpus": 3}), {**fan("heap 20000", {"count": 2, "cpus": 3}), "name": "heap"}]
    ended, results = run(steps, 4)
    for got in results["result"]:
        # Thread-local variables (7 and 0) of the first processor stay; those of the others begin anew in the second region.
        kt.check(got == {"wrong": 0, "errno": [100, 101, 102], "thread": [81, 70, 70]}, "the C library", got)
    said = re.findall(r"system call readlink \(89\) is for the kernel's first processor only", ended.console)
    kt.check(len(said) == 2 * 2 * 2, "what is refused is said", ended.console)
    heap = ended.of("handoff")[-1]["doc"]["results"]["heap"]
    kt.check(heap["result"] == [{"wrong": 0}] * 2, "heap", heap)


@kt.test
def what_each_writes_stays_in_one_piece():
    ended, _ = run([fan("say 400", {"count": 2, "cpus": 4})], 5)
    said = re.findall(r"^ *(\d+)\| line (\d+) of cpu (\d) of kernel (\d+), all of it in one piece\r?$", ended.console, re.M)
    wanted = sorted((str(k), str(n), str(c), str(k)) for k in range(2) for n in range(400) for c in range(4))
    kt.check(sorted(said) == wanted, "lines", ended.console)


@kt.test
def a_fault_on_any_of_them_ends_the_kernel():
    for cpu in (0, 1, 2):
        _, results = run([fan(f"fault {cpu}", {"count": 4, "cpus": 3, "require": 0})], 7)
        for got in kt.failed(results):
            kt.check(got["status"] == "fault" and re.fullmatch(rf"page fault at 0x[0-9a-f]+, address 0x8, error code 0x2, on cpu {cpu}", got["reason"]),
                     "reason", got)
        kt.check([f["index"] for f in kt.failed(results)] == [0, 1, 2, 3], "failures", results)


def mishap(what, status):
    """Of 12 kernels every third goes wrong on its second processor at first; all others, and it itself the second time, are whole."""
    def test():
        words = [what if n % 3 == 1 else "fine" for n in range(12)]
        ended, results = run([fan("{{self.input|}} 1 {{self.attempt}}", {"list": words, "cpus": 2, "console": "mute"}, timeout="1500ms", retries=1)], 5)
        first, second = [r for r in rows(ended) if r[1] == 0], [r for r in rows(ended) if r[1] == 1]
        kt.check(sorted(r[0] for r in first) == list(range(12)) and sorted(r[0] for r in second) == [1, 4, 7, 10], "turns", rows(ended))
        kt.check(all((r[5] == status if words[r[0]] == what else len(r) == 5) for r in first), "statuses", first)
        kt.check(results["ok"] == 12 and results["retried"] == 4, "results", results)
        for n in (1, 4, 7, 10):
            kt.check(results["result"][n]["sum"] == sum(range(n * 1000, n * 1000 + 1000)), f"kernel {n}, second attempt", results["result"][n])
        kt.check(ended.of("result")[0]["machine"]["processors_failed"] == 0, "processors", ended.of("result")[0])
    return test


kt.add_test("a_fault_is_retried_on_the_same_processors", mishap("fault", "fault"))
kt.add_test("a_hang_on_one_takes_all_back", mishap("hang", "timeout"))


@kt.test
def what_must_not_be_asked_for_is_refused():
    _, results = run([fan("services", {"count": 3, "cpus": 3})], 4)
    kt.check(results["result"] == [{"wrong": 0}] * 3, "services", results)


@kt.test
def a_start_where_nothing_is_ends_the_kernel():
    _, results = run([fan("wild", {"count": 3, "cpus": 3, "require": 0})], 4)
    for got in kt.failed(results):
        kt.check(got["status"] == "fault" and re.fullmatch(r"page fault at 0x8(, address 0x8, error code 0x10, on cpu [12])?", got["reason"]), "reason", got)
        kt.check(got["fault"].pop("cpu") in (1, 2), "processor", got)
        kt.check(got["fault"] == {"name": "page fault", "vector": 14, "rip": "0x8", "address": "0x8", "error_code": "0x10"}, "fault", got)
    kt.check(len(kt.failed(results)) == 3, "failures", results)


@kt.test
def who_is_still_at_work_when_main_returns_is_taken_back():
    steps = [fan("leave", {"count": 6, "cpus": 3}), {**fan("sum 0 1000", {"count": 6, "cpus": 3}), "name": "after"}]
    ended, results = run(steps, 7)
    kt.check(results["result"] == [{"left": True, "counts": [0, 0, 0]}] * 6, "results", results)
    after = ended.of("handoff")[-1]["doc"]["results"]["after"]
    kt.check([r["sum"] for r in after["result"]] == [499500] * 6, "the kernels after", after)
    kt.check(not any(r["machine"]["processors_failed"] for r in ended.of("result")), "processors", ended.of("result"))


@kt.test
def exit_on_any_of_them_ends_the_kernel():
    for cpu in (0, 1):
        _, results = run([fan(f"exit {cpu}", {"count": 3, "cpus": 2, "require": 0})], 3)
        kt.check([(f["status"], f["exit"]) for f in kt.failed(results)] == [("failed", 7)] * 3, "failures", results)


@kt.test
def another_image_finds_the_processors():
    inner = kt.bake(kt.pipeline([fan("sum 0 1000", {"count": 5, "cpus": 2})], FILES, name="inner"))
    steps = [fan("hang 1", {"count": 2, "cpus": 2, "require": 0}, timeout="200ms"), {**fan("0", {"count": 30, "console": "mute"}, "flaky"), "name": "ones"},
             {"name": "next", "boot": "fs:/inner"}]
    ended, results = run(steps, 5, files={"/inner": inner})
    kt.check([r["sum"] for r in results["result"]] == [499500] * 5, "results", results)
    said = [r["machine"] for r in ended.of("result")]
    kt.check([said[0]["workers"], said[2]["workers"]] == [2, 2] and not any(m["processors_failed"] for m in said), "workers", said)


@kt.test
def too_few_processors_are_refused_with_numbers():
    for cpus, each, said in ((1, 2, '"cpus": 2 takes a machine of 3 processors, one of which schedules; this one has 1: 2 too few'),
                             (5, 5, '"cpus": 5 takes a machine of 6 processors, one of which schedules; this one has 5: 1 too few')):
        steps = [fan("sum", {"count": 2, "cpus": each})]
        kt.expect_error(boot(steps, cpus), "fanout-cpus", "^fs:/team: " + re.escape(said) + "$")
        done = kt.kchain("plan", kt.bake(kt.pipeline(steps, FILES)), "--cpus", cpus)
        kt.check(done.exit == 3 and f"map: {said}" in done.err and "`kchain run --cpus`" in done.err, "plan", done)


@kt.test
def windows_too_small_for_the_stacks_are_refused():
    kt.expect_error(boot([fan("sum", {"count": 2, "cpus": 4}, memory="192K")], 5), "call-window-too-small", r"^fs:/team: the window of 196608 bytes is too small")


@kt.test
def who_has_one_processor_is_refused_by_name():
    step = {**fan("sum", {"count": 2, "cpus": 2}), "isolation": "svm", "memory": "4M"}
    done = kt.kchain("bake", kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([step], FILES)), "-o", kt.scratch("image.elf"))
    kt.check(done.exit == 3 and 'steps[0]: "cpus" is 2, but an isolated machine has one processor' in done.err, "svm", done)
    step = fan("", {"count": 2, "cpus": 2}, "acts")
    done = kt.kchain("bake", kt.write_json(kt.scratch("pipeline.json"), kt.pipeline([step], {"/acts": "build/kernels/acts.elf"})), "-o", kt.scratch("image.elf"))
    kt.check(done.exit == 3 and 'fs:/acts: "cpus" is 2, but a kernel that is not native has one processor' in done.err, "not native", done)


@kt.test
def the_report_draws_all_of_them():
    words = [{"from": n * 1000, "to": n * 1000 + 10} for n in range(4)]
    image = kt.bake(kt.pipeline([fan("sum {{self.input.from|}} {{self.input.to|}}", {"list": words, "cpus": 2})], FILES))
    done = kt.kchain("run", image, "-c", 5, "--json")
    kt.check(done.exit == 0 and "4 of 4 ok  4 processors" in done.err, "run", done)
    path, svg = kt.write_bytes(kt.scratch("result.json"), done.out.encode()), kt.scratch("out.svg")
    said = kt.kchain("report", path, "--svg", svg)
    kt.check(said.exit == 0 and "on 4 processors" in said.out, "report", said)
    text = kt.read_bytes(svg).decode()
    kt.check("on 5 processors" in text and "processor 4" in text, "the picture", text[:1500])


@kt.test
def the_plan_says_how_they_are_laid_out():
    image = kt.bake(kt.pipeline([fan("sum", {"count": 9, "cpus": 3})], FILES))
    done = kt.kchain("plan", image, "--cpus", 8)
    kt.check("9 kernels, 2 at once, each on 3 processors, in windows of 1 MiB in all; 9 must end well" in done.out, "plan", done)


if __name__ == "__main__":
    kt.main()
