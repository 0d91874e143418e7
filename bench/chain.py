# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A chain of 1,000 links: configs/11-count boots itself, counting in `state`. What does each link cost, and does it
stay so?

A link's cost is what lies between its stage's entry and the next one's. The handoff lists a bounded number of
links and folds the others into a digest, so the first links are cheaper; what has to be constant is what comes
behind them.
"""
import json
import statistics

import kt
import machine
import plot

LINKS = 1000
FULL = 100  # by then the handoff lists as many links as it ever will


def available(doc):
    return sum(int(m["bytes"], 16) for m in doc["memory"] if m["type"] == 1)


def run(out):
    handoff = {
        "kchain_handoff": 1,
        "boot_id": "00" * 16,
        "self": {},
        "links": [],
        "clock": {},
        "state": {"limit": LINKS},
    }
    path = kt.write_json(kt.scratch("kchain-handoff"), handoff)
    done = machine.count("-kernel", kt.config_image("11-count"), "-initrd", path, memory="128M")
    at = [r["ticks"] for r in done.all("entered")]
    last = done.all("handoff")[-1]["doc"]
    kt.check(len(at) == LINKS and last["state"]["n"] == LINKS, f"{len(at)} links, state {last['state']}")
    costs = [after - before for before, after in zip(at, at[1:])]
    handed = [len(json.dumps(r["doc"], separators=(",", ":"))) for r in done.all("handoff", step="again")]
    maps = [r["doc"]["memory"] for r in done.all("bootinfo")]
    free = [available(r["doc"]) for r in done.all("bootinfo")]
    out.table(
        "links",
        ("link", "instructions", "handoff_bytes", "memory_bytes"),
        [[n, cost, size, memory] for n, (cost, size, memory) in enumerate(zip(costs, handed, free))],
    )
    full = costs[FULL:]
    out.figure(f"one link of {LINKS:,}, from entry to entry (median)", statistics.median(full), "instructions")
    out.figure(f"dearest of links {FULL} to {LINKS}, over the cheapest", max(full) / min(full), "times", 1.02)
    out.figure("first link", costs[0], "instructions")
    out.figure("different memory maps seen by the links", len({json.dumps(m) for m in maps}), "maps", 1)
    out.figure(f"largest handoff of links {FULL} to {LINKS}", max(handed[FULL:]), "bytes")
    out.figure(
        "links listed at the end, and folded into the digest",
        f"{len(last['links'])} + {last['links_dropped']['count']}",
        "links",
    )
    out.plot(
        "cost",
        plot.lines(
            "A chain of 1,000 links: the cost of each",
            "configs/11-count, an image that boots itself; QEMU -icount -cpu max",
            "link",
            "instructions from its entry to the next one's",
            {"one link": list(enumerate(costs))},
            marks=False,
        ),
    )
    out.plot(
        "handoff",
        plot.lines(
            "A chain of 1,000 links: the handoff",
            "configs/11-count; the history is bounded, the rest is a digest",
            "link",
            "bytes of JSON handed on",
            {"handoff": list(enumerate(handed))},
            marks=False,
        ),
    )
