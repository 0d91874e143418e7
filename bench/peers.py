# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""iPXE as QEMU arguments; GRUB's ISO is made by kt.grub_iso."""
import kt
from web import served

IPXE = "/usr/lib/ipxe/ipxe.lkrn"
STATIC = "ifopen net0\nset net0/ip 10.0.2.15\nset net0/netmask 255.255.255.0"
NET = ["-device", "virtio-net-pci,netdev=lan,romfile=,mac=52:54:00:12:34:56"]


def ipxe(configure, url):
    """iPXE, started by QEMU -kernel, configures its network, loads the kernel and starts it."""
    script = kt.write_bytes(kt.scratch("script.ipxe"), f"#!ipxe\n{configure}\nkernel {url}\nboot\n".encode())
    return ["-kernel", IPXE, "-initrd", script, "-netdev", "user,id=lan", *NET]
