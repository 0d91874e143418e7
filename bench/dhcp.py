# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""From the stage's entry to an address that can be used, beside iPXE, on the same virtio-net card and user network.

The stage is through when its first step begins. iPXE is through when it enters a child of 1 KiB that it has
loaded by HTTP; the same with an address that was written into its script says what of it is DHCP.
"""
import statistics

import child
import kt
import machine
import peers
import plot

RUNS = 3
NET = ["-netdev", "user,id=lan", *peers.NET]


def image_of(dhcp):
    more = {"net": {"lan": {"dhcp": True}}} if dhcp else {}
    return kt.bake(kt.pipeline([{"name": "tick", "call": "fs:/tick"}], {"/tick": "build/bench/tick.elf"}, **more))


def ours(argv, icount):
    done = machine.count(*argv, icount=icount)
    at, entered = done.ticks("step"), done.ticks("entered")
    hz = done.all("handoff")[-1]["doc"]["clock"]["tsc_hz"]
    return {"from_reset": at, "from_entry": at - entered, "hz": hz}


def theirs(argv, icount):
    return {"from_reset": machine.count(*argv, icount=icount).ticks("child")}


def run(out):
    small = child.make(kt.scratch("child"), 1024)
    with peers.served(small) as url:
        counted(out, url)
        timed(out, url)


def counted(out, url):
    boots = [
        ("iPXE dhcp", theirs, peers.ipxe("dhcp", url)),
        ("iPXE static", theirs, peers.ipxe(peers.STATIC, url)),
        ("kchain dhcp", ours, ["-kernel", image_of(True), *NET]),
        ("kchain no net", ours, ["-kernel", image_of(False), *NET]),
    ]
    rows = {name: row for (name, _, _), row in zip(boots, kt.in_parallel(lambda b: b[1](b[2], True), boots))}
    out.table(
        "instructions",
        ("loader", "from_reset", "from_entry"),
        [[n, r["from_reset"], r.get("from_entry", "")] for n, r in rows.items()],
    )
    out.figure("kchain, from the stage's entry to an address", rows["kchain dhcp"]["from_entry"], "instructions")
    out.figure(
        "of it DHCP and the card (less a pipeline without)",
        rows["kchain dhcp"]["from_entry"] - rows["kchain no net"]["from_entry"],
        "instructions",
    )
    out.figure("kchain, from reset to an address", rows["kchain dhcp"]["from_reset"], "instructions")
    out.figure("iPXE, from reset to a child of 1 KiB", rows["iPXE dhcp"]["from_reset"], "instructions")
    out.figure(
        "of it DHCP (less a written address)",
        rows["iPXE dhcp"]["from_reset"] - rows["iPXE static"]["from_reset"],
        "instructions",
    )


def timed(out, url):
    image, seconds, rows = image_of(True), {"kchain": [], "iPXE": []}, []
    for number in range(RUNS):
        mine, other = ours(["-kernel", image, *NET], False), theirs(peers.ipxe("dhcp", url), False)
        hz = mine["hz"]  # the same emulated clock in both
        seconds["kchain"].append(mine["from_entry"] / hz)
        seconds["iPXE"].append(other["from_reset"] / hz)
        rows.append([number, mine["from_entry"] / hz, mine["from_reset"] / hz, other["from_reset"] / hz])
    out.table("seconds", ("run", "kchain_from_entry", "kchain_from_reset", "ipxe_from_reset"), rows)
    medians = {name: statistics.median(several) for name, several in seconds.items()}
    groups = [("kchain, from entry to an address", [medians["kchain"]]), ("iPXE, from reset to a child of 1 KiB", [medians["iPXE"]])]
    subtitle = f"medians of {RUNS} boots; virtio-net and QEMU's user network"
    out.plot("seconds", plot.bars("Until DHCP is through", subtitle, "", "seconds of the emulated clock", groups, ["seconds"], log_y=True))
    out.times("kchain, from the stage's entry to an address", seconds["kchain"])
    out.times("iPXE, from reset to a child of 1 KiB", seconds["iPXE"])
