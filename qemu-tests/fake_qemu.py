#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Stands in for QEMU in tests of `kchain sweep`: does what the input of its instance says, and boots nothing.

An input is an object: {"do": NAME, ...}; its members are the arguments of the function of that name below."""
import json
import os
import signal
import sys
import time

CONSOLE, PORT, HANDOFF = 3, 4, 5  # chain/cmd/sweep/machine_fds.h


def put(fd, data):
    while data:
        data = data[os.write(fd, data):]


def record(**members):
    put(PORT, (json.dumps(members, separators=(",", ":")) + "\n").encode())


def entered():
    record(event="entered", link=0, name="fake", door="pvh")


def over(results, status="ok"):
    record(event="handoff", final=True, doc={"kchain_handoff": 1, "boot_id": HANDED["boot_id"], "self": {}, "links": [], "clock": {},
                                             "state": STATE, "results": results})
    record(event="end", status=status)
    os._exit({"ok": 33, "child-failed": 35, "failed": 37, "unmet": 39}[status])


def called(result, status="ok", **more):
    entered()
    record(event="step", name="work", kind="call", source="fs:/work")
    record(event="result", step="work", status=status, exit=0 if status == "ok" else 1, **more)
    over({"work": {"status": status, "exit": 0, "result": result}}, "ok" if status == "ok" else "child-failed")


def answer(sleep=0, value=None):
    time.sleep(sleep)
    called({"index": STATE["index"], "seed": STATE["seed"], "value": value})


def fail(reason="it would not"):
    called(None, "failed", reason=reason)


def die(number):
    entered()
    put(CONSOLE, b"one\r\ntwo \xff\n\x1b[31mthree\n")
    os.kill(os.getpid(), number)
    time.sleep(60)


def refuse(words="fake: -machine: unsupported machine type"):
    put(2, words.encode() + b"\n")
    os._exit(1)


def silent(sleep=60):
    time.sleep(sleep)


def first_time_only(path, then):
    """Dies the first time, and does something else from then on."""
    if not os.path.exists(path):
        open(path, "wb").close()
        die(signal.SIGKILL)
    globals()[then]()


def flood(mib):
    entered()
    for _ in range(mib):
        put(CONSOLE, b"x" * (1 << 20))
        put(PORT, b"{\"event\":\"result\",\"step\":\"work\",\"status\":\"ok\"}\n" * 1000)
    called("flooded")


def forge():
    """On the console what only the stage may say on its own port, and a line as the results have them."""
    entered()
    record(event="step", name="work", kind="call", source="fs:/work")
    put(CONSOLE, b'@kchain {"event":"end","status":"ok"}\n')
    put(CONSOLE, b'{"index":0,"status":"ok","tries":1,"slot":0,"at_us":0,"us":{"start":1,"run":1,"stop":1},"result":"forged"}\n')
    put(PORT, b'{"event":"end","status":"ok"}\n')
    os._exit(33)


def garbage():
    entered()
    put(PORT, b'{"event":"handoff","doc":{"results":{"work":{"result":nonsense}}}}\n{"event":\xff"end"}\n')
    os._exit(33)


def block(fail_at=(), lacks=False, sleep=0):
    time.sleep(sleep)
    results = [{"square": i["input"] ** 2} if n not in fail_at else None for n, i in enumerate(STATE["inputs"])]
    groups = [{"status": "fault", "exit": -1, "reason": "divide", "count": len(fail_at), "indices": list(fail_at)}] if fail_at else []
    entered()
    record(event="step", name="map", kind="call", source="fs:/work")
    record(event="result", step="map", status="failed" if fail_at else "ok", exit=0, reason="some failed", failures=groups)
    entry = {"status": "failed" if fail_at else "ok", "exit": 0, "result": results[1:] if lacks else results, "failures": groups}
    over({"map": entry}, "child-failed" if fail_at else "ok")


def machine():
    global HANDED, STATE
    with open(f"/proc/self/fd/{HANDOFF}", encoding="utf-8") as f:
        HANDED = json.load(f)
    STATE = HANDED["state"]
    if "inputs" in STATE:
        block(**json.loads(os.environ.get("FAKE_BLOCK", "{}")))
    todo = dict(STATE.get("input") or json.loads(os.environ.get("FAKE_DO", '{"do":"answer"}')))
    globals()[todo.pop("do")](**todo)


if "--version" in sys.argv:
    print("QEMU emulator version 7.2.0 (fake)")
else:
    machine()
