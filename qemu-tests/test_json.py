#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""One grammar: what is JSON and what is not, by Python's reader as a second opinion, and whatever a kernel leaves in place of a result is that
kernel's failure and nobody else's."""
import json
import math
import random
import re
import subprocess

import kt

PROGRAM = "build/host/chain/tests/json_texts"
LEVELS = 44  # CHAIN_RESULT_DEPTH_MAX
SEED, TEXTS = 20, 20000


def pairs(members):
    """An object, none of whose keys is there twice or holds NUL."""
    found = dict(members)
    if len(found) != len(members) or any("\0" in key for key in found):
        raise ValueError("keys")
    return found


def whole(text):
    number = int(text)
    if not -2**63 <= number < 2**63:
        raise ValueError("integer")
    return number


def real(text):
    number = float(text)
    if math.isinf(number):
        raise ValueError("real")
    return number


def no_constant(text):
    raise ValueError(text)


def check_value(value, levels):
    """Strings are characters, none of them NUL; no more levels than there may be."""
    if isinstance(value, str):
        value.encode("utf-8")
        if "\0" in value:
            raise ValueError("NUL")
    elif isinstance(value, (list, dict)):
        if not levels:
            raise ValueError("deep")
        for item in [*value, *(value.values() if isinstance(value, dict) else ())]:
            check_value(item, levels - 1)


def by_python(text):
    """The value, or None with False where it is none."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_int=whole, parse_float=real, parse_constant=no_constant)
        check_value(value, LEVELS)
    except (ValueError, RecursionError):
        return None, False
    return value, True


def by_us(texts):
    """The lines that the program says."""
    lines = b"".join(b"%d\n%s" % (len(text), text) for text in texts)
    done = subprocess.run([PROGRAM], input=lines, capture_output=True, timeout=300, check=False)
    kt.check(done.returncode == 0, "the program failed", done.stderr.decode())
    lines = done.stdout.split(b"\n")[:-1]
    kt.check(len(lines) == len(texts), f"{len(lines)} answers to {len(texts)} texts")
    return lines


def exactly(value):
    """As text that tells 1 from 1.0 and true."""
    return json.dumps(value, sort_keys=True)


def compare(texts):
    good = 0
    for text, line in zip(texts, by_us(texts)):
        value, is_json = by_python(text)
        word, rest = line.split(b" ", 1)
        kt.check((word == b"ok") == is_json, f"{text!r}: {line!r}, Python says {is_json}")
        if is_json:
            kt.check(exactly(json.loads(rest)) == exactly(value), f"{text!r} is read as {rest!r}")
        else:
            kt.check(word == b"json-depth" or re.match(rb"json-syntax text: line [1-9]\d*, column \d+: .", line), f"{text!r}: {line!r}")
        good += is_json
    return good


ODD = [b"", b" ", b"0", b"-0", b"01", b"1.", b".1", b"1e", b"1e+1", b"1E400", b"-1e-400", b"9223372036854775807", b"9223372036854775808", b"NaN", b"Infinity",
       b"-Infinity", b"nul", b"true", b"[]", b"[1,]", b"[1]]", b"{}", b'{"a":1,}', b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'"\\u0000"', b'{"\\u0000":1}',
       b'"\\ud800"', b'"\\ud800\\udc00"', b'{"\\udfff":1}', b'"\\ud83dx"', b'"\\u12g4"', b'"\t"', b'"\x7f"', b'"\xc3\xa9"', b'"\xc0\x80"', b'"\xed\xa0\x80"',
       b'"\xf4\x8f\xbf\xbf"', b'"\xf4\x90\x80\x80"', b'"\xff"', b"\xef\xbb\xbf1", b"1\0", b"[1\0]", b"tr\0ue", b'"\0"', b"\0", b"[1\xc2\xa0]", b"'a'", b"/**/1", b"1 2",
       b"[" * LEVELS + b"]" * LEVELS, b"[" * (LEVELS + 1) + b"]" * (LEVELS + 1), b'{"a":' * LEVELS + b"1" + b"}" * LEVELS, b"[" * 100000, b'"' + b"[" * 100 + b'"',
       b"1" * 400, b"0." + b"1" * 5000, b'"' + b"x" * 60000 + b'"', b"\r\n\t [\r\n\t 1\r\n\t ,\r\n\t 2 ] \n"]


@kt.test
def odd_texts_as_python_reads_them():
    kt.check(compare(ODD) > 10, "too few of them are JSON")


def random_value(rng, levels):
    kind = rng.randrange(9 if levels else 6)
    if kind > 5:
        count = rng.randrange(5)
        return [random_value(rng, levels - 1) for _ in range(count)] if kind < 8 else {random_text(rng): random_value(rng, levels - 1) for _ in range(count)}
    return (rng.randrange(-10**6, 10**6), rng.uniform(-1e9, 1e9), rng.choice((True, False, None)), random_text(rng), rng.randrange(-2**63, 2**63),
            rng.uniform(-1, 1) * 10.0**rng.randrange(-300, 300))[kind]


def random_text(rng):
    alphabet = ("a", "é", "€", "😀", '"', "\\", "\n", "/", "\x01", " ", "0", "\x7f", "\u2028", "\ufffd")
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(12)))


@kt.test
def random_texts_as_python_reads_them():
    rng = random.Random(SEED)
    pieces = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\ud800", b"\\udc00", b"\\u0000", b"\0", b"\xc3", b"\xed\xa0\x80", b"-", b"0", b"1", b".", b"e", b"+", b"\n",
              b"null", b"1e999", b" ", b"\x1f", b"u", b"12345678901234567890"]
    texts = []
    for number in range(TEXTS):
        text = bytearray(json.dumps(random_value(rng, 4), ensure_ascii=rng.random() < 0.5).encode())
        for _ in range(number % 4):
            piece, at = rng.choice(pieces), rng.randrange(len(text) + 1)
            text[at:at + (len(piece) if rng.random() < 0.6 else 0)] = piece
        texts.append(bytes(text[:rng.randrange(len(text) + 1)] if rng.random() < 0.1 else text))
    good = compare(texts)
    kt.check(TEXTS // 4 < good < TEXTS, f"{good} of {TEXTS} are JSON")


# --- kernels that leave such texts ---------------------------------------------------------------------------------------------------------------

FILES = {"/result": "build/kernels/result.elf", "/acts": "build/kernels/acts.elf"}
# What the kernels leave in turn: JSON among what is none.
LEFT = [b'{"n":1}', b'"\\ud800"', b"[2]", b'{"\\ud800":1}', b"3", b'{"a":1,"a":2}', b'"\xff"', b'"four"', b"[1,]", b'{"\\u0000":1}', b"[" * 45 + b"]" * 45,
        b"99999999999999999999", b'"\\udc00 and more"', b"5.5", b'{"k":"\xed\xa0\x80"}', b"nul", b"1e999", b'"\\ud83d\\ude00"']
NUL = [b"[1\0]", b"7\0", b'{"s":"\0"}']  # a native kernel's result ends at the first


def check_left(found, index, text, ended):
    """`found`: status, and result or reason."""
    value, is_json = by_python(text)
    wanted = ("ok", value) if is_json else ("failed", None)
    kt.check(found[0] == wanted[0] and (not is_json or exactly(found[1]) == exactly(value)), f"kernel {index} left {text!r}: {found}", ended)
    kt.check(is_json or re.match(r"the result( is not JSON: line \d+, column \d+: .|: nested deeper than 44 levels$)", found[1]), f"kernel {index}: reason {found}", ended)


def run_all(way, glue, cpus, texts):
    """As a fan-out: one result, one reason for each."""
    step = {"name": "all", "timeout": "60s", **way, "on_error": "continue", "args": "{{self.input|}}",
            "fanout": {"list": ["hex" + glue + text.hex() for text in texts], "console": "mute"}}
    after = {"name": "after", "call": "fs:/result", "args": "good"}
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step, after], FILES)), qemu=["-cpu", "max", "-smp", cpus]))
    results = ended.of("handoff")[-1]["doc"]["results"]
    entry = results["all"]
    kt.check(entry["ok"] + entry["failed"] == len(texts) == len(entry["result"]), "counts", entry)
    reasons = {failure["index"]: (failure["status"], failure["reason"]) for failure in kt.failed(entry)}
    for index, text in enumerate(texts):
        check_left(reasons.get(index, ("ok", entry["result"][index])), index, text, ended)
    kt.check(results["after"]["result"] == {"answer": 42} and not ended.of("error"), "what comes after", results)


NATIVE, FIXED = {"call": "fs:/result"}, {"call": "fs:/acts", "memory": "4M"}
ISOLATED = {**FIXED, "isolation": "svm"}
for cpu_count in (1, 3):
    kt.add_test(f"native kernels, {cpu_count} processors", lambda n=cpu_count: run_all(NATIVE, ":", n, LEFT))
    kt.add_test(f"isolated kernels, {cpu_count} processors", lambda n=cpu_count: run_all(ISOLATED, " ", n, LEFT + NUL))
kt.add_test("kernels at fixed addresses", lambda: run_all(FIXED, " ", 2, LEFT + NUL))


def call_each(way, texts, glue, cpus):
    steps = [{"name": f"s{i}", "args": "hex" + glue + text.hex(), "on_error": "continue", "timeout": "60s", **way} for i, text in enumerate(texts)]
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(steps, FILES)), qemu=["-cpu", "max", "-smp", cpus]))
    results = ended.of("handoff")[-1]["doc"]["results"]
    for index, text in enumerate(texts):
        entry = results[f"s{index}"]
        check_left((entry["status"], entry["result"] if entry["status"] == "ok" else entry["reason"]), index, text, ended)
    kt.check(not ended.of("error") and len(ended.of("result")) == len(texts), "records", ended)


@kt.test
def single_calls():
    call_each(NATIVE, LEFT, ":", 1)
    call_each(ISOLATED, LEFT + NUL, " ", 1)
    call_each(FIXED, LEFT + NUL, " ", 2)


kt.main()
