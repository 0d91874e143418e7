# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""A mirror of Debian's archive on this machine, for systems that a test makes: it has what was asked for once, and fetches the rest.

Files come from the archive that this machine's apt is set up for, by apt's own helper, and stay in the cache (as those of tools/fetch.sh
do). Nothing is believed here: whoever asks checks signatures and digests as with any mirror. What was served is counted.
"""
import hashlib
import http.server
import os
import re
import subprocess
import tempfile
import threading

HELPER = "/usr/lib/apt/apt-helper"


def cache():
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kchain")


def upstream():
    """The first archive with the component main that this machine's apt knows, or None."""
    try:
        done = subprocess.run(["apt-get", "indextargets", "Created-By: Packages", "Component: main", "Origin: Debian", "--format", "$(REPO_URI)"],
                              capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    found = [line for line in done.stdout.splitlines() if not line.rstrip("/").endswith("-security")]
    return found[0].rstrip("/") if found else None


class Mirror:
    """Serves http://127.0.0.1:PORT/ while it is entered."""

    def __init__(self, folder):
        self.folder, self.upstream = folder, upstream()
        self.bytes, self.used, self.unreached = 0, set(), None
        self._asked, self._lock = set(), threading.Lock()

    def __enter__(self):
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # named by http.server
                path = mirror.file(self.path.lstrip("/"))
                if path is None:
                    self.send_error(404)
                    return
                with open(path, "rb") as f:
                    data = f.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                mirror.bytes += len(data)

            def log_message(self, *_):  # standard error is the test's
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def file(self, name):
        """The path of an archive's file in the cache, or None: there is no such file, or it can't be fetched (`unreached` says why)."""
        if not re.fullmatch(r"(?:dists|pool)(?:/[\w+~%:-][\w.+~%:-]*)+", name):
            return None
        path = os.path.join(self.folder, name)
        # Names in pool/ and digests stand for the same bytes for ever; an index is asked for again, once, if the archive can be reached.
        with self._lock:
            for_ever = name.startswith("pool/") or "/by-hash/" in name
            if not (is_whole(path) and (for_ever or name in self._asked)):
                self._asked.add(name)
                self._fetch(name, path)
            self.used.update((path, path + ".sha256"))
        return path if is_whole(path) else None

    def _fetch(self, name, path):
        if not self.upstream or not os.access(HELPER, os.X_OK):
            self.unreached = self.unreached or "apt knows no archive of Debian"
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as work:
            got = os.path.join(work, "got")
            done = subprocess.run([HELPER, "-q", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20", "-o", "APT::Sandbox::User=",
                                   "download-file", f"{self.upstream}/{name}", got], capture_output=True, text=True, check=False)
            if done.returncode or not os.path.exists(got):
                reason = re.search(r"(?m)^E: (.*)", done.stderr + done.stdout)
                if not is_whole(path) and not (reason and " 404 " in reason.group(1)):
                    self.unreached = self.unreached or (reason.group(1) if reason else f"cannot fetch {name}")
                return
            with open(path + ".sha256", "w", encoding="ascii") as f:
                f.write(digest(got))
            os.replace(got, path)

    def prune(self):
        """Removes what was not asked for this time: the archive replaces its packages by newer ones."""
        for top in ("dists", "pool"):
            for folder, _, names in os.walk(os.path.join(self.folder, top)):
                for path in (os.path.join(folder, name) for name in names):
                    if path not in self.used:
                        os.unlink(path)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def is_whole(path):
    """A file that was cut or damaged in the cache is fetched again."""
    try:
        with open(path + ".sha256", encoding="ascii") as f:
            return f.read() == digest(path)
    except OSError:
        return False
