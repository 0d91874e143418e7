#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 900
"""Random pipelines, baked and booted: what was planned on the host is what the stage recorded and what echo says it received, and the chain
ends as its steps say. Everything is made from a seed; KCHAIN_SEED=N makes others, KCHAIN_PIPELINES=N more."""
import copy
import hashlib
import json
import os
import random

import kt

SEED = int(os.environ.get("KCHAIN_SEED", "1"))
PIPELINES = int(os.environ.get("KCHAIN_PIPELINES", "50"))
KERNELS = {"/" + name: f"build/kernels/{name}.elf" for name in ("echo", "hello", "result", "fault")}
MACHINES = ("pc", "pc", "q35", "microvm,isa-serial=on")
DISK_BYTES = 8 << 20
# Kernel and arguments; status and exit status of the result. None: the stage's own number.
CALLS = (("hello", "ann", "ok", 0), ("hello", "bob", "ok", 0), ("result", "good", "ok", 0), ("result", "none", "ok", 0),
         ("result", "none 7", "failed", 7), ("result", "good 255", "failed", 255), ("result", "malformed 0", "failed", 0),
         ("fault", "null", "fault", -1), ("fault", "ud2", "fault", -1))


class World:
    """One pipeline with its machine, and what must come of it."""

    def __init__(self, number):
        self.r = random.Random(f"{SEED}/{number}")
        self.machine = self.r.choice(MACHINES)
        pci = not self.machine.startswith("microvm")
        self.net, self.disk = pci and self.r.random() < 0.4, pci and self.r.random() < 0.4
        self.memory, self.cpus = self.r.choice((24, 32, 48, 64, 128, 256)), self.r.choice((1, 1, 2))
        self.data = {f"/data/{n}": self.r.randbytes(self.size()) for n in range(self.r.randrange(5))}
        self.state = {"n": self.r.randrange(-9, 10**6), "text": self.r.choice(("", "a b", "é", "x" * 300)), "yes": self.r.random() < 0.5}
        self.results = {}    # step: (status, exit) of the calls that were made, so far
        self.taken = []      # (step, expected arguments) of every step that is started, in order
        self.skipped, self.turns, self.verdict = [], 0, kt.OK
        self.steps = self.make_steps()

    def size(self):
        return self.r.choice((0, 1, 4095, 4096, 4097, self.r.randrange(300000)))

    # --- arguments, with what they must become ---

    def fact(self, step):
        """A template and its text at this point of the chain."""
        r = self.r
        rows = [("{{state.n}}", str(self.state["n"])), ("{{state.text}}", self.state["text"]), ("{{state.yes}}", str(self.state["yes"]).lower()),
                ("{{state.gone|none such}}", "none such"), ("{{state.gone|}}", ""), ("{{self.step}}", step), ("{{platform.cpus}}", None),
                ("{{platform.door}}", "multiboot1"), ("{{platform.gone|?}}", "?"),
                ("{{net.lan.status}}", "configured" if self.net else "absent"), ("{{net.lan.address|-}}", "10.0.2.15" if self.net else "-"),
                ("{{net.lan.prefix|-}}", "24" if self.net else "-"), ("{{net.lan.gateway|-}}", "-"),
                ("{{block.data.bytes|0}}", str(DISK_BYTES) if self.disk else "0"), ("{{block.data.serial|-}}", "DATA01" if self.disk else "-")]
        for name, (status, code) in self.results.items():
            rows += [(f"{{{{results.{name}.status|-}}}}", status), (f"{{{{results.{name}.exit|-}}}}", str(code))]
        template, text = r.choice(rows)
        return template, str(self.cpus) if text is None else text

    def text(self, step):
        """Words and facts. None among the expected ones stands for nothing."""
        template, expected = "", ""
        for _ in range(self.r.randrange(5)):
            word = self.r.choice(("a", "key=", " ", "--flag", "{x", "}", "|", "é"))
            fact, value = self.fact(step)
            template, expected = template + word + fact, expected + word + value
        return template, expected

    # --- steps ---

    def when(self, step):
        """Whether the step is taken, and why."""
        if self.r.random() < 0.8:
            return True
        wanted = self.r.choice(({"state.n": self.state["n"]}, {"state.n": "no number"}, {"state.yes": True}, {"state.gone": None},
                                {"state.text": self.state["text"], "state.yes": False}))
        step["when"] = wanted
        return all(self.state.get(key.split(".")[1]) == value for key, value in wanted.items())

    def expectation(self, step, kernel, args, status):
        """Adds one to a call; whether it is met."""
        kind = self.r.choice((None, "success", "entered", "right", "wrong"))
        if kind in ("right", "wrong") and kernel == "hello" and status == "ok":
            step["expect"] = {"result": {"greeted": args if kind == "right" else "nobody"}}
            return kind == "right"
        if kind in ("success", "entered"):
            step["expect"] = kind
        return status == "ok" or kind == "entered"

    def call(self, number):
        """A call, and whether the chain goes on behind it."""
        name, r = f"c{number}", self.r
        step = {"name": name}
        if r.random() < 0.25 and not any(s.get("call") == "fs:/echo" for s in self.made):  # its result holds a handoff, so one is enough
            template, args = self.text(name)
            kernel, status, code = "echo", "ok", 0
        else:
            kernel, template, status, code = r.choice(CALLS)
            args = template
        step |= {"call": "fs:/" + kernel, "args": template, "memory": r.choice(("256K", "1M", "2M"))}
        taken = self.when(step)
        met = self.expectation(step, kernel, args, status)
        step["retries"] = r.randrange(3) if r.random() < 0.3 else 0
        on_error = r.choice(("continue", "continue", "halt", "boot"))
        fallback = None
        if on_error == "boot":
            fallback, fallback_args = self.boot(f"rescue{number}", rescues=(name, status, code))
            step["on_error"] = fallback
        else:
            step["on_error"] = on_error
        self.made.append(step)
        if not taken:
            self.skipped.append(name)
            return True
        self.taken.append((name, args))
        # An expectation of "entered" is met by a call that failed, but it is not good: it is tried again all the same.
        good = met and status == "ok"
        self.turns += 1 if good else 1 + step["retries"]
        self.results[name] = (status if met or status != "ok" else "failed", code)
        if met or on_error == "continue":
            return True
        if on_error == "halt":
            self.verdict = kt.CHILD_FAILED
        else:
            self.taken.append((fallback["name"], fallback_args))
        return False

    def boot(self, name, rescues=None):
        """Boots echo with modules. What is booted in place of a failed call knows that it failed."""
        r, before = self.r, dict(self.results)
        if rescues:
            self.results[rescues[0]] = ("failed" if rescues[1] == "ok" else rescues[1], rescues[2])
        template, args = self.text(name)
        step = {"name": name, "boot": "fs:/echo", "args": template, "fs": r.choice(("keep", "free")), "modules": []}
        where = r.choice(("first", "last", "none"))
        if r.random() < 0.7:
            step["handoff"] = {"at": where} | ({"string": "kchain-handoff of " + name} if where != "none" and r.random() < 0.5 else {})
        for path in r.sample(sorted(self.data), r.randrange(len(self.data) + 1)):
            string, expected = self.text(name)
            step["modules"].append({"from": "fs:" + path, "string": string, "x-expected": expected})
        self.results = before
        return step, args

    def make_steps(self):
        self.made = []
        going = True
        for number in range(self.r.randrange(5)):
            steps_before = len(self.made)
            if going:
                going = self.call(number)
            else:  # never reached: whatever it is, it must not matter
                kept = copy.deepcopy((self.results, self.taken, self.skipped, self.turns, self.verdict))
                self.call(number)
                self.results, self.taken, self.skipped, self.turns, self.verdict = kept
            assert len(self.made) == steps_before + 1
        if not self.made or self.r.random() < 0.7:
            step, args = self.boot("last")
            self.made.append(step)
            if going:
                self.taken.append(("last", args))
        return self.made

    # --- running it ---

    def pipeline(self):
        files = dict(KERNELS)
        for path, content in self.data.items():
            host = kt.write_bytes(kt.scratch("data"), content)
            files[path] = host
        value = kt.pipeline(self.steps, files, state=self.state, net={"lan": {"dhcp": {"timeout": "20s"}, "need": "optional"}},
                            block={"data": {"match": {"serial": "DATA01"}, "need": "optional"}})
        for path in self.data:
            if self.r.random() < 0.3:
                value["files"][path] = {"from": value["files"][path], "align": self.r.choice(("4K", "64K")), "reserve": "16K"}
        return value

    def qemu(self):
        return (["-smp", str(self.cpus)] + (kt.USER_NET if self.net else []) +
                (kt.virtio_disk(kt.disk(size_bytes=DISK_BYTES)) if self.disk else []))

    def all_steps(self):
        """Steps and what is booted in their place, by name."""
        return {s["name"]: s for step in self.steps for s in (step, step.get("on_error")) if isinstance(s, dict)}


def masked(image, document):
    """As `kchain plan --masked` has it."""
    done = kt.kchain("plan", "--mask", kt.write_json(kt.scratch("handoff.json"), document), image, "--json")
    kt.check(done.exit == 0, "mask failed", done)
    return done.json()


def plan(world, image, ended):
    """The steps as the host plans them for the machine that was met, and for what the calls left."""
    bootinfo = kt.write_json(kt.scratch("bootinfo.json"), ended.of("bootinfo")[0]["doc"])
    found = {kind: {r["name"]: r["entry"] for r in ended.of(kind)} for kind in ("net", "block")}
    devices, results = kt.write_json(kt.scratch("devices.json"), found), kt.write_json(kt.scratch("results.json"), ended.of("handoff")[-1]["doc"])
    done = kt.kchain("plan", image, "--bootinfo", bootinfo, "--devices", devices, "--results", results, "--masked", "--json")
    kt.check(done.exit == 0, "plan failed", done)
    return {step["name"]: step for step in done.json()["steps"]}


def check_chain(world, ended):
    """The steps that were started, in order, and what the calls came to."""
    kt.expect_end(ended, world.verdict)
    begun = []
    for record in ended.of("step"):
        if record["name"] not in begun[-1:]:  # a turn taken again is told again
            begun.append(record["name"])
    kt.check(begun == [name for name, _ in world.taken], f"steps {begun}", ended)
    kt.check([r["step"] for r in ended.of("skipped")] == world.skipped, "skipped steps", ended)
    kt.check(len(ended.of("result")) == world.turns, f"{world.turns} turns of calls wanted", ended)
    last = {r["step"]: (r["status"], r["exit"]) for r in ended.of("result")}
    kt.check(last == world.results, f"results {last}, wanted {world.results}", ended)


def received(world, ended, name):
    """What echo says that it got in this step; None where the step is another's."""
    step = world.all_steps()[name]
    if "boot" in step:
        return [r["doc"] for r in ended.of("echo") if not r["doc"]["called"]][-1]
    if step["call"] == "fs:/echo":
        return [r["result"] for r in ended.of("result") if r["step"] == name][0]
    return None


def check_handoff(image, planned, ended, name, got):
    """Intended, recorded by the stage, and received, once what no plan can know is masked."""
    recorded = masked(image, [r["doc"] for r in ended.of("handoff") if r.get("step") == name][0])
    if planned:
        kt.check(planned["handoff"] == recorded, f"{name}: planned and recorded handoff differ", json.dumps(planned["handoff"], sort_keys=True),
                 json.dumps(recorded, sort_keys=True))
    if got and got["handoff"] is not None:
        kt.check(masked(image, got["handoff"]) == recorded, f"{name}: recorded and received handoff differ", got["handoff"], recorded)


def check_modules(world, step, got):
    """In their order, with their strings and bytes; the handoff where the step wants it."""
    wanted = [(m["x-expected"], len(world.data[m["from"][3:]]), hashlib.sha256(world.data[m["from"][3:]]).hexdigest()) for m in step["modules"]]
    handoff = step.get("handoff", {})
    at = {"first": 0, "last": len(wanted), "none": None}[handoff.get("at", "last")]
    modules = [(m["string"], m["bytes"], m["sha256"]) for m in got["modules"]]
    if at is not None:
        kt.check(len(modules) > at and modules[at][0] == handoff.get("string", "kchain-handoff"), "the handoff's module", modules)
        del modules[at]
    kt.check(modules == wanted, "modules", modules, wanted)
    kt.check((got["handoff"] is None) == (at is None), "handoff", got["handoff"])


def check_memory(planned, got, ended):
    """Where everything lies. The handoff of a boot may have other numbers in it than the planned one, so its length is its own."""
    plan_of = planned["plan"]
    memory = [(int(e["base"], 16), int(e["end"], 16), e["type"]) for e in got["memory"]]
    wanted = [(int(e["base"], 16), int(e["end"], 16), e["type"]) for e in plan_of["memory"]]
    kt.check(memory == wanted, "memory map", memory, wanted)
    places = {(c["owner"], int(c["base"], 16)): int(c["end"], 16) for c in plan_of["claims"]}
    handoff_bytes = 0
    for module in got["modules"]:
        base, is_handoff = int(module["base"], 16), module["string"].startswith("kchain-handoff")
        end = places.get(("handoff" if is_handoff else "module", base))
        kt.check(not module["bytes"] or end is not None, f"a module at {module['base']} is not where it was planned", places)
        kt.check(not module["bytes"] or is_handoff or end - base == module["bytes"], "a module's length", module)
        handoff_bytes += module["bytes"] - (end - base) if is_handoff else 0
    copied = ended.of("boot")[-1]["bytes_copied"]
    kt.check(copied - handoff_bytes == plan_of["totals"]["copied"], f"{copied} bytes copied, the handoff being {handoff_bytes} longer", plan_of)


def one(number):
    world = World(number)
    value = world.pipeline()
    image = kt.bake(value)
    ended = kt.boot(image, world.machine, f"{world.memory}M", world.qemu())
    try:
        check_chain(world, ended)
        planned = plan(world, image, ended)
        for name, args in world.taken:
            got, step = received(world, ended, name), planned.get(name)  # what is booted in place of a failed step is not planned
            kt.check(step is None or step["args"] == args, f"{name}: planned arguments {step and step['args']!r}, wanted {args!r}")
            kt.check(got is None or got["args"] == args, f"{name}: received arguments {got and got['args']!r}, wanted {args!r}")
            check_handoff(image, step, ended, name, got)
            if "boot" in world.all_steps()[name]:
                check_modules(world, world.all_steps()[name], got)
                if step:
                    check_memory(step, got, ended)
    except AssertionError as wrong:
        raise AssertionError(f"pipeline {number} of seed {SEED}, {world.machine} {world.memory}M: {wrong}\n{json.dumps(value)}") from None


def two(numbers):
    return lambda: kt.in_parallel(one, numbers)


for first in range(0, PIPELINES, 2):
    kt.add_test(f"random pipelines {first} and {first + 1}", two((first, first + 1)))

kt.main()
