# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A Debian kernel that nobody installed (tools/fetch-linux), and an initramfs for it: busybox, modules, and a script as init."""
import functools
import glob
import os
import re

import kt


@functools.lru_cache(maxsize=None)
def fetched():
    """The folder that `kchain kernel fetch` fills, once."""
    folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kchain/kernels/linux-image-cloud-amd64")
    if not os.path.exists(os.path.join(folder, "kernel.json")):
        done = kt.kchain("kernel", "fetch")
        if done.exit != 0:
            raise kt.Skip(f"no kernel: {done.err.strip()}")
    return folder


class Linux:
    """What tools/fetch-linux unpacked."""

    def __init__(self, folder):
        self.folder = folder
        self.kernel = self.only("boot/vmlinuz-*")
        self.version = os.path.basename(self.kernel).removeprefix("vmlinuz-")
        self.busybox, self.kexec = self.only("**/bin/busybox"), self.only("**/sbin/kexec")
        # What one release has as a module is within the kernel of another.
        with open(self.only("**/modules.builtin"), encoding="utf-8") as f:
            self.builtin = {os.path.basename(line.strip()).removesuffix(".ko").replace("-", "_") for line in f}

    def only(self, pattern):
        found = glob.glob(os.path.join(self.folder, pattern), recursive=True)
        kt.check(len(found) == 1, f"{len(found)} of {pattern} in {self.folder}")
        return found[0]

    def module_files(self, *names):
        """The modules' files, each behind those that it needs, without what the kernel has built in."""
        files = []
        for name in (n for n in names if n.replace("-", "_") not in self.builtin):
            path = self.only(f"**/lib/modules/**/{name}.ko")
            needs = re.search(rb"\0depends=([^\0]*)\0", kt.read_bytes(path)).group(1).decode()
            for needed in [*self.module_files(*filter(None, needs.split(","))), path]:
                if needed not in files:
                    files.append(needed)
        return files

    def libraries(self, program):
        """(name in the initramfs, path) of what the dynamic linker would load."""
        where = os.path.join(self.folder, "usr/lib/x86_64-linux-gnu")
        done = kt.command(["ldd", program], env=dict(os.environ, LD_LIBRARY_PATH=where))
        kt.check(done.exit == 0 and "not found" not in done.out, "a library is missing", done)
        for found in re.findall(r"(/\S+) \(0x", done.out):
            yield ("lib64/" if "/ld-linux" in found else "lib/") + os.path.basename(found), found


def find():
    """(Linux, None), or (None, why there is none)."""
    done = kt.command(["tools/fetch-linux", "--cached"])
    return (Linux(done.out.strip()), None) if done.exit == 0 else (None, done.err.strip())


def entry(number, name, mode, data):
    """One of a cpio archive's (newc): header and name, then the data, each padded to four bytes."""
    name_bytes = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name_bytes), 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name_bytes
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initramfs(system, script, files=(), modules=()):
    """An archive whose init is the script, with these files as (name, path) and these modules loaded before it. Returns its path."""
    modules = [(os.path.basename(path), path) for path in system.module_files(*modules)]
    load = "".join(f"/busybox insmod /{name} || echo insmod {name} failed\n" for name, _ in modules)
    mounts = "".join(f"/busybox mount -t {kind} none {where}\n" for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")))
    init = f"#!/busybox sh\n{mounts}{load}{script}\n/busybox poweroff -f\n"
    entries = [(folder, 0o40755, b"") for folder in ("proc", "sys", "dev", "mnt", "lib", "lib64")] + [("init", 0o100755, init.encode())]
    for name, path in (("busybox", system.busybox), *modules, *files):
        entries.append((name, 0o100755, kt.read_bytes(path)))
    entries.append(("TRAILER!!!", 0, b""))
    return kt.write_bytes(kt.scratch("initramfs"), b"".join(entry(number, *e) for number, e in enumerate(entries, 1)))
