# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Linux as a loader: a Debian kernel whose initramfs holds busybox, kexec and the child, and does nothing but start it."""
import linux

SCRIPT = "export LD_LIBRARY_PATH=/lib\n/kexec -c -l --type=multiboot-x86 /child && /kexec -e"


def boot(system, child):
    """QEMU's arguments."""
    files = [("kexec", system.kexec), ("child", child), *system.libraries(system.kexec)]
    return ["-kernel", system.kernel, "-initrd", linux.initramfs(system, SCRIPT, files), "-append", "quiet reboot=t"]
