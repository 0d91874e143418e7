# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""What the QEMU tests share: TAP output, baking, and booting through `kchain run`, QEMU alone or GRUB.

A boot passes on its marker, its exit status and the absence of failure lines together. Every time limit is a hang
detector only: no test measures time.
"""
import atexit
import concurrent.futures
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

KCHAIN = os.path.abspath(os.environ.get("KCHAIN", "build/kchain"))
IMAGES = os.path.abspath(os.environ.get("KCHAIN_IMAGES", "build/images"))
HANG_AFTER_S = 90
# Lines that must not appear on the console of a boot that is meant to go well.
FAILURE = re.compile(r"^.*(\bpanic\b|exception report|\bunhandled\b|assertion|kchain: error).*$", re.I | re.M)

_tests = []
_scratch = tempfile.mkdtemp(prefix="kchain-test-")
atexit.register(shutil.rmtree, _scratch, True)


_prctl, _PR_SET_PDEATHSIG = ctypes.CDLL(None).prctl, 1  # prctl(2)


def end_with_test():
    """For preexec_fn: what is started ends when the thread that starts it does, however that is."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Skip(Exception):
    """Raised with the reason why a test cannot be run here."""


def test(function):
    _tests.append((function.__name__, function))
    return function


def add_test(name, function):
    _tests.append((name, function))


def main():
    """Runs the tests (or those whose names hold the first argument) and prints TAP."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [(n, f) for n, f in _tests if wanted in n]
    print(f"1..{len(chosen)}")
    failed = 0
    for number, (name, function) in enumerate(chosen, 1):
        try:
            function()
            line = f"ok {number} - {name}"
        except Skip as reason:
            line = f"ok {number} - {name} # SKIP {reason}"
        except Exception as error:  # a broken test must not end the others
            failed += 1
            line = f"not ok {number} - {name}"
            detail = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            line += "".join("\n#   " + text for text in detail.splitlines())
        print(line, flush=True)
    sys.exit(1 if failed else 0)


def check(condition, message, *details):
    if not condition:
        raise AssertionError("\n".join([message] + [str(d)[-6000:] for d in details]))


def scratch(name):
    return os.path.join(tempfile.mkdtemp(dir=_scratch), name)


def in_parallel(function, items, workers=2):
    """Maps in order; a QEMU under TCG keeps one processor busy, so two at a time."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


@contextlib.contextmanager
def busy_host():
    """Every processor of the host wanted by four others."""
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin, stdin=subprocess.DEVNULL, preexec_fn=end_with_test) for _ in range(4 * os.cpu_count())]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait()


# --- the command ---------------------------------------------------------------------------------------------------

class Done:
    """How a command ended."""

    def __init__(self, argv, exit_status, out, err):
        self.argv, self.exit, self.out, self.err = argv, exit_status, out, err

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"$ {' '.join(self.argv)}\nexit {self.exit}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}"


def command(argv, hang_after_s=HANG_AFTER_S, **more):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=hang_after_s, check=False,
                              **{"preexec_fn": end_with_test, **more})
    except subprocess.TimeoutExpired as hung:
        raise AssertionError(f"hangs: {' '.join(argv)}\n{(hung.stdout or b'')[-3000:]!r}\n{(hung.stderr or b'')[-1500:]!r}") from None
    return Done(argv, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def kchain(*args, **more):
    return command([KCHAIN, *map(str, args)], **more)


def fsverity(data):
    """fs-verity's digest of bytes, as `fsverity digest --compact` prints it of a file that has them."""
    level = [hashlib.sha256(bytes(data[at:at + 4096]).ljust(4096, b"\0")).digest() for at in range(0, len(data), 4096)]
    while len(level) > 1:
        level = [hashlib.sha256(b"".join(level[at:at + 128]).ljust(4096, b"\0")).digest() for at in range(0, len(level), 128)]
    root = level[0] if level else bytes(32)
    return hashlib.sha256(bytes([1, 1, 12, 0, 0, 0, 0, 0]) + len(data).to_bytes(8, "little") + root.ljust(64, b"\0") + bytes(176)).hexdigest()


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1)
    return path


def read_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def write_bytes(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def pipeline(steps, files=None, **more):
    """A pipeline as a value; host paths in `files` become absolute, so it can be written anywhere."""
    files = {k: os.path.abspath(v) for k, v in (files or {}).items()}
    return {"kchain": 1, "name": more.pop("name", "test"), "files": files, **more, "steps": steps}


def bake(value, *args):
    """Bakes a pipeline given as a value or a path; returns the image's path."""
    path = value if isinstance(value, str) else write_json(scratch("pipeline.json"), value)
    image = scratch("image.elf")
    done = kchain("bake", path, "-o", image, *args)
    check(done.exit == 0, "bake failed", done)
    return image


def config_image(name):
    path = os.path.join(IMAGES, name + ".elf")
    check(os.path.exists(path), f"{path} is not there: make images")
    return path


def failed(entry):
    """The kernels of a fan-out that failed for good, each with what its group in the step's entry of `results` says, ascending."""
    found = []
    for group in entry["failures"]:
        check(group["count"] == len(group["indices"]) and group["indices"] == sorted(group["indices"]), "a group's kernels", group)
        check("inputs" not in group or len(group["inputs"]) == group["count"], "a group's inputs", group)
        shared = {key: value for key, value in group.items() if key not in ("count", "indices", "inputs")}
        for place, index in enumerate(group["indices"]):
            own = {"input": group["inputs"][place]} if "inputs" in group else {}
            if "fault" in shared:
                lists = {"addresses": "address", "error_codes": "error_code", "cpus": "cpu"}
                own["fault"] = {lists.get(key, key): value[place] if key in lists else value for key, value in shared["fault"].items()}
            found.append({"index": index, **shared, **own})
    check(len(found) == entry["failed"] == len({f["index"] for f in found}), "failures", entry["failures"])
    sizes = [group["count"] for group in entry["failures"]]
    check(sizes == sorted(sizes, reverse=True), "the largest group first", sizes)
    return sorted(found, key=lambda f: f["index"])


class Boot:
    """What was seen of a boot through `kchain run`."""

    def __init__(self, done, result):
        self.done, self.exit, self.console, self.result = done, done.exit, done.out + done.err, result

    def __str__(self):
        return str(self.done)


def run(image, *args, qemu=(), hang_after_s=HANG_AFTER_S):
    """`kchain run` with its result read back (None where it wrote none)."""
    result = scratch("result.json")
    argv = [KCHAIN, "run", image, "--result", result, "--timeout", f"{hang_after_s - 10}s", *map(str, args)]
    done = command(argv + (["--", *qemu] if qemu else []), hang_after_s=hang_after_s)
    value = None
    if os.path.exists(result):
        with open(result, encoding="utf-8") as f:
            value = json.load(f)
    return Boot(done, value)


def expect_boot(boot, exit_status=0, marker=None):
    """Status, marker and no failure line, together."""
    check(boot.exit == exit_status, f"exit status {boot.exit}, wanted {exit_status}", boot)
    if marker:
        check(re.search(marker, boot.console), f"no {marker!r} on the console", boot)
    if exit_status == 0:
        bad = FAILURE.search(boot.console)
        check(not bad, f"failure line: {bad and bad.group(0)}", boot)
    return boot


# --- QEMU without `kchain run` -------------------------------------------------------------------------------------

def qemu_argv(machine="pc", memory="128M", *more):
    return ["qemu-system-x86_64", "-accel", "tcg", "-machine", machine, "-m", memory, "-display", "none", "-nodefaults",
            "-no-reboot", *map(str, more)]


class Machine:
    """A QEMU of its own: serial console collected, QMP for what a person would look at."""

    def __init__(self, argv, serial=True):
        self.serial, self.debug, qmp = scratch("serial.log"), scratch("records"), scratch("qmp")
        for path in (self.serial, self.debug):
            open(path, "wb").close()
        self.argv = argv + (["-serial", f"file:{self.serial}"] if serial else []) + ["-qmp", f"unix:{qmp},server=on,wait=off",
                            "-chardev", f"file,id=records,path={self.debug}", "-device", "isa-debugcon,iobase=0xe9,chardev=records",
                            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
        self.qmp_path, self._qmp = qmp, None
        self.errors = open(scratch("stderr"), "w+b")
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        preexec_fn=end_with_test)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()

    def console(self):
        return read_bytes(self.serial).decode("utf-8", "replace")

    def records(self, event=None):
        """The machine records so far (docs/RECORDS.md); a line still being written is left out."""
        found = []
        for line in read_bytes(self.debug).split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                raise AssertionError(f"a record is not JSON: {line[:300]!r}") from None
        return [r for r in found if event in (None, r.get("event"))]

    def wait_for_record(self, event, hang_after_s=HANG_AFTER_S):
        """The first record of that event, or None when QEMU ends without one."""
        self.wait_until(lambda: self.records(event), hang_after_s)
        return (self.records(event) or [None])[0]

    def wait_for_end(self, hang_after_s=HANG_AFTER_S):
        """QEMU's exit status: the verdict of docs/RECORDS.md. None when it has not ended: a hang."""
        self.wait_until(lambda: False if self.process.poll() is None else True, hang_after_s)
        return self.process.poll()

    def wait_for(self, pattern, hang_after_s=HANG_AFTER_S):
        """Waits for the pattern on the console; the text seen so far when QEMU ends first or nothing comes."""
        return self.wait_until(lambda: re.search(pattern, self.console()), hang_after_s)

    def wait_until(self, condition, hang_after_s=HANG_AFTER_S):
        deadline = time.monotonic() + hang_after_s
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if condition():
                return True
            if ended:
                return False
            time.sleep(0.02)
        return False

    def qmp(self, execute, **arguments):
        if self._qmp is None:
            self._qmp = socket.socket(socket.AF_UNIX)
            deadline = time.monotonic() + 10
            while True:
                try:
                    self._qmp.connect(self.qmp_path)
                    break
                except OSError:
                    check(time.monotonic() < deadline, "QEMU does not open its monitor")
                    time.sleep(0.02)
            self._qmp_file = self._qmp.makefile("rw", encoding="utf-8")
            self._qmp_file.readline()
            self._qmp_send("qmp_capabilities", {})
        return self._qmp_send(execute, arguments)

    def _qmp_send(self, execute, arguments):
        self._qmp_file.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        self._qmp_file.flush()
        while True:
            answer = json.loads(self._qmp_file.readline())
            if "return" in answer or "error" in answer:
                check("return" in answer, f"{execute}: {answer}")
                return answer["return"]

    def screen_text(self):
        """The VGA text buffer as 25 lines."""
        path = scratch("text")
        self.qmp("pmemsave", val=0xB8000, size=4000, filename=path)
        cells = read_bytes(path)[::2].decode("cp437").replace("\0", " ")
        return [cells[i:i + 80].rstrip() for i in range(0, 2000, 80)]

    def screen_picture(self):
        """The screen as (width, height, bytes of RGB)."""
        path = scratch("screen.ppm")
        self.qmp("screendump", filename=path)
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", read_bytes(path))
        check(head, "screendump is no PPM")
        return int(head.group(1)), int(head.group(2)), read_bytes(path)[head.end():]

    def explain(self):
        self.errors.seek(0)
        return (f"$ {' '.join(self.argv)}\n{self.console()[-4000:]}\n--- stderr\n{self.errors.read().decode()[-1000:]}"
                f"\n--- records\n{read_bytes(self.debug).decode('utf-8', 'replace')[-2500:]}")


def grub_iso(image, modules=(), args="", checked=False, by="multiboot"):
    """A BIOS ISO whose GRUB boots the image by that command; `checked`: only if it has the right SHA-256."""
    top = scratch("iso")
    os.makedirs(top + "/boot/grub")
    shutil.copy(image, top + "/boot/image.elf")
    lines = ["set timeout=0", f"{by} /boot/image.elf {args}"]
    if checked:
        sums = f"{hashlib.sha256(read_bytes(image)).hexdigest()}  /boot/image.elf\n"
        write_bytes(top + "/boot/sums", sums.encode())
        lines.insert(1, "if ! hashsum --hash sha256 --check /boot/sums; then halt; fi")
    for number, (path, string) in enumerate(modules):
        shutil.copy(path, f"{top}/boot/module{number}")
        lines.append(f"module /boot/module{number} {string}")
    with open(top + "/boot/grub/grub.cfg", "w", encoding="utf-8") as f:
        f.write("\n".join(lines + ["boot", ""]))
    iso = scratch("boot.iso")
    done = command(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", f"--install-modules={by} normal iso9660 biosdisk" + " halt hashsum gcry_sha256" * checked,
                    "--locales=", "--fonts=", "--themes=", "-o", iso, top])
    check(done.exit == 0 and os.path.exists(iso), "grub-mkrescue failed", done)
    return iso


# QEMU's exit status by verdict (docs/RECORDS.md).
OK, CHILD_FAILED, STAGE_FAILED, UNMET = 33, 35, 37, 39

USER_NET = ["-netdev", "user,id=lan,restrict=on", "-device", "virtio-net-pci,netdev=lan,mac=52:54:00:12:34:56"]


def virtio_disk(path, serial="DATA01", name="disk0"):
    return ["-drive", f"if=none,id={name},format=raw,file={path}", "-device", f"virtio-blk-pci,drive={name},serial={serial}"]


class Ended:
    """A machine that ran to its end: exit status, console and records."""

    def __init__(self, machine, status):
        self.status, self.console, self.records, self.text = status, machine.console(), machine.records(), machine.explain()

    def of(self, event):
        return [r for r in self.records if r.get("event") == event]

    def __str__(self):
        return f"QEMU's exit status {self.status}\n{self.text}"


def boot(image, machine="pc", memory="128M", qemu=(), hang_after_s=HANG_AFTER_S):
    """Boots by QEMU's own loader and waits for the end."""
    with Machine(qemu_argv(machine, memory, "-kernel", image, *qemu)) as m:
        status = m.wait_for_end(hang_after_s)
        check(status is not None, "hangs", m.explain())
        return Ended(m, status)


def expect_end(ended, status=OK):
    """Exit status, the end record that belongs to it, and no failure line, together."""
    check(ended.status == status, f"exit status {ended.status}, wanted {status}", ended)
    if status == OK:
        # A stage says how the chain ended; a native kernel that was booted, how it left itself.
        check([r["status"] for r in (ended.of("end") or ended.of("exit"))[-1:]] in (["ok"], [0]), "no end record", ended)
        bad = FAILURE.search(ended.console)
        check(not bad, f"failure line: {bad and bad.group(0)}", ended)
    return ended


def expect_error(ended, slug, message=None, status=STAGE_FAILED):
    """The stage failed for this reason and said so, on the console and as a record."""
    check(ended.status == status, f"exit status {ended.status}, wanted {status}", ended)
    errors = ended.of("error")
    check(any(re.fullmatch(slug, e["slug"]) and re.search(message or "", e["message"]) for e in errors),
          f"no error record {slug} {message or ''}", ended)
    check(any(e["message"][:60] in ended.console for e in errors), "the error is not on the console", ended)
    return ended


# --- disks -----------------------------------------------------------------------------------------------------------

def disk(name="disk.img", size_bytes=8 << 20, partitions=None):
    """A raw disk; `partitions` is a script for sfdisk."""
    path = scratch(name)
    with open(path, "wb") as f:
        f.truncate(size_bytes)
    if partitions:
        sfdisk = shutil.which("sfdisk") or "/usr/sbin/sfdisk"
        done = subprocess.run([sfdisk, "-q", path], input=partitions.encode(), capture_output=True, check=False)
        check(done.returncode == 0, "sfdisk failed", done.stderr.decode())
    return path


@contextlib.contextmanager
def silent_network():
    """QEMU arguments of a network without anybody on it: a UDP socket whose other end nobody reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind(("127.0.0.1", 0))
            local = own.getsockname()[1]
        yield ["-netdev", f"socket,id=quiet,udp=127.0.0.1:{peer.getsockname()[1]},localaddr=127.0.0.1:{local}",
               "-device", "virtio-net-pci,netdev=quiet"]
