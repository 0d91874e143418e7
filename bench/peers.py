# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""iPXE as QEMU arguments; GRUB's ISO is made by kt.grub_iso."""
import contextlib
import functools
import http.server
import os
import threading

import kt

IPXE = "/usr/lib/ipxe/ipxe.lkrn"
STATIC = "ifopen net0\nset net0/ip 10.0.2.15\nset net0/netmask 255.255.255.0"
NET = ["-device", "virtio-net-pci,netdev=lan,romfile=,mac=52:54:00:12:34:56"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(path):
    """A URL at which a machine in QEMU's user network finds the file."""
    handler = functools.partial(Quiet, directory=os.path.dirname(path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://10.0.2.2:{server.server_address[1]}/{os.path.basename(path)}"
        finally:
            server.shutdown()
            thread.join()


def ipxe(configure, url):
    """iPXE, started by QEMU -kernel, configures its network, loads the kernel and starts it."""
    script = kt.write_bytes(kt.scratch("script.ipxe"), f"#!ipxe\n{configure}\nkernel {url}\nboot\n".encode())
    return ["-kernel", IPXE, "-initrd", script, "-netdev", "user,id=lan", *NET]
