#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 600
"""kchain-next: a running Linux as a link of a chain. From a root of ours, and from a Linux that knows nothing of us; and what it refuses.
Skipped where no kernel can be had."""
import functools
import json
import os
import re
import shutil
import struct

import kt
import linux
import roots
import uefi

NEXT = "build/next/kchain-next"
# One root and one image: the handoff says what the program does.
SCRIPT = """#!/bin/sh
b=/bin/busybox
$b mount -t ext4 -o ro /dev/vda /mnt || exit 9
echo '{"sum": 42}' >/run/kchain/result.json
echo '{"more": 7}' >/tmp/state.json
exec /run/kchain/kchain-next --yes --state /tmp/state.json $ARGS
"""


def last(**more):
    """The image at the chain's end, which calls a kernel on each of two processors."""
    return kt.pipeline([{"name": "hello", "call": "fs:/hello", "fanout": {"count": 2}}], {"/hello": "build/kernels/hello.elf"}, name="last", **more)


@functools.lru_cache(maxsize=None)
def busybox_root():
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    top = kt.scratch("root")
    for folder in ("bin", "dev", "proc", "sys", "run", "tmp", "mnt"):
        os.makedirs(os.path.join(top, folder))
    shutil.copy(system.busybox, os.path.join(top, "bin/busybox"))
    os.symlink("busybox", os.path.join(top, "bin/sh"))
    kt.write_bytes(os.path.join(top, "program"), SCRIPT.encode())
    os.chmod(os.path.join(top, "program"), 0o755)
    return top


@functools.lru_cache(maxsize=None)
def front():
    roots.kernel()
    return kt.bake({"kchain": 1, "name": "front", "net": {"lan": {"dhcp": True}}, "state": {"front": 1},
                    "root": {"from": busybox_root(), "owner": "0:0", "entrypoint": ["/program"], "next": True, "load": ["virtio_blk"],
                             "env": {"ARGS": "{{state.args|/mnt/last.elf}}"}},
                    "steps": [{"name": "program", "boot": "linux"}]})


@functools.lru_cache(maxsize=None)
def disk():
    """An ext4 with the last image in each of its forms."""
    folder, out = kt.scratch("disk"), kt.scratch("disk.img")
    os.makedirs(folder)
    shutil.copy(kt.bake(last()), os.path.join(folder, "last.elf"))
    shutil.copy(kt.bake(last(), "--format", "pvh"), os.path.join(folder, "last-pvh.elf"))
    done = kt.command(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", folder, out, "16M"])
    kt.check(done.exit == 0, "no ext4", done)
    return out


def chain(args, memory="256M"):
    handoff = kt.write_json(kt.scratch("handoff.json"), {"state": {"args": args}})
    return kt.run(front(), "--handoff", handoff, "--disk", disk(), "--net", "--cpus", "2", "--memory", memory, hang_after_s=300)


def check_end(found, names, doors):
    """The chain came to its end with these links; returns the last handoff."""
    kt.expect_boot(found)
    doc = found.result
    links = doc["links"]
    kt.check([link["name"] for link in links] == names and [link["door"] for link in links] == doors, "other links", links)
    kt.check([link["n"] for link in links] == list(range(len(links))), "numbers", links)
    times = [t for link in links for t in (link["entered_ticks"], link["left_ticks"])]
    kt.check(times == sorted(times), "they are not in order", links)
    entry = doc["results"]["hello"]
    kt.check(entry["status"] == "ok" and doc["platform"]["cpus"] == 2, "two processors were not had", doc)
    return doc


def three_links(file, door):
    def test():
        doc = check_end(chain(f"/mnt/{file}"), ["front", "linux", "last"], ["multiboot1", "linux", door])
        kt.check(doc["results"]["linux"] == {"status": "ok", "exit": 0, "result": {"sum": 42}}, "the result of Linux", doc["results"])
        kt.check(doc["state"]["front"] == 1 and doc["state"]["more"] == 7, "the state", doc["state"])
        kt.check(doc["net"]["lan"]["addresses"] == ["10.0.2.15/24"], "the network", doc["net"])
        kt.check("root" not in doc, "a root that is gone", doc)
        kt.check(not any(entry["type"] == 12 for entry in doc["platform"]["memory"]), "the root's memory is lost", doc["platform"])
    return test


kt.add_test("stage_linux_and_an_image_are_three_links", three_links("last.elf", "multiboot1"))
kt.add_test("an_image_for_pvh_is_started_as_well", three_links("last-pvh.elf", "pvh"))


@kt.test
def debian_of_packages_starts_an_image():
    """Its program is what the package installs, and the image a file of the root."""
    roots.kernel()
    folder = kt.scratch("debian")
    shutil.copytree(os.path.join(roots.packages("check"), "python"), folder, symlinks=True)
    os.makedirs(os.path.join(folder, "usr/sbin"), exist_ok=True)
    shutil.copy(NEXT, os.path.join(folder, "usr/sbin/kchain-next"))
    shutil.copy(kt.bake(last()), os.path.join(folder, "srv/image.elf"))
    image = kt.bake({"kchain": 1, "name": "debian", "root": {"from": folder, "owner": "0:0", "workdir": "/srv",
                     "entrypoint": ["kchain-next", "image.elf", "--yes", "--name", "bookworm"]}, "steps": [{"name": "d", "boot": "linux"}]})
    check_end(kt.run(image, "--cpus", "2", "--memory", "384M", hang_after_s=300), ["debian", "bookworm", "last"], ["multiboot1", "linux", "multiboot1"])


# --- a Linux that knows nothing of us ---

def ordinary(script, files=(), append="", firmware=(), memory="256M"):
    """Debian's kernel with busybox, whose init is the script; what it came to."""
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    initrd = linux.initramfs(system, script, [("kchain-next", NEXT), ("image.elf", kt.bake(last())), *files])
    machine = ["-machine", "q35" if firmware else "pc"]
    argv = ["qemu-system-x86_64", "-accel", "tcg", *machine, "-m", memory, "-display", "none", "-nodefaults", "-no-reboot", "-smp", "2", *firmware,
            "-kernel", system.kernel, "-initrd", initrd, "-append", f"quiet reboot=t no_timer_check console=ttyS0 {append}"]
    with kt.Machine(argv) as m:
        status = m.wait_for_end()
        kt.check(status is not None, "hangs", m.explain())
        return kt.Ended(m, status)


@kt.test
def an_image_is_tried_from_an_ordinary_linux():
    for firmware in ((), uefi.firmware()):
        ended = kt.expect_end(ordinary("/kchain-next --yes /image.elf", firmware=firmware, memory="512M"))
        (final,) = (record["doc"] for record in ended.of("handoff") if record.get("final"))
        kt.check([link["name"] for link in final["links"]] == ["linux", "last"], "links", final["links"])
        kt.check(final["platform"]["cpus"] == 2 and re.fullmatch("[0-9a-f]{32}", final["boot_id"]), "machine or boot", final)
        if firmware:
            kt.check("a search found them" not in ended.console and "acpi_rsdp" in final["platform"], "ACPI", ended)


@kt.test
def a_kernel_takes_memory_where_linux_has_its_page_tables():
    """A Multiboot kernel whose zeroed memory is nearly all there is, so that the tables lie in it by which Linux leaves."""
    load, end, said = 1 << 20, 250 << 20, b"== entered\n\0"
    flags = 1 << 16  # the header says where it is loaded (Multiboot 0.6.96, 3.1.3)
    text_at = load + 32 + 24
    # cld; mov esi, text; mov dx, 0x3f8; 1: lodsb; test al, al; jz 2f; out dx, al; jmp 1b; 2: mov al, 0xfe; out 0x64, al; hlt
    code = b"\xfc\xbe" + struct.pack("<I", text_at) + bytes.fromhex("66baf803 ac 84c0 7403 ee ebf8 b0fe e664 f4")
    kernel = struct.pack("<8I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF, load, load, 0, end, load + 32) + code.ljust(24, b"\x90") + said
    ended = ordinary("/kchain-next --yes --handoff-at none /taker", [("taker", kt.write_bytes(kt.scratch("taker"), kernel))])
    kt.check("== entered" in ended.console, "it was not entered", ended.console[-2000:])


# (name, what is run, exit code, what is said of it)
REFUSALS = [
    ("usage", "", 2, "IMAGE is missing"),
    ("two", "/image.elf /more", 2, "'/more' is one operand too many"),
    ("option", "--now --what /image.elf", 2, "unrecognized option: what"),
    ("where", "--handoff-at middle /image.elf", 2, "--handoff-at: 'middle' is not last, first or none"),
    ("nobody", "/image.elf </dev/null", 2, "nobody is there to be asked: --yes"),
    ("absent", "--yes /none.elf", 3, "/none.elf: No such file or directory"),
    ("folder", "--yes /proc", 3, "/proc: Is a directory"),
    ("empty", "--yes /empty", 3, "/empty: not a kernel that can be started: it is empty"),
    ("script", "--yes /init", 3, "/init: not a kernel that can be started: it is a script"),
    ("damaged", "--yes /damaged.elf", 3, "/hello"),
    ("cut", "--yes /cut.elf", 3, r"filesystem: ends at byte \d+ of the file; the file has \d+ bytes"),
    ("other", f"--yes --digest sha256:{64 * '0'} /image.elf", 3, "another image than was asked for"),
    ("digest", "--yes --digest md5:1 /image.elf", 3, "md5:1: is no digest"),
    ("handoff", "--yes --handoff /init /image.elf", 3, "handoff: line 1, column"),
    ("version", "--yes --handoff /old.json /image.elf", 3, "version 7"),
    ("result", "--yes --result /init /image.elf", 3, "/init: line 1, column"),
    ("state", "--yes --state /list.json /image.elf", 3, "/list.json"),
    ("module", "--yes --module /none /image.elf", 3, "/none: No such file or directory"),
    ("dry", "--dry-run /image.elf", 0, "links    linux > it"),
    ("memory", "--yes /image.elf --module /big", 4, r"Linux has to hold \d+ MiB until it starts; \d+ MiB are free"),
    ("signed", "--yes --signed /image.elf", 3, "/image.elf: not supported: --signed with a kernel that is no bzImage"),
    ("bare", "--load --yes --signed --handoff-at none /vmlinuz", 0, "started by whoever asks for it"),
    ("loaded", "--load --yes /image.elf", 0, "started by whoever asks for it"),
]
# (name, what is run with --json, exit code, slug of the one document's error or None)
DOCUMENTS = [
    ("dryjson", "--dry-run /image.elf", 0, None),
    ("nobodyjson", "/image.elf </dev/null", 2, "io"),
    ("absentjson", "--yes /none.elf", 3, "io"),
    ("memoryjson", "--yes /image.elf --module /big", 4, "next-memory"),
    ("loadedjson", "--load --yes /image.elf", 0, None),
]


@kt.test
def what_is_wrong_is_said():
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    damaged = bytearray(kt.read_bytes(kt.bake(last())))
    damaged[-20000] ^= 1
    files = [("damaged.elf", kt.write_bytes(kt.scratch("d"), damaged)), ("cut.elf", kt.write_bytes(kt.scratch("c"), damaged[:-9000])),
             ("vmlinuz", system.kernel), ("empty", kt.write_bytes(kt.scratch("e"), b"")), ("list.json", kt.write_json(kt.scratch("l"), [1])),
             ("old.json", kt.write_json(kt.scratch("o"), {"kchain_handoff": 7, "boot_id": "", "self": {}, "links": [], "clock": {}}))]
    lines = ["/busybox truncate -s 120M /big"]
    for name, args, _, _ in REFUSALS:
        lines.append(f"echo '== {name}'; /kchain-next {args} 2>&1; echo \"== exit $?\"")
    for name, args, _, _ in DOCUMENTS:
        lines.append(f"echo '== {name}'; /kchain-next --json {args} 2>/dev/null; echo \"== exit $?\"")
    lines += ["echo '== held'; /busybox cat /sys/kernel/kexec_loaded; echo '== exit 0'",
              "echo '== user'; /busybox mkdir /etc; echo 'u:x:7:7::/:' >/etc/passwd; /busybox start-stop-daemon -S -c u -x /kchain-next -- --yes /image.elf 2>&1; echo \"== exit $?\"",
              "echo 1 >/proc/sys/kernel/kexec_load_disabled", "echo '== disabled'; /kchain-next --yes /image.elf 2>&1; echo \"== exit $?\""]
    ended = ordinary("\n".join(lines), files)
    said = re.findall(r"== (\w+)\n(.*?)== exit (\d+)", ended.console.replace("\r", ""), re.S)
    found = {name: (int(code), text) for name, text, code in said}
    for name, _, code, text in [*REFUSALS, ("user", "", 4, "not permitted: this process lacks CAP_SYS_BOOT"),
                                ("disabled", "", 4, "kexec is switched off until the next boot")]:
        kt.check(name in found and found[name][0] == code and re.search(text, found[name][1]), f"{name}: not {code} with {text!r}", found.get(name), ended.console[-2000:])
    for name, _, code, slug in DOCUMENTS:
        kt.check(name in found and found[name][0] == code, f"{name}: not {code}", found.get(name), ended.console[-2000:])
        doc = json.loads(found[name][1])  # one, and nothing else
        kt.check(doc["error"]["slug"] == slug and doc["exit"] == code if slug else doc["image"] == "/image.elf" and doc["held_bytes"] > 0, f"{name}: other", doc)
    kt.check(re.search(r"== held\n1\n", ended.console.replace("\r", "")), "nothing is loaded", ended.console[-2000:])


def second_linux(append, args):
    """What is said where a Linux starts itself once more, which prints its handoff, and an image before."""
    system, why_not = linux.find()
    if not system:
        raise kt.Skip(why_not)
    second = linux.initramfs(system, "/busybox cat /kchain/handoff.json; echo; echo '== second'")
    script = ("echo '== image'; /kchain-next --dry-run /image.elf; echo \"== dry $?\"; /kchain-next --yes --load /image.elf\n"
              f"echo '== linux'; /kchain-next --yes {args} --args 'quiet console=ttyS0' --module /second /vmlinuz; echo \"== exit $?\"")
    return ordinary(script, [("vmlinuz", system.kernel), ("second", second)], append, memory="768M").console.replace("\r", "")


@kt.test
def a_locked_linux_takes_what_is_signed_alone():
    """Debian's kernel is signed by a key that Linux knows from Secure Boot's, which is not there. It tells by what Linux takes, since
    securityfs is not mounted."""
    text = second_linux("lockdown=integrity", "")
    kt.check("== dry 3" in text, "what would be done is not what is", text[-3000:])
    for what, why in (("/image.elf", "this is another kernel"), ("/vmlinuz", "Operation not permitted")):
        line = f"kchain-next: {what}: this Linux is locked down and starts nothing but a bzImage that is signed: {why}"
        kt.check(line in text, f"no {line!r}", text[-3000:])
    kt.check("== exit 4" in text and "== second" not in text, "it was started", text[-3000:])


def linux_starts_linux(args):
    def test():
        text = second_linux("", args)
        started = re.search(r'^(\{"kchain_handoff".*\})$', text, re.M)
        kt.check(started and "== second" in text, "it was not started, or got no handoff", text[-3000:])
        doc = json.loads(started[1])
        kt.check([link["name"] for link in doc["links"]] == ["linux"] and doc["self"]["source"] == "/vmlinuz", "another handoff", doc)
    return test


kt.add_test("a_linux_starts_another", linux_starts_linux(""))
kt.add_test("a_linux_loads_another_itself", linux_starts_linux("--signed"))

kt.main()
