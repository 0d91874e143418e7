# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Boots whose time is counted in instructions, and what the figures were measured with.

Under `-icount shift=0,sleep=off` the emulated processor's TSC counts the instructions since reset, so that two
ticks are as far apart as the instructions between them, whatever else the host does; such boots may run side by
side.
"""
import os
import platform
import re
import time

import kt

ICOUNT = ["-icount", "shift=0,sleep=off", "-cpu", "max"]
HANG_AFTER_S = 600


class Late(AssertionError):
    """A boot was not through when HANG_AFTER_S were: a hang, or a machine with too much else to do."""


class Counted:
    """A boot that ended with the verdict "as expected": its records."""

    def __init__(self, records):
        self.records = records

    def all(self, event, **fields):
        found = [r for r in self.records if r.get("event") == event and all(r.get(k) == v for k, v in fields.items())]
        kt.check(found, f"no record {event} {fields}")
        return found

    def first(self, event, **fields):
        return self.all(event, **fields)[0]

    def ticks(self, event, **fields):
        ticks = self.first(event, **fields)["ticks"]
        return ticks if isinstance(ticks, int) else int(ticks, 16)


def count(*args, memory="512M", icount=True, machine="pc"):
    """Boots with these QEMU arguments to the end; a serial port, the debug port and the exit port are the only devices.

    Without icount the ticks are those of the emulated clock: time, not instructions.
    """
    with kt.Machine(kt.qemu_argv(machine, memory, *(ICOUNT if icount else ICOUNT[2:]), *args)) as booted:
        status = booted.wait_for_end(HANG_AFTER_S)
        if status is None:
            raise Late(f"not through in {HANG_AFTER_S} s\n{booted.explain()}")
        kt.check(status == kt.OK, f"QEMU's exit status {status}, wanted {kt.OK}", booted.explain())
        return Counted(booted.records())


def first_line(*argv):
    try:
        done = kt.command(list(argv))
    except OSError:
        return "not installed"
    return ((done.out + done.err).strip().splitlines() or ["?"])[0]


def package(name):
    done = kt.command(["dpkg-query", "-W", "-f", "${Version}", name])
    return done.out if done.exit == 0 else "not installed"


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return f"{found.group(1) if found else platform.machine()}, {os.cpu_count()} processors"


def surroundings():
    """What the figures depend on, as (name, value) pairs."""
    return [
        ("kchain", first_line("git", "describe", "--always", "--dirty")),
        ("accelerator", "tcg; instructions by -icount shift=0,sleep=off -cpu max; machine pc"),
        ("QEMU", first_line("qemu-system-x86_64", "--version")),
        ("compiler", first_line("gcc", "--version")),
        ("GRUB", package("grub-pc-bin")),
        ("iPXE", package("ipxe")),
        ("erofs-utils", package("erofs-utils")),
        ("processor", processor()),
        ("kernel", platform.release()),
        ("date", time.strftime("%Y-%m-%d %H:%M", time.gmtime())),
    ]


def load():
    return os.getloadavg()[0]
