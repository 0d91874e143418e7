#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""A chain of many links: configs/11-count boots itself until it has counted to its limit. Each link costs what the others
cost, in instructions and in memory, and the digest of the links that the handoff dropped can be made again from the records.

KCHAIN_LINKS=1000 tests a longer one."""
import hashlib
import json
import os

import kt

LINKS = int(os.environ.get("KCHAIN_LINKS", "150"))
KEPT = 64  # entries of `links` (docs/HANDOFF.md)
IMAGE = kt.config_image("11-count")


def chain():
    """Booted once for all tests: time counts instructions."""
    if not chain.ended:
        handoff = {"kchain_handoff": 1, "boot_id": "00" * 16, "self": {}, "links": [], "clock": {}, "state": {"limit": LINKS}}
        path = kt.write_json(kt.scratch("kchain-handoff"), handoff)
        chain.ended = kt.expect_end(kt.boot(IMAGE, qemu=["-initrd", path, "-icount", "shift=0,sleep=off", "-cpu", "max"],
                                            hang_after_s=kt.HANG_AFTER_S + LINKS))
    return chain.ended


chain.ended = None


def canonical(link):
    return json.dumps(link, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def last_handoff():
    return chain().of("handoff")[-1]["doc"]


@kt.test
def it_counts_to_its_limit_and_stops():
    ended = chain()
    kt.check(len(ended.of("entered")) == LINKS and len(ended.of("boot")) == LINKS - 1, "links", ended)
    kt.check([r["link"] for r in ended.of("entered")] == list(range(LINKS)), "numbers of the links", ended)
    kt.check(last_handoff()["state"] == {"limit": LINKS, "n": LINKS}, "state", last_handoff())
    skipped = ended.of("skipped")
    kt.check(len(skipped) == 1 and skipped[0]["step"] == "again" and skipped[0]["wanted"] is True and skipped[0]["found"] is False,
             "the step that ends it is not told", skipped)


@kt.test
def its_history_is_bounded_and_its_digest_can_be_made_again():
    links, dropped = last_handoff()["links"], last_handoff().get("links_dropped", {"count": 0, "sha256": ""})
    kt.check(len(links) == min(LINKS, KEPT) and links[0]["n"] == 0 and links[-1]["n"] == LINKS - 1, "links", links)
    kt.check(dropped["count"] == max(0, LINKS - KEPT), "count of dropped links", dropped)
    # Each link as it was handed on: the last of the handoff of its boot.
    handed = [r["doc"]["links"][-1] for r in chain().of("handoff") if r.get("step") == "again"]
    digest = ""
    for link in handed[1:1 + dropped["count"]]:
        digest = hashlib.sha256((digest + canonical(link)).encode()).hexdigest()
    kt.check(digest == dropped["sha256"], "the digest of the dropped links", digest, dropped)
    sizes = [len(canonical(r["doc"])) for r in chain().of("handoff")]
    kt.check(max(sizes) < 1.5 * max(sizes[:2 * KEPT]), "the handoff grows", sizes)


@kt.test
def each_link_costs_the_same():
    at = [int(r["ticks"]) for r in chain().of("entered")]
    costs = [b - a for a, b in zip(at, at[1:])][KEPT:]  # from where the handoff has its full size
    kt.check(costs and max(costs) - min(costs) < 0.05 * min(costs), "instructions by link differ", costs[:3], min(costs), max(costs))


@kt.test
def each_link_has_the_same_memory():
    maps = [r["doc"]["memory"] for r in chain().of("bootinfo")]
    kt.check(all(m == maps[0] for m in maps), "the memory map changes", maps[0], maps[-1])
    free = [r["bytes_free"] for r in chain().of("boot")]
    # The heap grows by 1 MiB at a time: once or twice while the history grows, and then no more.
    kt.check(max(free) - min(free) <= 3 << 20 and max(free[KEPT:]) - min(free[KEPT:]) <= 8 << 10, "free memory by link", free)


def short(expected_links=3, memory="128M", bake=(), **more):
    """A chain of a few links of another image, by QEMU's loader."""
    image = kt.bake(kt.pipeline([{"name": "count", "call": "fs:/count", "args": str(expected_links)},
                                 {"name": "again", "when": {"results.count.result.more": True}, "boot": "self:"}],
                                {"/count": "build/kernels/count.elf"}, state={"n": "{{results.count.result.n|0}}"}, **more), *bake)
    return image, lambda ended: kt.check(ended.of("handoff")[-1]["doc"]["state"]["n"] == expected_links and
                                         len(ended.of("entered")) == expected_links, "count", ended)


@kt.test
def it_boots_itself_wherever_it_lies():
    image, counted = short(bake=["--base", "0x4000000"])
    ended = kt.expect_end(kt.boot(image))
    counted(ended)
    kt.check(ended.of("bootinfo")[-1]["doc"] == dict(ended.of("bootinfo")[0]["doc"], **{
        k: ended.of("bootinfo")[-1]["doc"][k] for k in ("modules", "loader", "cmdline")}), "another machine", ended)


@kt.test
def it_boots_itself_on_a_microvm_and_with_many_processors():
    fanout = {"name": "all", "call": "fs:/hello", "memory": "512K", "fanout": {"count": 8}}
    image = kt.bake(kt.pipeline([fanout, {"name": "count", "call": "fs:/count", "args": "3"},
                                 {"name": "again", "when": {"results.count.result.more": True}, "boot": "self:"}],
                                {"/count": "build/kernels/count.elf", "/hello": "build/kernels/hello.elf"},
                                state={"n": "{{results.count.result.n|0}}"}))
    for machine in ("pc", "microvm,isa-serial=on"):
        ended = kt.expect_end(kt.boot(image, machine, qemu=["-smp", "3"]))
        kt.check(ended.of("handoff")[-1]["doc"]["state"]["n"] == 3 and len(ended.of("entered")) == 3, "count", ended)
        joined = [r["status"] for r in ended.of("result") if r["step"] == "all"]
        kt.check(joined.count("ok") >= 3 and set(joined) == {"ok"}, "results of the fan-out", joined)


@kt.test
def it_boots_itself_in_16_mib_checking_everything():
    image, counted = short(verify="all")
    counted(kt.expect_end(kt.boot(image, memory="16M")))


@kt.test
def it_boots_itself_through_grub_and_with_devices():
    net = {"lan": {"dhcp": {"timeout": "5s"}}}
    image, counted = short(net=net, block={"data": {"match": {"serial": "DATA01"}}})
    with kt.Machine(kt.qemu_argv("q35", "128M", "-cdrom", kt.grub_iso(image), *kt.USER_NET, *kt.virtio_disk(kt.disk()))) as m:
        status = m.wait_for_end()
        kt.check(status is not None, "hangs", m.explain())
        ended = kt.expect_end(kt.Ended(m, status))
    counted(ended)
    leases = [json.dumps(r["entry"].get("lease")) for r in ended.of("net")]
    kt.check(len(leases) == 3 and len(set(leases)) == 1, "the lease is asked for again", leases)


@kt.test
def a_failure_may_be_answered_by_starting_over():
    pipeline = kt.pipeline([{"name": "spin", "call": "fs:/result", "args": "good {{state.status}}", "on_error": {"boot": "self:"}}],
                           {"/result": "build/kernels/result.elf"}, state={"status": "{{state.then|7}}", "then": "{{results.none|0}}"})
    ended = kt.expect_end(kt.boot(kt.bake(pipeline)))
    kt.check([r["exit"] for r in ended.of("result")] == [7, 0], "results", ended)


@kt.test
def what_was_planned_is_what_was_received():
    bootinfo = kt.write_json(kt.scratch("bootinfo.json"), chain().of("bootinfo")[0]["doc"])
    plan = kt.kchain("plan", IMAGE, "--step", "count", "--bootinfo", bootinfo, "--masked", "--json")
    kt.check(plan.exit == 0, "plan failed", plan)
    got = kt.write_json(kt.scratch("received.json"), dict(chain().of("handoff")[0]["doc"], state={"n": 0}))
    masked = kt.kchain("plan", "--mask", got, IMAGE, "--json")
    kt.check(masked.exit == 0, "mask failed", masked)
    kt.check(plan.json()["steps"][0]["handoff"] == masked.json(), "intended and received differ", plan.out, masked.out)
    kt.check(masked.json()["state"] == {"n": "volatile"}, "state", masked)


kt.main()
