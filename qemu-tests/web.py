# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A web server for machines in QEMU's user network."""
import contextlib
import functools
import http.server
import os
import threading


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
