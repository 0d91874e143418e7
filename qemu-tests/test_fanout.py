#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 1800
"""Fan-outs: every kernel exactly once on any number of processors, whatever goes wrong in some of them.

KCHAIN_FANOUT=long runs the 10,000 kernels of the queue's test instead of 1,000, and 255 processors twice as often."""
import glob
import json
import os
import re

import kt

LONG = os.environ.get("KCHAIN_FANOUT") == "long"
KERNELS = ("flaky", "hello", "spin", "result", "wordcount", "sum", "fault", "clobber")
FILES = {"/" + name: f"build/kernels/{name}.elf" for name in KERNELS}


def fan(kernel, fanout, args="", **step):
    """The timeout is a hang detector: with 255 virtual processors on a busy host, one's turn of some milliseconds took 22 s."""
    return {"name": "map", "call": "fs:/" + kernel, "args": args, "memory": "256K", "timeout": "10m", **step, "fanout": fanout}


def run(steps, cpus=2, machine="pc", memory="128M", status=kt.OK, files=None, qemu=()):
    """The machine's end, and the results of `map` as the last handoff has them."""
    image = kt.bake(kt.pipeline(steps, {**FILES, **(files or {})}))
    ended = kt.expect_end(kt.boot(image, machine, memory, ["-cpu", "max", "-smp", cpus, *qemu], hang_after_s=900), status)
    return ended, ended.of("handoff")[-1]["doc"]["results"].get("map")


def rows(ended):
    return [row for record in ended.of("kernels") for row in record["rows"]]


def whole(results, count, missing=()):
    """Every index exactly once, in its place, but for those that are known to have failed."""
    kt.check(len(results["result"]) == count, f"{len(results['result'])} results of {count}")
    wrong = [i for i, r in enumerate(results["result"]) if r != (None if i in missing else {"index": i})]
    kt.check(not wrong, f"results out of place: {wrong[:10]}")
    kt.check(results["ok"] == count - len(missing) and results["failed"] == len(missing), "counts", {k: results[k] for k in ("ok", "failed")})


def on_processors(cpus, machine, memory, count):
    def test():
        ended, results = run([fan("flaky", {"count": count, "console": "mute"}, "0")], cpus, machine, memory)
        whole(results, count)
        turns = rows(ended)
        kt.check(sorted(r[0] for r in turns) == list(range(count)), "a turn is missing or double", turns[:5])
        machine_said = ended.of("result")[0]["machine"]
        kt.check(machine_said["processors"] == cpus and machine_said["processors_failed"] == 0, "processors", machine_said)
        kt.check(min(cpus, 2) <= machine_said["workers"] <= cpus, "workers", machine_said)
        kt.check({r[2] for r in turns} <= set(range(cpus)), "a turn on a processor that is none")
        kt.check(machine_said["private_bytes"] < 128 << 10, "private memory of a kernel", machine_said)
        kt.check(len(set(machine_said["windows"].values())) == len(machine_said["windows"]), "two processors in one window", machine_said)
    return test


for processors, kind, ram, kernels in ((1, "pc", "128M", 50), (2, "pc", "128M", 50), (3, "pc", "128M", 200), (8, "q35", "128M", 200), (64, "pc", "256M", 300),
                                       (1, "microvm", "128M", 20), (255, "microvm", "512M", 600)):
    kt.add_test(f"{kind}_with_{processors}_processors", on_processors(processors, kind, ram, kernels))


def injected(cpus, count):
    """5 % of the kernels fail at first, in six ways; one in ten of these always."""
    def test():
        ended, results = run([fan("flaky", {"count": count, "require": "99%", "console": "mute"}, "20 {{self.attempt}}", retries=1,
                                  timeout="1s")], cpus)
        first = [i for i in range(count) if i % 20 == 19]
        always = {i for i in first if (i // 20) % 10 == 9}
        whole(results, count, always)
        kt.check(results["retried"] == len(first) and results["not_run"] == 0, "retries", results["retried"])
        kt.check({f["index"] for f in kt.failed(results)} == always, "failures", kt.failed(results)[:3])
        kt.check(all(f["attempts"] == 2 and f["reason"] for f in kt.failed(results)), "attempts", kt.failed(results)[:3])
        turns = rows(ended)
        kt.check(sorted((r[0], r[1]) for r in turns) == sorted([(i, 0) for i in range(count)] + [(i, 1) for i in first]), "turns")
        # What each way of failing was taken for: fault, jump, overflow, malformed, status 3, hang.
        wanted = ("fault", "fault", "fault", "failed", "failed", "timeout")
        for row in turns:
            if row[0] in first and row[1] == 0:
                kt.check(row[5] == wanted[row[0] // 20 % 6], f"kernel {row[0]}: {row[5:]}")
    return test


for processors, kernels in ((1, 240), (2, 240), (3, 240), (4, 1000), (8, 480)):
    kt.add_test(f"faults_in_5_percent_on_{processors}_processor{'s'[:processors > 1]}", injected(processors, 10000 if LONG else kernels))


def none_returns(cpus):
    """More kernels than processors, each of which has to be taken back from every one, twice."""
    def test():
        ended, results = run([fan("spin", {"count": 12, "require": 0, "console": "mute"}, "forever", retries=1, timeout="100ms"),
                              {**fan("flaky", {"count": 20, "console": "mute"}, "0"), "name": "after"}], cpus)
        kt.check(sorted((r[0], r[1], r[5]) for r in rows(ended) if r[5:]) == [(i, a, "timeout") for i in range(12) for a in range(2)], "turns", rows(ended))
        kt.check(results["failed"] == 12 and results["retried"] == 12, "counts", results)
        after, machine = ended.of("handoff")[-1]["doc"]["results"]["after"], ended.of("result")[0]["machine"]
        kt.check(after["ok"] == 20 and machine["processors_failed"] == 0, "processors", machine)
        kt.check(cpus == 1 or not any(r[2] == 0 for r in rows(ended) if r[5:]), "the first processor, which no other can take back", rows(ended))
    return test


for processors in (1, 2, 3, 8):
    kt.add_test(f"none_returns_on_{processors}_processor{'s'[:processors > 1]}", none_returns(processors))


def counts(path):
    """Lines, words and bytes, as Debian 12's wc counts them in the C locale (Debian 13's takes bytes above ASCII for words, too)."""
    data = kt.read_bytes(path)
    return [data.count(b"\n"), sum(any(0x21 <= byte <= 0x7e for byte in word) for word in data.split()), len(data)]


@kt.test
def words_are_counted_as_wc_does():
    texts = sorted(glob.glob("docs/*"))
    steps = [fan("wordcount", {"each": "fs:/corpus/*"}, "{{self.input}}"), {"name": "reduce", "call": "fs:/sum", "args": "map"}]
    ended, results = run(steps, 3, files={"/corpus": "docs"})
    total = [sum(column) for column in zip(*map(counts, texts))]
    answer = ended.of("handoff")[-1]["doc"]["results"]["reduce"]["result"]
    kt.check([answer["lines"], answer["words"], answer["bytes"]] == total, f"{answer}, there are {total}")
    kt.check(results["count"] == len(texts), "a kernel for each file")
    kt.check(f"{len(texts)} kernels:" in ended.console, "the answer is not on the console", ended)


@kt.test
def slices_of_one_file_come_to_the_same():
    steps = [fan("wordcount", {"slices": {"of": "fs:/big", "count": 13}}, "{{self.input.file|}} {{self.input.offset|}} {{self.input.bytes|}}"),
             {"name": "reduce", "call": "fs:/sum", "args": "map"}]
    ended, _ = run(steps, 2, files={"/big": "docs/PIPELINE.md"})
    answer = ended.of("handoff")[-1]["doc"]["results"]["reduce"]["result"]
    kt.check([answer["lines"], answer["words"], answer["bytes"]] == counts("docs/PIPELINE.md"), f"{answer}, there are {counts('docs/PIPELINE.md')}")


@kt.test
def lines_of_many_kernels_do_not_mix():
    ended, _ = run([fan("hello", {"count": 40}, "kernel-{{self.index}}-of-{{self.count}}")], 5)
    lines = re.findall(r"^ *(\d+)\| hello, kernel-(\d+)-of-40: this kernel was called\r?$", ended.console, re.M)
    kt.check(sorted(int(a) for a, b in lines if a == b) == list(range(40)), "lines", ended.console)


@kt.test
def a_flood_of_text_loses_nothing_and_ends():
    ended, results = run([fan("spin", {"count": 3, "require": 0}, "talk", timeout="300ms")], 3)
    kt.check([f["status"] for f in kt.failed(results)] == ["timeout"] * 3, "failures", kt.failed(results))
    said = re.findall(r"^(.*still here.*)$", ended.console, re.M)
    cut = [l for l in said if not re.fullmatch(r" *\d\| spin: still here, and printing a line that takes its caller longer to write than us to ask for\r?", l)]
    kt.check(len(cut) <= 3, "only the last line of each may be cut short", cut)


@kt.test
def mute_is_mute():
    ended, _ = run([fan("hello", {"count": 5, "console": "mute"}, "x")], 2)
    kt.check("hello, x" not in ended.console, "text of a muted kernel", ended.console)


@kt.test
def stop_starts_nothing_more():
    ended, results = run([fan("fault", {"count": 50, "failures": "stop", "concurrency": 1}, "null")], 2, status=kt.CHILD_FAILED)
    kt.check(results["failed"] >= 1 and results["not_run"] >= 45, "counts", results)
    kt.check(results["failed"] + results["not_run"] == 50 and results["status"] == "failed", "counts", results)


@kt.test
def require_decides():
    for share, good in (("90%", True), (45, True), ("all", False), (46, False)):
        _, results = run([fan("flaky", {"count": 50, "require": share, "console": "mute"}, "10 1", on_error="continue")], 2)
        # kernel 99 would be the first that fails always; with attempt 1 none of these 50 does
        kt.check(results["ok"] == 50, "flaky at its second attempt", results)
    for share, status in (("90%", "ok"), (45, "ok"), ("all", "failed"), (46, "failed")):
        _, results = run([fan("flaky", {"count": 50, "require": share, "console": "mute"}, "10 0", on_error="continue", timeout="5s")], 2)
        kt.check(results["ok"] == 45 and results["status"] == status, f"require {share}", {k: results[k] for k in ("ok", "status")})


@kt.test
def failures_are_grouped_by_what_and_where():
    inputs = [hex(0x123400000000 + n % 5 * 8) if n % 3 == 0 else ["null", "ud2"][n % 2] for n in range(36)]
    for cpus in (1, 3):
        ended, results = run([fan("clobber", {"list": [i for i in inputs if i.startswith("0x")], "require": 0, "console": "mute"}, "{{self.input|}}")], cpus)
        kt.check(len(results["failures"]) == 1, "one group", results)
        group, = results["failures"]
        kt.check(group["count"] == 12 and group["indices"] == list(range(12)) and group["inputs"] == [i for i in inputs if i.startswith("0x")], "one group", results)
        kt.check(group["fault"]["addresses"] == group["inputs"] and "address" not in group["fault"] and group["reason"] == f"page fault at {group['fault']['rip']}",
                 "the place, and what each reached for", group)
        kt.check(re.search(r"failed +12 x page fault at 0x[0-9a-f]+: 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\r?$", ended.console, re.M), "the stage's line", ended.console)
        own = [i for i in inputs if not i.startswith("0x")]
        ended, results = run([fan("fault", {"list": own, "require": 0, "console": "mute"}, "{{self.input|}}")], cpus)
        said = {group["fault"]["name"]: group for group in results["failures"]}
        kt.check(all([own[i] for i in said[name]["indices"]] == [word] * 12 for name, word in (("page fault", "null"), ("invalid opcode", "ud2"))), "two groups", results)
        kt.check(said["page fault"]["fault"]["address"] == "0x8" and all(g["attempts"] == 1 and "addresses" not in g["fault"] for g in said.values()), "faults", said)
        record = ended.of("result")[0]
        kt.check([{k: v for k, v in g.items() if k != "inputs"} for g in results["failures"]] == record["failures"] and "result" not in record, "the record", record)


@kt.test
def the_command_shows_them_by_reason():
    texts = ["hex:7b"] * 20 + ["hex:31"] * 2 + ["hex:" + ("[" + " " * n + "x").encode().hex() for n in range(12)]
    image = kt.bake(kt.pipeline([fan("result", {"list": texts, "require": 0, "console": "mute"}, "{{self.input|}}")], FILES))
    shown = kt.run(image, "--cpus", 3)
    kt.expect_boot(shown, 0, r"map +ok +2 of 34 ok, 32 failed")
    kt.check(re.search(r"^ *\d+\.\d+ +20 x the result is not JSON: .*: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, \.\.\.$", shown.console, re.M), "the largest first", shown)
    kt.check(len(re.findall(r"^ *\d+\.\d+ +1 x the result is not JSON: .*: \d+$", shown.console, re.M)) == 9, "ten in all", shown)
    kt.check(re.search(r"and for 3 more reasons: --json lists them$", shown.console, re.M), "the rest", shown)


@kt.test
def more_reasons_than_are_listed_are_one_more():
    """Each leaves a text that is wrong in another column."""
    texts = ["hex:" + ("[" + " " * n + "x").encode().hex() for n in range(300)] + ["hex:7b"] * 5
    ended, results = run([fan("result", {"list": texts, "require": 0, "console": "mute"}, "{{self.input|}}")], 3)
    groups = results["failures"]
    kt.check(len(groups) == 257 and len(kt.failed(results)) == 305, "groups", len(groups))
    other, = [g for g in groups if g["reason"] == "all other reasons"]
    kt.check(groups[0] == other and other["count"] == 305 - sum(g["count"] for g in groups[1:]) and other["count"] >= 44, "the others", other)
    kt.check(re.search(r"failed +for 249 more reasons\r?$", ended.console, re.M), "the stage's line", ended.console)


@kt.test
def a_result_without_room_is_its_kernels_failure():
    """16 KiB of empty objects take a hundred times as much as values. Small results beside them are kept, and the next step gets them all."""
    for cpus in (1, 3):
        inputs = ["many:{}" if n % 3 else f"hex:{str(n).encode().hex()}" for n in range(90)]
        steps = [fan("result", {"list": inputs, "require": 0, "console": "mute"}, "{{self.input|}}"), {"name": "reduce", "call": "fs:/result", "args": "good", "memory": "768K"}]
        ended, results = run(steps, cpus, memory="32M")
        lost = {f["index"]: f for f in kt.failed(results)}
        kt.check(lost and all(inputs[i].startswith("many") for i in lost), "only large ones are lost", sorted(lost))
        kt.check(all(re.fullmatch(r"the result of 1638\d bytes is too large to keep: out of memory", f["reason"]) for f in lost.values()), "the reason", lost)
        for index, kind in enumerate(inputs):
            left = results["result"][index]
            kt.check(left is None if index in lost else left == index if kind.startswith("hex") else left == [{}] * len(left), f"kernel {index}", str(left)[:100])
        kt.check(sum(kind.startswith("many") for kind in inputs) - len(lost) > 5, "few were kept", len(lost))
        kt.check(ended.of("handoff")[-1]["doc"]["results"]["reduce"]["result"] == {"answer": 42}, "the next step", ended)


@kt.test
def running_and_queued_are_distinguished():
    ended, _ = run([fan("spin", {"count": 40, "require": 0, "console": "mute"}, "forever", timeout="60ms")], 4)
    said = ended.of("progress")
    kt.check(said, "no progress was shown", ended)
    for record in said:
        kt.check(record["running"] <= 3, "three processors run three at once", record)
        kt.check(record["running"] + record["queued"] + record["ok"] + record["failed"] == record["total"] == 40, "counts", record)
    kt.check(any(record["running"] > 1 and record["queued"] > 3 for record in said), "some run while others wait", said)


@kt.test
def inputs_of_a_list_arrive():
    ended, _ = run([fan("hello", {"list": [{"who": "Ada"}, {"who": "Grace"}, {}]}, "{{self.input.who|nobody}}")], 3)
    for index, who in enumerate(("Ada", "Grace", "nobody")):
        kt.check(re.search(rf"^ *{index}\| hello, {who}:", ended.console, re.M), who, ended.console)


@kt.test
def each_result_is_what_is_expected():
    _, results = run([fan("result", {"list": ["good", "none"], "require": 0}, "{{self.input|}}", expect={"result": {"answer": 42}})], 2)
    kt.check(results["result"] == [{"answer": 42}, None] and results["ok"] == 1, "results", results)
    kt.check(kt.failed(results)[0]["reason"] == "the result is not the expected one", "reason", results)


@kt.test
def windows_show_nothing_of_the_turn_before():
    """clobber writes all over its window, then faults; the next kernel in the same window runs as if it were the first."""
    steps = [fan("clobber", {"list": [hex(0xffffc00000000000 + n * 4096) for n in range(0, 40)], "require": 0}, "{{self.input|}}", timeout="1s"),
             {**fan("flaky", {"count": 20}, "0"), "name": "after"}]
    ended, _ = run(steps, 2)
    kt.check(ended.of("handoff")[-1]["doc"]["results"]["after"]["ok"] == 20, "the kernels after", ended)


@kt.test
def a_second_fanout_and_a_boot_find_the_processors():
    inner = kt.bake(kt.pipeline([fan("flaky", {"count": 30, "console": "mute"}, "0")], FILES, name="inner"))
    steps = [fan("flaky", {"count": 30, "console": "mute"}, "0"), {**fan("flaky", {"count": 30, "console": "mute"}, "0"), "name": "again"},
             {"name": "next", "boot": "fs:/inner"}]
    ended, _ = run(steps, 4, files={"/inner": inner})
    said = [r["machine"] for r in ended.of("result")]
    kt.check(all(2 <= m["workers"] <= 4 and m["processors"] == 4 for m in said) and len(said) == 3 and not any(m["processors_failed"] for m in said), "workers", said)


@kt.test
def what_does_not_fit_is_refused_and_said():
    image = kt.bake(kt.pipeline([fan("flaky", {"count": 8, "concurrency": 3}, "0", memory="60M")], FILES))
    ended = kt.boot(image, "pc", "96M", ["-cpu", "max", "-smp", 4])
    kt.expect_error(ended, "no-space", r"no room for 62914560 bytes between 0x100000 and 0x200000000000: the largest free place there has \d+$")
    image = kt.bake(kt.pipeline([fan("flaky", {"list": ["x" * 20000]}, "0", memory="128K")], FILES))
    kt.expect_error(kt.boot(image, "pc", "96M", ["-cpu", "max", "-smp", 4]), "call-window-too-small")


@kt.test
def fewer_windows_where_memory_is_short():
    ended, results = run([fan("flaky", {"count": 12, "console": "mute"}, "0", memory="24M")], 8, memory="96M")
    workers = ended.of("result")[0]["machine"]["workers"]
    kt.check(1 <= workers < 7 and results["ok"] == 12, f"{workers} workers", results)


@kt.test
def report_is_drawn():
    image = kt.bake(kt.pipeline([fan("flaky", {"count": 60, "console": "mute", "require": 0}, "10 0", timeout="1s")], FILES))
    done = kt.kchain("run", image, "-c", 3, "--json")
    kt.check(done.exit == 0, "run", done)
    path, svg = kt.write_bytes(kt.scratch("result.json"), done.out.encode()), kt.scratch("out.svg")
    said = kt.kchain("report", path, "--svg", svg)
    kt.check(said.exit == 0 and "60 kernels: 54 ok, 6 failed" in said.out, "report", said)
    text = kt.read_bytes(svg).decode()
    last = max(row[2] for row in json.loads(done.out)["steps"][0]["kernels"])  # how many are started hangs on how long the work takes
    kt.check(text.startswith("<svg ") and text.endswith("</svg>\n") and f"processor {last}<" in text, "the picture", text[:500])
    kt.check(text.count("<path ") >= 4, "a path for each status", text.count("<path "))


@kt.test
def no_interrupt_of_a_fan_out_reaches_the_next_link():
    """Ticks and wake-ups that are under way when a link ends would come where nobody knows them."""
    step, next_step = fan("flaky", {"count": 40, "console": "mute"}, "0"), {"name": "next", "boot": "fs:/next"}
    links, image = 8, None
    for _ in range(links):
        files = {**FILES, **({"/next": image} if image else {})}
        image = kt.bake(kt.pipeline([step, next_step] if image else [step], files))
    ended = kt.expect_end(kt.boot(image, "pc", "256M", ["-cpu", "max", "-smp", 4]))
    kt.check([r["ok"] for r in ended.of("result")] == [40] * links, "fan-outs", ended)


@kt.test
def inputs_come_from_the_state_and_plain_ones_need_no_default():
    handoff = kt.write_json(kt.scratch("h.json"), {"kchain_handoff": 1, "boot_id": "0" * 32, "state": {"inputs": [{"x": 1.5}, {}], "count": 3}})
    cases = [("{{self.input}}", {"list": ["a", 2, 0.1, True, -1e300]}, ["a", "2", "0.1", "true", "-1e300"]),
             ("{{self.input.x|none}}", {"list": "{{state.inputs}}"}, ["1.5", "none"]), ("{{self.index}}", {"count": "{{state.count}}"}, ["0", "1", "2"])]
    for args, fanout, wanted in cases:
        image = kt.bake(kt.write_json(kt.scratch("p.json"), {
            "kchain": 1, "name": "experiment", "files": {"/echo": os.path.abspath("build/kernels/echo.elf")},
            "steps": [{"name": "s", "call": "fs:/echo", "args": args, "fanout": fanout}]}))
        done = kt.kchain("run", image, "--handoff", handoff, "--json")
        kt.check(done.exit == 0, "run", done)
        got = [r["args"] for r in done.json()["handoff"]["results"]["s"]["result"]]
        kt.check(got == wanted, "arguments", got)
        planned = kt.kchain("plan", image, "--handoff-in", handoff, "--json").json()["steps"][0]["fanout"]["args"]
        kt.check(planned == wanted, "planned arguments", planned)
    without = kt.kchain("run", image)
    kt.check(without.exit == 4 and "state.count is absent" in without.err, "no state", without)
    unknown, known = kt.kchain("plan", image), kt.kchain("plan", image, "--handoff-in", handoff)
    kt.check(unknown.exit == 0 and "{{state.count}}" in unknown.out and "args     {{self.index}}\n" in unknown.out, "a plan without the state", unknown)
    kt.check("3 kernels" in known.out and "args     0  to kernel 0\n  args     2  to kernel 2\n" in known.out, "a plan with the state", known)


@kt.test
def kernels_of_a_list_get_their_own_value_and_not_the_list():
    state = {"a": 1, "inputs": [{"x": n, "of": "all of them"} for n in range(3)], "z": [2]}
    handoff = kt.write_json(kt.scratch("h.json"), {"kchain_handoff": 1, "boot_id": "0" * 32, "self": {}, "links": [], "clock": {}, "state": state})
    steps = [{"name": "map", "call": "fs:/echo", "fanout": {"list": "{{state.inputs}}", "console": "mute"}}, {"name": "after", "call": "fs:/echo"}]
    steps[1:1] = [{"name": "plain", "call": "fs:/hello"}, {**steps[0], "name": "again", "call": "fs:/hello"}]
    image = kt.bake(kt.pipeline(steps, {f"/{name}": f"build/kernels/{name}.elf" for name in ("echo", "hello")}))
    done = kt.kchain("run", image, "--handoff", handoff, "--json", "--", "-smp", "2")
    kt.check(done.exit == 0, "run", done)
    final = done.json()["handoff"]
    without = {"a": 1, "z": [2]}
    for index, result in enumerate(final["results"]["map"]["result"]):
        got = result["handoff"]
        kt.check(got["state"] == without, "the list is left out", got["state"])
        kt.check(got["self"]["index"] == index and got["self"]["input"] == state["inputs"][index], "its own", got["self"])
    kt.check(len(final["results"]["again"]["result"]) == len(state["inputs"]), "one step later", final["results"]["again"])
    after = final["results"]["after"]["result"]["handoff"]
    kt.check(after["state"] == state and final["state"] == state, "the next step, and the next link", after["state"])
    planned = kt.kchain("plan", image, "--handoff-in", handoff, "--json").json()["steps"]
    kt.check([step["handoff"]["state"] for step in planned] == [without, state, without, state], "planned")
    kt.check(planned[0]["fanout"]["inputs"] == state["inputs"], "planned inputs", planned[0]["fanout"])


@kt.test
def a_plan_leaves_facts_that_it_cannot_know_in_braces():
    value = kt.pipeline([{"name": "s", "call": "fs:/echo", "args": "{{self.index}} {{net.lan.address|none}}", "fanout": {"count": 2}}],
                        {"/echo": "build/kernels/echo.elf"}, net={"lan": {"dhcp": True, "need": "optional"}})
    planned = kt.kchain("plan", kt.bake(value), "--json").json()["steps"][0]["fanout"]
    kt.check(planned["args"] == ["0 {{net.lan.address|none}}", "1 {{net.lan.address|none}}"], "planned arguments", planned)


if __name__ == "__main__":
    kt.main()
