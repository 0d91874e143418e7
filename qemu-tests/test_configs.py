#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""Every pipeline of configs/ is booted; each has a test here and a line in configs/README.md."""
import glob
import hashlib
import os
import re

import kt

README_BYTES = os.path.getsize("configs/README.md")


def disk():
    return kt.virtio_disk(kt.disk(size_bytes=8 << 20, partitions="label: gpt\nsize=2M, name=first\nsize=1M, name=second\n"))


@kt.test
def every_pipeline_has_a_test_and_a_line_in_the_readme():
    names = [os.path.basename(p)[:-5] for p in glob.glob("configs/[0-9]*.json")]
    readme = kt.read_bytes("configs/README.md").decode()
    source = kt.read_bytes(__file__).decode()
    for name in names:
        kt.check(f"[{name}]({name}.json)" in readme, f"{name} has no line in configs/README.md")
        kt.check(f'"{name}"' in source, f"{name} has no test")


@kt.test
def hello_is_called_and_returns():
    ended = kt.expect_end(kt.boot(kt.config_image("01-hello")))
    kt.check("hello, world" in ended.console.lower(), "no greeting", ended)
    kt.check(ended.of("result")[0]["status"] == "ok", "no result", ended)


@kt.test
def called_echo_leaves_the_handoff_in_results():
    ended = kt.expect_end(kt.boot(kt.config_image("02-call-echo")))
    result = ended.of("result")[0]
    kt.check(result["status"] == "ok" and result["exit"] == 0, "echo failed", ended)
    handoff = result["result"]["handoff"]
    kt.check(handoff["state"] == {"experiment": "two"}, "state is not carried", ended)
    kt.check(handoff["self"]["step"] == "echo", "self.step", ended)
    last = ended.of("handoff")[-1]["doc"]
    kt.check(last["results"]["echo"]["result"]["handoff"]["boot_id"] == last["boot_id"], "results of the last handoff", ended)


@kt.test
def booted_echo_gets_module_facts_network_and_disk():
    ended = kt.expect_end(kt.boot(kt.config_image("03-boot-echo"), qemu=kt.USER_NET + disk()))
    doc = ended.of("echo")[0]["doc"]
    kt.check("address=10.0.2.15" in str(doc["args"]), "no address in the arguments", ended)
    modules = doc["modules"]
    kt.check(any(m["string"].startswith("readme") and m["bytes"] == README_BYTES for m in modules), "module", modules)
    handoff = doc["handoff"]
    kt.check(handoff["net"]["lan"]["status"] == "configured", "net", handoff["net"])
    block = handoff["block"]["data"]
    kt.check(block["status"] in ("configured", "present") and int(str(block["bytes"]), 0) == 8 << 20, "block", block)
    kt.check(len(block["partitions"]) == 2, "partitions", block)


@kt.test
def booted_echo_without_devices_gets_typed_absences():
    ended = kt.expect_end(kt.boot(kt.config_image("03-boot-echo")))
    doc = ended.of("echo")[0]["doc"]
    kt.check("address=none" in str(doc["args"]), "default in the arguments", ended)
    for kind, name in (("net", "lan"), ("block", "data")):
        entry = doc["handoff"][kind][name]
        kt.check(entry["status"] == "absent" and entry["reason"], f"{kind}.{name}", entry)


@kt.test
def a_pipeline_that_asks_for_no_device_touches_none():
    ended = kt.expect_end(kt.boot(kt.config_image("01-hello"), qemu=kt.USER_NET + disk()))
    kt.check(not ended.of("net") and not ended.of("block") and not ended.of("device"), "device records", ended)


def chain(qemu):
    with kt.Machine(kt.qemu_argv("pc", "256M", "-kernel", kt.config_image("04-chain"), *qemu)) as machine:
        banner = machine.wait_for(r"GNU Mach [0-9.]+")
        kt.check(banner, "no banner of GNU Mach", machine.explain())
        entered = machine.records("entered")
        # "04-second" is the image that is baked into "04-chain".
        kt.check([(e["link"], e["name"]) for e in entered] == [(0, "front"), (1, "second")], "links", machine.explain())
        kt.check(machine.records("result")[0]["status"] == "ok", "echo's result", machine.explain())
        kt.check(not machine.records("error"), "error records", machine.explain())
        return machine.records()


@kt.test
def chain_reaches_gnu_mach_and_keeps_the_lease():
    records = chain(kt.USER_NET + disk())
    handoffs = [r["doc"] for r in records if r["event"] == "handoff"]
    last = handoffs[-1]
    kt.check(len(last["links"]) == 2, "links of the last handoff", last["links"])
    lease = [h["net"]["lan"] for h in handoffs]
    kt.check(all(n["addresses"] == ["10.0.2.15/24"] for n in lease), "addresses", lease)
    kt.check(len({str(n.get("lease")) for n in lease}) == 1, "the lease was asked for twice", lease)
    kt.check("echo" in last["results"], "the call's result is lost on the way", last)


@kt.test
def chain_reaches_gnu_mach_without_devices():
    chain([])


@kt.test
def static_address_needs_no_server():
    with kt.silent_network() as network:
        ended = kt.expect_end(kt.boot(kt.config_image("05-net-static"), qemu=network))
    lan = ended.of("result")[0]["result"]["handoff"]["net"]["lan"]
    kt.check(lan["status"] == "configured" and lan["addresses"] == ["10.0.2.77/24"], "net", lan)


@kt.test
def a_required_network_that_is_absent_is_a_failure():
    kt.expect_error(kt.boot(kt.config_image("05-net-static")), r"net-.*|device-.*", "lan")


@kt.test
def a_required_disk_is_found_by_serial():
    ended = kt.expect_end(kt.boot(kt.config_image("06-block-required"), qemu=kt.virtio_disk(kt.disk(), "OTHER", "a") +
                                  kt.virtio_disk(kt.disk(size_bytes=4 << 20), "DATA01", "b")))
    entry = ended.of("result")[0]["result"]["handoff"]["block"]["data"]
    kt.check(entry["serial"] == "DATA01" and int(str(entry["bytes"]), 0) == 4 << 20, "block", entry)


@kt.test
def a_required_disk_that_is_absent_is_a_failure():
    kt.expect_error(kt.boot(kt.config_image("06-block-required"), qemu=kt.virtio_disk(kt.disk(), "OTHER")), r"device-missing", "no disk with serial DATA01, but 1 other")


@kt.test
def documentation_tree_is_checked_wholly():
    image = kt.config_image("07-docs-tree")
    files = sum(len(f) for _, _, f in os.walk("/usr/share/doc/cmake-data/html"))
    kt.check(files >= 2000, f"only {files} files")
    listed = kt.kchain("cat", image, "--manifest").out
    kt.check(len(re.findall(r"(?m)^(?:file|link) .* /doc/", listed)) == files, f"{files} files in the tree, other number in the manifest")
    kt.expect_end(kt.boot(image, memory="256M"))


@kt.test
def grub_invaders_draws_its_screen():
    with kt.Machine(kt.qemu_argv("pc", "128M", "-vga", "std", "-kernel", kt.config_image("08-grub-invaders"))) as machine:
        kt.check(machine.wait_for_record("boot"), "not booted", machine.explain())
        # Rows of invaders "-*-" above the ship: the game draws and moves them by itself, so both are waited for.
        def drawn():
            rows = machine.screen_text()
            return " ".join(rows).count("-*-") >= 20 and any("/ \\" in row for row in rows[18:])
        kt.check(machine.wait_until(drawn, 30), "no invaders or no ship", "\n".join(machine.screen_text()), machine.explain())
        width, height, pixels = machine.screen_picture()
        lit = sum(1 for i in range(0, len(pixels), 3) if pixels[i:i + 3] != b"\0\0\0")
        kt.check(width * height // 200 < lit, f"{lit} of {width * height} pixels are lit")


@kt.test
def kchain_run_follows_the_chain_to_the_banner():
    data = kt.disk(size_bytes=8 << 20)
    seen = kt.expect_boot(kt.run(kt.config_image("04-chain"), "--disk", data + ",serial=DATA01"), 0, "GNU Mach [0-9.]+")
    kt.check(len(seen.result["links"]) == 2 and seen.result["block"]["data"]["status"] == "configured", "final handoff", seen)


@kt.test
def words_are_counted_by_many_kernels_and_summed_up():
    texts = [kt.read_bytes(path) for path in glob.glob("docs/*")]
    ended = kt.expect_end(kt.boot(kt.config_image("12-wordcount"), qemu=["-smp", "3"]))
    result = [r for r in ended.of("result") if r["step"] == "reduce"][0]["result"]
    kt.check(result["lines"] == sum(t.count(b"\n") for t in texts) and result["bytes"] == sum(map(len, texts)), "sums", result)


@kt.test
def disks_are_read_by_a_kernel_each():
    disks = [kt.write_bytes(kt.scratch(n), bytes([i]) * (i << 20)) for i, n in ((1, "a"), (2, "b"))]
    seen = kt.expect_boot(kt.run(kt.config_image("15-devices"), "-c", 3, "--disk", disks[0] + ",serial=A", "--disk", disks[1] + ",serial=B"))
    left = seen.result["results"]["digest"]
    kt.check([r.get("sha256") for r in left["result"][:2]] == [hashlib.sha256(kt.read_bytes(d)).hexdigest() for d in disks], "digests", left)
    kt.check([r["error"] for r in left["result"][2:]] == ["c: no disk with serial C, but 2 others", "a: it is not assigned to this kernel"], "without a disk", left)


@kt.test
def an_image_that_boots_itself_counts_its_links():
    image = kt.config_image("11-count")
    state = kt.write_json(kt.scratch("handoff.json"), {"state": {"limit": 3}})
    seen = kt.expect_boot(kt.run(image, "--handoff", state))
    kt.check(seen.result["state"] == {"limit": 3, "n": 3} and len(seen.result["links"]) == 3, "state", seen.result)


@kt.test
def isolated_kernels_end_alone():
    for cpus in ("1", "8"):
        ended = kt.expect_end(kt.boot(kt.config_image("13-isolated"), qemu=["-cpu", "max", "-smp", cpus]))
        entry = ended.of("handoff")[-1]["doc"]["results"]["map"]
        kt.check(entry["result"] == [None if i in (2, 5) else {"sum": i} for i in range(8)], "results", ended)
        failures = {f["index"]: (f["status"], f["reason"]) for f in kt.failed(entry)}
        kt.check(failures[2][0] == "fault" and "triple fault" in failures[2][1] and failures[5][0] == "timeout" and len(failures) == 2,
                 "failures", ended)


@kt.test
def a_kernel_with_fixed_addresses_has_a_processor_of_its_own():
    ended = kt.expect_end(kt.boot(kt.config_image("14-fixed"), qemu=["-smp", "2"]))
    results = ended.of("handoff")[-1]["doc"]["results"]
    kt.check(results["one"] == {"status": "ok", "exit": 0, "result": {"mailbox": 0x4fb000}}, "alone", results)
    kt.check(results["many"]["result"] == [{"status": 0}, {"attempt": 1}, {"status": 0}] and results["many"]["retried"] == 1, "in turn", results)


@kt.test
def kernels_of_two_processors_count_primes():
    ended = kt.expect_end(kt.boot(kt.config_image("16-cpus"), qemu=["-smp", "5"]))
    entry = ended.of("handoff")[-1]["doc"]["results"]["primes"]
    kt.check([r["cpus"] for r in entry["result"]] == [2] * 4 and ended.of("result")[0]["machine"]["workers"] == 2, "processors", entry)
    kt.check(sum(r["primes"] for r in entry["result"]) == 17984, "primes below 200,000", entry)


@kt.test
def a_thousand_kernels_count_primes():
    ended = kt.expect_end(kt.boot(kt.config_image("17-thousand"), qemu=["-smp", "2"]))
    entry = ended.of("handoff")[-1]["doc"]["results"]["primes"]
    sieve = bytearray([1]) * 1000000
    sieve[0] = sieve[1] = 0
    for i in range(2, 1000):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(range(i * i, 1000000, i)))
    wanted = [sum(sieve[1000 * i:1000 * i + 999]) for i in range(1000)]
    kt.check([r["primes"] for r in entry["result"]] == wanted and entry["ok"] == 1000, "primes of each thousand", entry)


@kt.test
def failures_are_retried_passed_over_and_rescued():
    ended = kt.expect_end(kt.boot(kt.config_image("09-on-error")))
    results = ended.of("result")
    kt.check([(r["step"], r["status"]) for r in results] == [("fault", "fault")] * 2 + [("last", "fault")], "results", ended)
    kt.check(ended.of("echo"), "echo was not booted in its place", ended)


@kt.test
def pi_adds_up_what_its_kernels_threw():
    result = kt.expect_end(kt.boot(kt.config_image("18-pi"))).of("result")
    kt.check(result[-1]["step"] == "add" and result[-1]["result"]["points"] == 8000, "all points", result[-1])
    kt.check(abs(result[-1]["result"]["inside"] / 2000 - 3.1416) < 0.08, "about pi", result[-1])


kt.main()
