#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""`kchain sweep` on this machine: what instances get, what is kept of them, and what ends badly. Most instances are no machines:
fake_qemu.py stands in for QEMU and does what the input says."""
import contextlib
import csv
import glob
import json
import os
import resource
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

import kt

FAKE = os.path.abspath("qemu-tests/fake_qemu.py")
IMAGE = None
GOLDEN, MASK = 0x9e3779b97f4a7c15, (1 << 64) - 1


def image():
    global IMAGE
    if not IMAGE:
        step = {"name": "map", "call": "fs:/k", "fanout": {"list": "{{state.inputs}}"}, "on_error": "continue"}
        IMAGE = kt.bake(kt.pipeline([step], {"/k": "build/kernels/echo.elf"}))
    return IMAGE


def inputs(values):
    with open(path := kt.scratch("inputs.jsonl"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(value) + "\n" for value in values)
    return path


def argv(path, *args):
    own = [a for a in args if str(a).endswith(".elf")]
    return [kt.KCHAIN, "sweep", *(own or [image()]), "-o", path, *(str(a) for a in args if a not in own)]


def environment(qemu=FAKE, **more):
    return {**os.environ, "KCHAIN_QEMU": qemu, **more}


def sweep(*args, path=None, env=None, hang_after_s=120):
    path = path or kt.scratch("results.jsonl")
    return path, kt.command(argv(path, "--accel", "tcg", *args), hang_after_s=hang_after_s, env=env or environment())


def read(path):
    with open(path, encoding="utf-8") as f:
        header, *lines = map(json.loads, f)
    return header, lines


def expect(done, code):
    kt.check(done.exit == code, f"exit status {done.exit}, wanted {code}", done)
    return done


def by_index(path, count):
    """Each instance's line: each index once."""
    lines = read(path)[1]
    kt.check(sorted(line["index"] for line in lines) == list(range(count)), "each index once", sorted(line["index"] for line in lines))
    return {line["index"]: line for line in lines}


def only(values, *args, code=1, **more):
    path, done = sweep("--inputs", inputs(values), *args, **more)
    expect(done, code)
    return by_index(path, len(values))


def processes_with(word):
    found = []
    for folder in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError), open(folder + "/cmdline", "rb") as f:
            found += [folder] if word.encode() in f.read() else []
    return found


@contextlib.contextmanager
def private_qemu():
    """A QEMU of another name, so that those that are left over can be told; none may be."""
    path = kt.scratch("qemu-of-this-test")
    os.symlink(FAKE, path)
    yield path
    for _ in range(100):
        left = processes_with(path)
        if not left:
            return
        time.sleep(0.1)
    kt.check(False, "QEMU is left behind", left)


# --- what there is, and what comes out -----------------------------------------------------------------------------

@kt.test
def machines_get_their_inputs_and_give_results():
    step = {"name": "work", "call": "fs:/k", "args": "{{state.input.x|}} {{state.index|}} {{state.repeat|}} {{state.seed|}}"}
    elf = kt.bake(kt.pipeline([step], {"/k": "build/kernels/echo.elf"}))
    path, done = sweep(elf, "--inputs", inputs([{"x": "a"}, {"x": "b"}]), "--repeat", 2, "--seed", 7, env=dict(os.environ))
    expect(done, 0)
    lines = by_index(path, 4)
    args = [lines[i]["result"]["argv"][1:] for i in range(4)]
    kt.check([a[:3] for a in args] == [["a", "0", "0"], ["a", "1", "1"], ["b", "2", "0"], ["b", "3", "1"]], "what they got", args)
    kt.check(len({a[3] for a in args}) == 4 and all(int(a[3]) < 1 << 53 for a in args), "a seed each", args)
    header = read(path)[0]
    kt.check(header["count"] == 4 and header["repeat"] == 2 and header["accel"] == "tcg" and header["qemu"][0].isdigit(), "header", header)
    kt.check("4 instances: 4 ok" in done.out and not kt.FAILURE.search(done.out + done.err), "summary", done)
    again, done = sweep(elf, "--inputs", inputs([{"x": "a"}, {"x": "b"}]), "--repeat", 2, "--seed", 7, env=dict(os.environ))
    kt.check([by_index(again, 4)[i]["result"]["argv"] for i in range(4)] == [["kernel", *a] for a in args], "the same again")


def mixed(z):
    """SplitMix64's output for a state."""
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ z >> 27) * 0x94d049bb133111eb & MASK
    return z ^ z >> 31


def inside(seed, piece, points):
    """What kernels/pi.c counts."""
    state, found = seed + piece * 0xd1342543de82ef95, 0
    for _ in range(points):
        state = state + GOLDEN & MASK
        point = mixed(state)
        found += (point >> 32) ** 2 + (point & 0xffffffff) ** 2 <= MASK
    return found


@kt.test
def pi_of_two_hundred_machines_is_the_hosts_own():
    """The worked example of configs/: many machines, a fan-out in each, one answer."""
    points = 250
    path, done = sweep(kt.config_image("18-pi"), "--inputs", inputs([points]), "--repeat", 200, "--seed", 7, env=dict(os.environ), hang_after_s=250)
    expect(done, 0)
    lines = by_index(path, 200)
    seeds = [mixed(7 + (i + 1) * GOLDEN & MASK) >> 11 for i in range(200)]
    own = [sum(inside(seed, piece, points) for piece in range(8)) for seed in seeds]
    kt.check([lines[i]["result"] for i in range(200)] == [{"inside": n, "points": 8 * points} for n in own], "each machine's count")
    found = 4 * sum(line["result"]["inside"] for line in lines.values()) / sum(line["result"]["points"] for line in lines.values())
    kt.check(abs(found - 3.14159) < 0.01, "about pi", found)


@kt.test
def a_block_goes_through_one_machine():
    step = {"name": "map", "call": "fs:/k", "args": "{{self.input.input|}} {{self.input.seed|}}", "fanout": {"list": "{{state.inputs}}"}}
    elf = kt.bake(kt.pipeline([step], {"/k": "build/kernels/echo.elf"}))
    path, done = sweep(elf, "--inputs", inputs(range(10)), "--per-instance", 4, env=dict(os.environ))
    expect(done, 0)
    lines = by_index(path, 10)
    words = [lines[i]["result"]["argv"][1:] for i in range(10)]
    kt.check([w[0] for w in words] == [str(i) for i in range(10)] and len({w[1] for w in words}) == 10, "each its own", words)
    kt.check([lines[i].get("block", 1) for i in range(10)] == [4] * 8 + [2] * 2, "blocks", lines)


def booted_with(elf, records, state):
    handoff = {"kchain_handoff": 1, "boot_id": "00" * 16, "self": {}, "links": [], "clock": {}, "state": state, **records}
    return kt.expect_end(kt.boot(elf, qemu=["-initrd", kt.write_json(kt.scratch("kchain-handoff"), handoff)]))


@kt.test
def few_records_say_as_much_of_the_end():
    """A chain of three links, of calls and boots, and a fan-out: as sweeps ask for them, and as others get them."""
    step = {"name": "map", "call": "fs:/k", "args": "{{self.input|}}", "fanout": {"list": "{{state.inputs}}"}}
    fanout = kt.bake(kt.pipeline([step], {"/k": "build/kernels/echo.elf"}))
    for elf, state in ((kt.config_image("11-count"), {"limit": 3}), (fanout, {"inputs": ["a", "b", "c"]})):
        full, few = booted_with(elf, {}, state), booted_with(elf, {"records": "few"}, state)
        others = booted_with(elf, {"records": "all"}, state)
        # progress comes by the clock
        named = [[r["event"] for r in ended.records if r["event"] != "progress"] for ended in (full, few, others)]
        left_out = [r for r in full.records if r["event"] in ("bootinfo", "kernels")
                    or r["event"] == "handoff" and any(s["name"] == r.get("step") and s["kind"] == "call" for s in full.of("step"))]
        kept = [r["event"] for r in full.records if r["event"] != "progress" and not any(r is other for other in left_out)]
        kt.check(named[1] == kept and len(left_out) >= 3, "which records there are", *named)
        kt.check(named[2] == named[0] and set(full.of("handoff")[-1]["doc"]) > {"results", "state"}, "\"all\" asks for none less", named[2])
        docs = [ended.of("handoff")[-1]["doc"] for ended in (full, few)]
        for result in (result for doc in docs for result in doc["results"].get("map", {}).get("result", ())):
            del result["handoff"]  # echo's, which differs by what was asked for
        kt.check(docs[1] == {"results": docs[0]["results"]} and docs[1]["results"], "the last handoff's results", docs)


@kt.test
def the_summary_is_also_json():
    path, done = sweep("--inputs", inputs([{"do": "answer"}, {"do": "fail", "reason": "x is 17"}, {"do": "fail", "reason": "x is 18"}]), "--json")
    expect(done, 1)
    doc = done.json()
    kt.check(doc["counts"] == {"ok": 1, "failed": 2, "timeout": 0, "lost": 0} and doc["results"] == 3, "counts", doc)
    kt.check([(g["count"], g["indices"]) for g in doc["failures"]] == [(2, [1, 2])], "one reason", doc["failures"])
    kt.check(doc["header"] == read(path)[0] and set(doc["phases"]) == {"start", "run", "stop", "all"}, "header, phases", doc)
    kt.check(kt.kchain("report", path, "--json").json() == doc, "kchain report says it again")


@kt.test
def a_report_draws_and_lists_them():
    path, done = sweep("--inputs", inputs([{"do": "answer", "value": 'a "b"'}, {"do": "fail", "reason": "x, <y> & \"z\""}, {"do": "answer"}]))
    expect(done, 1)
    svg, table = kt.scratch("a.svg"), kt.scratch("a.csv")
    done = expect(kt.kchain("report", path, "--svg", svg, "--csv", table), 0)
    kt.check("3 instances: 2 ok, 1 failed" in done.out and "of 1" in done.out, "text", done)
    names = [e.tag.split("}")[1] for e in xml.etree.ElementTree.parse(svg).iter()]
    kt.check(names[0] == "svg" and names.count("path") > 3 and names.count("rect") > 4, "picture", names)
    with open(table, encoding="utf-8", newline="") as f:
        rows = {row["index"]: row for row in csv.DictReader(f)}
    kt.check(json.loads(rows["0"]["result"])["value"] == 'a "b"' and rows["1"]["status"] == "failed" and 'x, <y> & "z"' in rows["1"]["reason"], "csv", rows)
    run = kt.write_json(kt.scratch("run.json"), {"links": [], "steps": []})
    expect(kt.kchain("report", run, "--csv", table), 2)
    expect(kt.kchain("report", path, "--svg", path), 3)  # over its input


@kt.test
def retries_are_counted():
    flag = kt.scratch("flag")
    lines = only([{"do": "answer"}, {"do": "first_time_only", "path": flag, "then": "answer"}, {"do": "fail"}], "--retries", 2)
    kt.check([lines[i]["tries"] for i in range(3)] == [1, 2, 3], "tries", lines)
    kt.check([lines[i]["status"] for i in range(3)] == ["ok", "ok", "failed"], "ends", lines)


# --- what is refused before anything starts ------------------------------------------------------------------------

def refused(code, slug, *args, **more):
    path, done = sweep(*args, "--json", **more)
    expect(done, code)
    kt.check(done.json()["error"]["slug"] == slug, f"wanted {slug}", done)
    return path, done


@kt.test
def a_malformed_line_is_named():
    for text, line in (("1\n2\nx\n", 3), ("1\n\n2\n", 2), ("{\"a\":1,\"a\":2}\n", 1), ("1\n\xff\n", 2), ("[" * 60 + "]" * 60 + "\n", 1), ("1 2\n", 1),
                       ("1\n\"" + "x" * (1 << 20) + "\"\n", 2)):
        path = kt.write_bytes(kt.scratch("inputs"), text.encode("latin-1"))
        results, done = refused(3, "sweep-input", "--inputs", path)
        kt.check(f"line {line}:" in done.err and not os.path.exists(results), f"line {line}", done)
    refused(3, "sweep-no-inputs", "--inputs", kt.write_bytes(kt.scratch("inputs"), b""))


@kt.test
def blocks_need_a_fan_out_and_room():
    elf = kt.bake(kt.pipeline([{"name": "work", "call": "fs:/k"}], {"/k": "build/kernels/echo.elf"}))
    refused(3, "sweep-no-fanout", elf, "--count", 4, "--per-instance", 2)
    refused(3, "sweep-block", "--inputs", inputs(["x" * 500000] * 3), "--per-instance", 3)


@kt.test
def qemu_that_is_not_there_or_does_not_work_is_reported():
    refused(3, "cmd-no-qemu", "--count", 1, env=environment("/nonexistent/qemu"))
    refused(3, "cmd-qemu-failed", "--count", 1, env=environment("/bin/true"))
    path, done = refused(3, "sweep-engine", "--count", 1000, env=environment(FAKE_DO='{"do":"refuse"}'))
    kt.check("unsupported machine type" in done.err and read(path)[1] == [], "ends at once", done)
    expect(sweep("--count", "5", "--resume", path=path)[1], 3)  # another count
    path, done = refused(3, "sweep-engine", "--count", 4, env=environment(FAKE_DO='{"do":"refuse"}'))
    expect(sweep("--count", 4, "--resume", path=path)[1], 0)
    by_index(path, 4)


@kt.test
def numbers_that_cannot_be_are_named():
    for args, words in ((["-n", 0], "--count: 0 is not from 1 to 1000000000"), (["-n", 1000000001], "--count: 1000000001 is not"),
                        (["-n", 1, "--repeat", 0], "--repeat: 0 is not from 1"), (["-n", 1, "-j", 5000], "--jobs: 5000 is not from 1 to 4096"),
                        ([], "one of --inputs FILE and --count N"), (["-n", 1, "-i", "x"], "one of --inputs FILE and --count N")):
        _, done = sweep(*args)
        kt.check(done.exit == 2 and words in done.err, words, done)


@kt.test
def a_file_that_is_there_is_kept():
    path, done = sweep("--count", 2)
    expect(done, 0)
    before = kt.read_bytes(path)
    refused(3, "sweep-exists", "--count", 2, path=path)
    for more, word in ((["--count", 3], "count is 3, was 2"), (["--count", 2, "--seed", 1], "seed is 1, was 0"),
                       (["--count", 2, "--memory", "64M"], "memory is 67108864"), (["--count", 1, "--repeat", 2], "repeat is 2, was 1")):
        _, done = refused(3, "sweep-differs", *more, "--resume", path=path)
        kt.check(word in done.err, word, done)
    kt.check(kt.read_bytes(path) == before, "the file")
    expect(sweep("--count", 2, "--resume", path=path)[1], 0)
    kt.check(kt.read_bytes(path) == before, "nothing is run twice")


@kt.test
def two_sweeps_into_one_file_are_refused():
    path = kt.scratch("results.jsonl")
    slow = environment(FAKE_DO='{"do":"answer","sleep":0.3}')
    with subprocess.Popen(argv(path, "--count", 8), env=slow, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=kt.end_with_test) as first:
        while not os.path.exists(path) or not kt.read_bytes(path):
            time.sleep(0.01)
        refused(3, "sweep-busy", "--count", 8, "--resume", path=path)
        kt.check(first.wait(60) == 0, "the first one")
    by_index(path, 8)


# --- what goes wrong on the way ------------------------------------------------------------------------------------

@kt.test
def a_machine_that_ends_badly_says_how():
    lines = only([{"do": "answer"}, {"do": "die", "number": 9}, {"do": "die", "number": 11}, {"do": "refuse", "words": "fake: out of memory"}, {"do": "garbage"},
                  {"do": "forge"}, {"do": "fail", "reason": "no\u00ef\u001b"}], "--jobs", 1)
    found = [(lines[i]["status"], lines[i].get("reason", "")) for i in range(7)]
    kt.check([f[0] for f in found] == ["ok", "lost", "lost", "lost", "failed", "failed", "failed"], "ends", found)
    for i, words in ((1, "signal 9"), (2, "signal 11"), (3, "out of memory"), (5, "in the middle of work"), (6, "work: no")):
        kt.check(words in found[i][1], words, found[i])
    kt.check(lines[1]["console"] == ["one", "two \ufffd", "\x1b[31mthree"], "last lines", lines[1])
    kt.check(lines[5].get("result") is None and any("forged" in line for line in lines[5]["console"]), "a forged line is text", lines[5])


@kt.test
def a_machine_that_hangs_or_is_stopped_times_out():
    lines = only([{"do": "silent"}, {"do": "die", "number": int(signal.SIGSTOP)}, {"do": "answer"}], "--timeout", "2s", "--jobs", 3)
    kt.check([lines[i]["status"] for i in range(3)] == ["timeout", "timeout", "ok"], "ends", lines)
    kt.check("within 2s" in lines[0]["reason"] and "within 2s" in lines[1]["reason"], "reasons", lines)


@kt.test
def gigabytes_are_heard_in_bounded_memory():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    lines = only([{"do": "flood", "mib": 300}, {"do": "answer"}], code=0)
    kt.check(lines[0]["result"] == "flooded", "its result", lines[0])
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    kt.check(after < max(before, 64 << 10), "KiB", before, after)


@kt.test
def a_block_with_failures_lists_each():
    path, done = sweep("--inputs", inputs(range(6)), "--per-instance", 3, env=environment(FAKE_BLOCK='{"fail_at":[1]}'))
    expect(done, 1)
    lines = by_index(path, 6)
    kt.check([lines[i]["status"] for i in range(6)] == ["ok", "failed", "ok"] * 2 and lines[1]["reason"] == "divide", "ends", lines)
    kt.check(lines[5]["result"] == {"square": 25} and "result" not in lines[4], "results", lines)
    path, done = sweep("--inputs", inputs(range(6)), "--per-instance", 3, env=environment(FAKE_BLOCK='{"lacks":true}'))
    expect(done, 1)
    kt.check({line["status"] for line in by_index(path, 6).values()} == {"failed"}, "a list that lacks some")


def preload(name, source):
    """A library that stands before the system's functions."""
    library = kt.scratch(name + ".so")
    done = kt.command(["gcc", "-shared", "-fPIC", "-o", library, kt.write_bytes(kt.scratch(name + ".c"), source)])
    kt.check(done.exit == 0, "gcc", done)
    return library


@kt.test
def a_full_disk_ends_it_with_whole_lines():
    library = preload("full", b"""#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
ssize_t pwrite(int fd, const void *from, size_t count, off_t at)
{
	char link[40], name[4096] = "";
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, name, sizeof(name) - 1) > 0 && strstr(name, "results.jsonl") && at + count > 4000) {
		errno = ENOSPC;
		if (at >= 4000)
			return -1;
		count = 4000 - at;
	}
	return syscall(SYS_pwrite64, fd, from, count, at);
}
""")
    path, done = sweep("--count", 60, env=environment(LD_PRELOAD=library))
    expect(done, 3)
    kt.check("No space left" in done.err, "why", done)
    lines = read(path)[1]
    kt.check(0 < len(lines) < 60 and kt.read_bytes(path).endswith(b"\n"), "whole lines", len(lines))
    expect(sweep("--count", 60, "--resume", path=path)[1], 0)
    by_index(path, 60)


@kt.test
def a_clock_that_jumps_does_not_matter():
    library = preload("jump", b"""#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long n;
int clock_gettime(clockid_t id, struct timespec *at) { int r = syscall(SYS_clock_gettime, id, at); if (id == CLOCK_REALTIME) at->tv_sec += ++n % 2 ? 90000 : -90000; return r; }
time_t time(time_t *at) { time_t t = 90000 * (++n % 3); if (at) *at = t; return t; }
""")
    path, done = sweep("--count", 6, "--timeout", "20s", env=environment(LD_PRELOAD=library))
    expect(done, 0)
    kt.check(all(line["at_us"] < 60e6 and line["us"]["start"] < 60e6 for line in by_index(path, 6).values()), "times")


# --- ended, and gone on with ---------------------------------------------------------------------------------------

def started(path, count, qemu, *args, sleep=0.05):
    env = environment(qemu, FAKE_DO=json.dumps({"do": "answer", "sleep": sleep}))
    return subprocess.Popen(argv(path, "--count", count, *args), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=kt.end_with_test)


def lines_of(path):
    return kt.read_bytes(path).count(b"\n") if os.path.exists(path) else 0


def wait_for(path, count, process):
    while lines_of(path) < count and process.poll() is None:
        time.sleep(0.005)


@kt.test
def killed_at_any_moment_it_loses_nothing():
    with private_qemu() as qemu:
        for point in (0, 1, 2, 14, 25):
            path = kt.scratch("results.jsonl")
            with started(path, 30, qemu) as process:
                wait_for(path, point, process)
                process.kill()
            before = kt.read_bytes(path) if os.path.exists(path) else b""
            kept = before[:before.rfind(b"\n") + 1]
            expect(sweep("--count", 30, "--resume", path=path, env=environment(qemu))[1], 0)
            kt.check(kt.read_bytes(path).startswith(kept), "what was there stays", point)
            by_index(path, 30)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


@kt.test
def machines_are_forked_and_go_on_without_the_server():
    """QEMU is loaded once; where what was loaded is killed, its machines are lost, tried again, and loaded each."""
    with private_qemu() as qemu:
        path = kt.scratch("results.jsonl")
        with started(path, 12, qemu, "--retries", 1, "--jobs", 2, sleep=0.5) as process:
            wait_for(path, 3, process)
            while process.poll() is None and not (server := [pid for pid in children_of(process.pid) if children_of(pid)]):
                time.sleep(0.01)
            kt.check(len(children_of(process.pid)) == 1 and len(children_of(server[0])) <= 2, "our child is one, and the machines are its children", server)
            os.kill(server[0], signal.SIGKILL)
            kt.check(process.wait(60) == 0, "the rest", process.communicate())
        tries = [line["tries"] for line in by_index(path, 12).values()]
        kt.check(set(tries) == {1, 2} and tries.count(2) <= 2, "those that ran then ran again", tries)


@kt.test
def each_is_loaded_where_it_is_asked_for_or_cannot_be_forked():
    path, done = sweep("--count", 4, "--load-each", "--jobs", 2, env=dict(os.environ))
    expect(done, 0)
    by_index(path, 4)
    program = kt.scratch("static-qemu")
    source = kt.write_bytes(program + ".c", b"""#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	static const char SAID[] = "{\\"event\\":\\"entered\\",\\"link\\":0,\\"name\\":\\"q\\",\\"door\\":\\"pvh\\"}\\n{\\"event\\":\\"end\\",\\"status\\":\\"ok\\"}\\n";
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return puts("QEMU emulator version 7 (static)") < 0;
	return write(4, SAID, sizeof(SAID) - 1) > 0 ? 33 : 1;
}
""")
    expect(kt.command(["gcc", "-static", "-o", program, source]), 0)
    path, done = sweep("--count", 4, env=environment(program))
    expect(done, 0)
    by_index(path, 4)


@kt.test
def ctrl_c_stops_cleanly():
    with private_qemu() as qemu:
        path = kt.scratch("results.jsonl")
        with started(path, 1000, qemu) as process:
            wait_for(path, 4, process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        kt.check(process.returncode == 130 and "without a result" in out, "how it ended", process.returncode, out, err)
        kt.check(len(read(path)[1]) >= 3 and kt.read_bytes(path).endswith(b"\n"), "whole lines")


@kt.test
def a_line_that_is_cut_is_dropped_and_a_bad_one_refused():
    path, done = sweep("--count", 6)
    expect(done, 0)
    whole = kt.read_bytes(path)
    lines = whole.splitlines(keepends=True)
    for cut in (1, 20, len(lines[-1]) - 1, len(lines[-1]) + 3, len(whole) - len(lines[0]), len(whole) - 5, len(whole)):
        kt.write_bytes(path, whole[:len(whole) - cut])
        expect(sweep("--count", 6, "--resume", path=path)[1], 0)
        by_index(path, 6)
    for bad, slug, line in ((b"{}\n", "sweep-line", 8), (lines[3], "sweep-twice", 8), (b"nonsense\n", "sweep-line", 8)):
        kt.write_bytes(path, whole + bad)
        _, done = refused(3, slug, "--count", 6, "--resume", path=path)
        kt.check(f"line {line}:" in done.err and kt.read_bytes(path) == whole + bad, "is left as it is", done)
    kt.write_bytes(path, b"{}\n")
    refused(3, "sweep-header", "--count", 6, "--resume", path=path)


@kt.test
def memory_is_the_same_for_ten_and_for_thousands():
    quick = kt.scratch("quick")
    # As little of a machine as can be: a shell that says the least.
    kt.write_bytes(quick, b"""#!/bin/sh
case $1 in --version) echo "QEMU emulator version 7 (quick)"; exit;; esac
printf '{"event":"entered","link":0,"name":"q","door":"pvh"}\\n{"event":"end","status":"ok"}\\n' >&4
exit 33
""")
    os.chmod(quick, 0o755)
    most = []
    for count in (10, 3000):
        measure = [sys.executable, "-c", "import resource,subprocess,sys; c=subprocess.run(sys.argv[1:],stdout=2).returncode; "
                   "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(c)"]
        path = kt.scratch("results.jsonl")
        done = expect(kt.command([*measure, *argv(path, "--count", count)], env=environment(quick), hang_after_s=200), 0)
        by_index(path, count)
        most.append(int(done.out))
    kt.check(most[1] - most[0] < 512, "KiB more for 300 times as many", most)


kt.main()
