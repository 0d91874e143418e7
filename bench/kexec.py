# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Linux as a loader: a Debian kernel whose initrd holds busybox, kexec and the child, and does nothing but start it.

Nobody should have to install a kernel for a benchmark, so the packages are taken from where they are: below BENCH_LINUX
(unpacked by `dpkg -x`), else from this machine if it has them.
"""
import glob
import os
import re

import kt

ROOT = os.environ.get("BENCH_LINUX", "/")
LIBRARIES = [os.path.join(ROOT, d, "x86_64-linux-gnu") for d in ("lib", "usr/lib")]
INIT = b"""#!/busybox sh
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sysfs /sys
export LD_LIBRARY_PATH=/lib
/kexec -l --type=multiboot-x86 /child && /kexec -e
/busybox poweroff -f
"""


def kernels():
    return [k for k in sorted(glob.glob(os.path.join(ROOT, "boot/vmlinuz-*"))) if os.access(k, os.R_OK)]


def program(*names):
    found = [p for p in (os.path.join(ROOT, n) for n in names) if os.path.exists(p)]
    return found[0] if found else None


def tools():
    return program("sbin/kexec", "usr/sbin/kexec"), program("bin/busybox", "usr/bin/busybox")


def missing():
    """Why it cannot be measured; None if it can."""
    lacking = [n for n, there in zip(("a readable vmlinuz", "kexec", "busybox"), (kernels(), *tools())) if not there]
    return f"{', '.join(lacking)} not found (see README.md)" if lacking else None


def libraries(path):
    """(name in the initrd, path) of what the dynamic linker would load."""
    done = kt.command(["ldd", path], env=dict(os.environ, LD_LIBRARY_PATH=":".join(LIBRARIES)))
    kt.check("not found" not in done.out, "a library is missing", done)
    for found in re.findall(r"(/\S+) \(0x", done.out):
        yield ("lib64/" if "/ld-linux" in found else "lib/") + os.path.basename(found), found


def entry(number, name, mode, data):
    """One of a cpio archive's (newc): header and name, then the data, each padded to four bytes."""
    name_bytes = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name_bytes), 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name_bytes
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initrd(child):
    kexec, busybox = tools()
    entries = [(folder, 0o40755, b"") for folder in ("proc", "sys", "lib", "lib64")] + [("init", 0o100755, INIT)]
    for name, path in (("kexec", kexec), ("busybox", busybox), ("child", child), *libraries(kexec)):
        entries.append((name, 0o100755, kt.read_bytes(path)))
    entries.append(("TRAILER!!!", 0, b""))
    archive = b"".join(entry(number, *e) for number, e in enumerate(entries, 1))
    return kt.write_bytes(kt.scratch("initrd"), archive)


def boot(child):
    """QEMU's arguments."""
    return ["-kernel", kernels()[-1], "-initrd", initrd(child), "-append", "quiet reboot=t"]
