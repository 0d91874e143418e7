#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""What a machine may lack or have broken: each either works or is said in one clear line. Nothing hangs."""
import os

import kt

FILES = {"/echo": "build/kernels/echo.elf"}
CALL = [{"name": "echo", "call": "fs:/echo"}]


def net(need, **more):
    return {"lan": {"dhcp": {"timeout": "2s"}, "need": need, **more}}


def block(need):
    return {"data": {"match": {"serial": "DATA01"}, "need": need}}


@kt.test
def too_little_memory_is_said_before_qemu_starts():
    done = kt.kchain("run", "--memory", "2M", kt.bake(kt.pipeline(CALL, FILES)))
    kt.check(done.exit == 3 and "memory" in done.err, "not refused", done)


@kt.test
def damage_is_reported_with_the_files_name():
    image = kt.bake(kt.pipeline(CALL, FILES))
    data = bytearray(kt.read_bytes(image))
    data[-5000] ^= 1
    done = kt.kchain("run", kt.write_bytes(image, bytes(data)))
    kt.check(done.exit == 3 and f"{image}: " in done.err and "damaged" in done.err, "not refused", done)


@kt.test
def too_little_memory_is_said_when_baking():
    path = kt.write_json(kt.scratch("p.json"), kt.pipeline([{"name": "echo", "boot": "fs:/echo"}], FILES))
    image = kt.scratch("image.elf")
    done = kt.kchain("bake", path, "-o", image, "--memory", "2M")
    kt.check(done.exit == 3 and "memory" in done.err, "not refused", done)
    kt.check(not os.path.exists(image), "a file is left behind")


@kt.test
def no_dhcp_answer_leaves_an_optional_network_present():
    with kt.silent_network() as network:
        ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline(CALL, FILES, net=net("optional"))), qemu=network))
    lan = ended.of("result")[0]["result"]["handoff"]["net"]["lan"]
    kt.check(lan["status"] == "present" and lan["reason"], "net", lan)


@kt.test
def no_dhcp_answer_is_a_failure_where_the_network_is_required():
    with kt.silent_network() as network:
        ended = kt.expect_error(kt.boot(kt.bake(kt.pipeline(CALL, FILES, net=net("required"))), qemu=network), "device-missing")
    messages = [e["message"] for e in ended.of("error")]
    kt.check(messages == ["lan: required, but it is present: no DHCP answer within 2000 ms"], "errors", messages)


def broken_disks():
    """Name, bytes, and what is said of them: the kind of table, the trouble with it, where its partitions begin."""
    def entry(kind, first, count):
        return bytes([0, 0, 0, 0, kind, 0, 0, 0]) + first.to_bytes(4, "little") + count.to_bytes(4, "little")

    def sector(*entries):
        return (bytes(446) + b"".join(entries)).ljust(510, b"\0") + b"\x55\xaa"
    protective = sector(entry(0xEE, 1, 0xFFFFFFFF))
    extended = sector(entry(0x05, 1, 1000))
    return (("partition past the end", sector(entry(0x83, 2048, 0xFFFFFFF0)),
             "broken", "MBR partition 1: it does not lie on the disk (sector 2048, 4294967280 sectors)", []),
            ("a link of extended partitions to nowhere", extended + sector(entry(0x83, 1, 1), entry(0x05, 0, 1000)),
             "mbr", "extended partition: a link points outside of it (sector 0)", [1, 2]),
            ("extended partitions in a circle", extended + 2 * sector(entry(0x83, 3, 1), entry(0x05, 1, 1000)),
             "mbr", "extended partition: its chain loops (sector 2)", [1, 4, 5]),
            ("protective MBR, GPT header of rubbish", protective + b"EFI PART" + bytes(range(256)) * 4,
             "broken", f"GPT header at sector 1: size ({0x07060504}, not 92)", []),
            ("protective MBR without GPT", protective,
             "broken", f"GPT header at sector 1: signature (0, not {0x5452415020494645})", []),
            ("rubbish with a signature", b"\xa7" * 510 + b"\x55\xaa", "none", None, []))


@kt.test
def broken_partition_tables_are_reported_and_do_no_harm():
    image = kt.bake(kt.pipeline(CALL, FILES, block=block("optional")))
    for name, data, table, trouble, begins in broken_disks():
        path = kt.scratch("disk.img")
        kt.write_bytes(path, data.ljust(4 << 20, b"\0"))
        ended = kt.expect_end(kt.boot(image, qemu=kt.virtio_disk(path)))
        entry = ended.of("result")[0]["result"]["handoff"]["block"]["data"]
        seen = (entry["status"], entry["table"], entry.get("table_error"), [p["start_lba"] for p in entry["partitions"]])
        wanted = ("configured", table, trouble and f"{entry['pci']}: {trouble}", begins)
        kt.check(seen == wanted, f"{name}: {seen}, wanted {wanted}")


@kt.test
def disks_smaller_than_a_table_are_inventoried():
    image = kt.bake(kt.pipeline(CALL, FILES, block=block("required")))
    path = kt.write_bytes(kt.scratch("tiny.img"), bytes(512))
    kt.expect_end(kt.boot(image, qemu=kt.virtio_disk(path)))


@kt.test
def bad_handoffs_are_refused():
    image = kt.bake(kt.pipeline(CALL, FILES))
    cases = (("malformed", b'{"kchain_handoff":1,'), ("not JSON", b"\0\xff" * 50), ("empty object", b"{}"), ("other version", b'{"kchain_handoff":99}'),
             ("wrong type", b'{"kchain_handoff":1,"links":"none"}'), ("duplicate key", b'{"kchain_handoff":1,"kchain_handoff":1}'),
             ("too large", b'{"kchain_handoff":1,"x":"' + b"a" * (3 << 20) + b'"}'), ("deep", b'{"kchain_handoff":1,"x":' + b"[" * 100000 + b"]" * 100000 + b"}"))
    for name, data in cases:
        path = kt.write_bytes(kt.scratch("kchain-handoff"), data)
        ended = kt.boot(image, qemu=["-initrd", path])
        kt.check(ended.status == kt.STAGE_FAILED and ended.of("error"), f"{name}: not refused", ended)
        kt.check(kt.re.search("handoff|json|limit", str(ended.of("error")[0]), kt.re.I), f"{name}: the error is about something else", ended)


@kt.test
def no_serial_port_and_no_screen_on_a_microvm():
    image = kt.bake(kt.pipeline(CALL, FILES))
    with kt.Machine(kt.qemu_argv("microvm,isa-serial=off", "64M", "-kernel", image), serial=False) as m:
        kt.expect_end(kt.Ended(m, m.wait_for_end()))


@kt.test
def records_go_to_the_console_where_there_is_no_debug_port():
    image = kt.bake(kt.pipeline(CALL, FILES))
    done = kt.command(["qemu-system-x86_64", "-accel", "tcg", "-m", "64M", "-display", "none", "-nodefaults", "-no-reboot", "-kernel", image,
                       "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
    kt.check(done.exit == kt.OK, "exit status", done)
    kt.check(kt.re.search(r'(?m)^@kchain \{"event":"end","status":"ok"', done.out), "no end record on the console", done)


@kt.test
def a_missing_module_is_said():
    kt.expect_error(kt.boot(kt.bake(kt.pipeline([{"name": "m", "boot": "module:other", "unverified": True}], FILES))), "source-no-module", "other")


kt.main()
