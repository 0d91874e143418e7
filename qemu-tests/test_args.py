#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Arguments arrive as the pipeline has them: quotes, backslashes, facts that have some themselves, a first word for kernels that drop it."""
import kt

FILES = {"/echo": "build/kernels/echo.elf", "/acts": "build/kernels/acts.elf"}
LINES = (
    ("", []), ("  ", []), ("a b", ["a", "b"]), ('"a b" c', ["a b", "c"]), ('""', [""]), (r"\"", ['"']), (r"\\", ["\\"]),
    (r'say "\"hi there\"" twice', ["say", '"hi there"', "twice"]), (r"C:\dir\file \x", [r"C:\dir\file", r"\x"]), (r"'a b'", ["'a", "b'"]),
    (r'--json={\"a\":\"b\\\\c\"}', ['--json={"a":"b\\\\c"}']), ("é \"ü ö\" €", ["é", "ü ö", "€"]), ('x="" y', ["x=", "y"]), ("end\\", ["end\\"]),
)
VALUES = ("plain", 'a "b" c', '"', "\\", 'ends in \\', '\\"', '" \\" "', "'", "", "  two  blanks ")


def check_echo(label, echo, line, words):
    kt.check(echo["args"] == line, f"{label}: kchain_args {echo['args']!r}, wanted {line!r}")
    kt.check(echo["argv"][1:] == words, f"{label}: argv {echo['argv']!r}, wanted {words!r}")


def call_all(cases, state=None, qemu=(), **more):
    """Few calls an image: each echoes the handoff, which has the results of those before it."""
    def some(chosen):
        steps = [{"name": f"s{i}", "call": "fs:/echo", "args": args, **more} for i, args in enumerate(chosen)]
        results = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES, state=state or {})), qemu=qemu)).of("handoff")[-1]["doc"]["results"]
        return [results[f"s{i}"]["result"] for i in range(len(chosen))]
    return sum(kt.in_parallel(some, [cases[i:i + 3] for i in range(0, len(cases), 3)]), [])


def every_way_of_quoting(**how):
    def run():
        for (line, words), echo in zip(LINES, call_all([line for line, _ in LINES], **how)):
            check_echo(line, echo, line, words)
    return run


kt.add_test("every way of quoting, called", every_way_of_quoting())
kt.add_test("every way of quoting, isolated", every_way_of_quoting(qemu=["-cpu", "max"], isolation="svm", memory="8M"))


@kt.test
def every_way_of_quoting_booted():
    def one(case):
        line, words = case
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([{"name": "s", "boot": "fs:/echo", "args": line}], FILES))))
        check_echo(line, ended.of("echo")[-1]["doc"], line, words)
    kt.in_parallel(one, [LINES[i] for i in (0, 3, 7, 10)])


def escaped(value):
    return value.replace("\\", "\\\\").replace('"', '\\"')


@kt.test
def values_stand_for_themselves():
    """In the arguments of one call, and of each kernel of a fan-out."""
    wanted = [(f'"{escaped(value)}" "<{escaped(value)}>" end', [value, f"<{value}>", "end"]) for value in VALUES]
    single = call_all([f'"{{{{state.v{i}}}}}" "<{{{{state.v{i}}}}}>" end' for i in range(len(VALUES))], {f"v{i}": value for i, value in enumerate(VALUES)})
    fan = {"name": "fan", "call": "fs:/echo", "args": '"{{self.input|}}" "<{{self.input|}}>" end', "fanout": {"list": list(VALUES)}}
    many = kt.expect_end(kt.boot(kt.bake(kt.pipeline([fan], FILES)))).of("handoff")[-1]["doc"]["results"]["fan"]["result"]
    for i, value in enumerate(VALUES):
        check_echo(f"{value!r}, call", single[i], *wanted[i])
        check_echo(f"{value!r}, fan-out", many[i], *wanted[i])


@kt.test
def a_kernel_that_is_not_native_gets_the_line_as_it_stands():
    lines = (('hex {{state.v}} "x', {"v": 'a"b\\'}, 'hex a"b\\ "x', {}), ("y", {}, "xen y", {"argv0": "xen"}), ("", {}, "hex", {"argv0": "hex"}),
             ("{{state.v|}}", {"v": "z"}, "kernel-1.2/x z", {"argv0": "kernel-1.2/x"}))
    for args, state, wanted, more in lines:
        steps = [{"name": "s", "call": "fs:/acts", "isolation": "svm", "memory": "4M", "args": args, "on_error": "continue", **more}]
        image = kt.bake(kt.pipeline(steps, FILES, state=state))
        plan = kt.kchain("plan", "--json", image).json()["steps"][0]
        kt.check(plan["args"] == wanted, f"{args}: {plan['args']!r}, wanted {wanted!r}")


@kt.test
def a_first_word_reaches_a_kernel_that_was_called_and_one_that_was_booted():
    steps = [{"name": name, "call": "fs:/acts", "memory": "4M", "timeout": "20s", "argv0": "leave", "args": "3", "on_error": "continue", **more}
             for name, more in (("svm", {"isolation": "svm"}), ("fixed", {}))]
    results = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=["-cpu", "max", "-smp", "2"])).of("handoff")[-1]["doc"]["results"]
    for name in ("svm", "fixed"):
        kt.check(results[name]["exit"] == 3 and results[name]["result"] == {"status": 3}, f"{name}: {results[name]}")
    ended = kt.boot(kt.bake(kt.pipeline([{"name": "s", "boot": "fs:/acts", "argv0": "modules"}], FILES)))
    kt.check(ended.of("exit")[-1]["result"]["known"], "booted", ended)


@kt.test
def what_no_native_kernel_can_take_is_refused():
    words = " ".join(["w"] * 257)
    for step, where, message in (
            ({"call": "fs:/echo", "args": 'a "b'}, "steps[0].args", "a quote in its arguments is not closed"),
            ({"boot": "fs:/echo", "args": 'a "b\\"'}, "steps[0].args", "a quote in its arguments is not closed"),
            ({"call": "fs:/echo", "args": 'a "b', "isolation": "svm", "memory": "8M"}, "steps[0].args", "a quote in its arguments is not closed"),
            ({"call": "fs:/echo", "args": '{{state.x|"}} "'}, "steps[0].args", "a quote in its arguments is not closed"),
            ({"call": "fs:/echo", "args": "{{state.x|a\\}}"}, "steps[0].args", "a quote in its arguments is not closed"),
            ({"call": "fs:/echo", "args": "\\{{state.x|}}"}, "steps[0].args", "a quote in its arguments is not closed"),
            ({"call": "fs:/echo", "args": words}, "steps[0].args", "257 arguments; a native kernel takes 256"),
            ({"call": "fs:/echo", "argv0": "echo"}, "steps[0].call", '"argv0" means nothing to a native kernel'),
            ({"boot": "fs:/acts", "on_error": {"boot": "fs:/echo", "args": '"'}}, "steps[0].on_error.args", "a quote in its arguments is not closed")):
        path = kt.write_json(kt.scratch("p.json"), kt.pipeline([{"name": "s", **step}], FILES))
        done = kt.kchain("bake", path, "-o", kt.scratch("image.elf"))
        kt.check(done.exit == 3 and f": {where}: " in done.err and message in done.err, f"{step}: not refused", done)
    for args in (words[:-2], '{{state.x|"a b"}} "c {{state.x|}}"', "a\\\\{{state.x|}}", r"\" {{state.x|\"}}"):
        kt.bake(kt.pipeline([{"name": "s", "call": "fs:/echo", "args": args}], FILES))


kt.main()
