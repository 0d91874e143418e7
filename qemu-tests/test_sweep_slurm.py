#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 500
"""`kchain sweep --engine slurm` on a cluster of two nodes that is one machine: munge, slurmctld and two slurmd of Debian's slurm-wlm on
loopback. Instances are fake_qemu.py's; one test boots real ones."""
import contextlib
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

import kt

FAKE = os.path.abspath("qemu-tests/fake_qemu.py")
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
NODES = ("n1", "n2", "n3")
TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={top}/munge.sock
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort={port}
SlurmctldPidFile={top}/ctld.pid
SlurmdPidFile={top}/%n/slurmd.pid
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/%n/spool
SlurmctldLogFile={top}/ctld.log
SlurmdLogFile={top}/%n/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,requeue_delay=1
ReturnToService=2
SlurmdTimeout=5
SlurmctldTimeout=10
KillWait=2
MinJobAge=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=2 State=UNKNOWN
NodeName=n3 NodeHostname={host} NodeAddr=127.0.0.1 Port={third} CPUs=2 State=UNKNOWN
PartitionName=p Nodes=n1,n2 Default=YES State=UP PriorityTier=1
PartitionName=urgent Nodes=n1,n2 State=UP PriorityTier=10
PartitionName=other Nodes=n3 State=UP
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def slurm_version():
    return tuple(int(n) for n in re.search(r"(\d+)\.(\d+)", kt.command(["slurmd", "-V"], env={**os.environ, "PATH": PATH}).out).groups())


class Cluster:
    """Its processes are ours, in the foreground, so that they end with the test."""

    def __init__(self, top):
        self.top, self.processes = top, {}
        host = socket.gethostname().split(".")[0]
        port, first, second, third = free_ports(4)
        for folder in ("state", *NODES):
            os.mkdir(f"{top}/{folder}")
        with open(f"{top}/slurm.conf", "w", encoding="utf-8") as f:
            f.write(CONF.format(host=host, top=top, port=port, first=first, second=second, third=third))
        if slurm_version() >= (23, 11):  # before, it looks for no control groups that nothing above asks for
            kt.write_bytes(f"{top}/cgroup.conf", b"CgroupPlugin=disabled\n")
        kt.write_bytes(f"{top}/munge.key", os.urandom(1024))
        os.chmod(f"{top}/munge.key", 0o400)
        self.env = {**os.environ, "PATH": PATH, "SLURM_CONF": f"{top}/slurm.conf"}

    def start(self, name, *argv):
        log = open(f"{self.top}/{name}.out", "ab")
        self.processes[name] = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def up(self):
        top = self.top
        self.start("munged", "munged", "--foreground", "--force", f"--socket={top}/munge.sock", f"--key-file={top}/munge.key",
                   f"--pid-file={top}/munged.pid", f"--log-file={top}/munged.log", f"--seed-file={top}/munge.seed")
        self.wait(lambda: os.path.exists(f"{top}/munge.sock"), "munged")
        self.start("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.node_up(node)
        self.wait(lambda: self.idle(NODES), "idle nodes")

    def idle(self, nodes):
        return set(nodes) <= set(self.ask("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N").split())

    def node_up(self, node, readonly=None):
        """With a folder that it can't write to: in a namespace of its own."""
        bind = f"mount --bind {readonly} {readonly} && mount -o remount,ro,bind {readonly} && " if readonly else ""
        wrapped = ("unshare", "--mount", "sh", "-c", f"{bind}exec slurmd -D -N {node}") if readonly else ("slurmd", "-D", "-N", node)
        self.start(node, *wrapped)

    def ask(self, *argv):
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False).stdout

    def wait(self, ready, what, seconds=40):
        for _ in range(seconds * 10):
            if ready():
                return
            time.sleep(0.1)
        logs = [f"{name}: " + kt.read_bytes(f"{self.top}/{name}.out").decode("utf-8", "replace")[-1500:] for name in self.processes]
        raise kt.Skip(f"no {what} here") if not self.ask("sinfo") else AssertionError(f"no {what}\n" + "\n".join(logs))

    def node_dies(self, node):
        """Everything that runs there, at once: the daemon, its steps, and what these started."""
        for pid in [self.processes.pop(node).pid, *of_node(node)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def down(self):
        for node in NODES:
            if node in self.processes:
                self.node_dies(node)
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def of_node(node):
    """Processes whose environment says that they are a task's on that node."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as f:
            if f"SLURMD_NODENAME={node}".encode() in f.read().split(b"\0"):
                yield int(name)


def cluster():
    global CLUSTER
    if not all(shutil.which(tool, path=PATH) for tool in TOOLS):
        raise kt.Skip("slurm-wlm and munge are not installed")
    if os.getuid() != 0:
        raise kt.Skip("a cluster of our own needs root")
    if not CLUSTER:
        CLUSTER = Cluster(tempfile.mkdtemp(prefix="kchain-slurm-", dir=os.path.dirname(kt.scratch("x"))))
        os.chmod(CLUSTER.top, 0o755)
        CLUSTER.up()
    return CLUSTER


CLUSTER = IMAGE = None


def image():
    global IMAGE
    IMAGE = IMAGE or kt.bake(kt.pipeline([{"name": "work", "call": "fs:/k", "args": "{{state.index|}}"}], {"/k": "build/kernels/echo.elf"}))
    return IMAGE


def argv(path, *args):
    return [kt.KCHAIN, "sweep", image(), "--engine", "slurm", "--accel", "tcg", "-o", path, *map(str, args)]


def environment(**more):
    return {**cluster().env, "KCHAIN_QEMU": FAKE, **more}


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f][1:]


def check_once(path, count):
    found = lines(path)
    kt.check(sorted(line["index"] for line in found) == list(range(count)), "each index once", len(found))
    kt.check(not os.path.exists(path + ".d"), "its folder is removed")
    return found


@contextlib.contextmanager
def sweeping(path, *args, seconds=0.2, lines_first=0):
    """A sweep that goes on, and has this many lines already."""
    env = environment(FAKE_DO=json.dumps({"do": "answer", "sleep": seconds}))
    with subprocess.Popen(argv(path, *args), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=kt.end_with_test) as process:
        while process.poll() is None and (not os.path.exists(path) or kt.read_bytes(path).count(b"\n") <= lines_first):
            time.sleep(0.1)
        yield process


def check_all_ok(process, path, count):
    out = process.communicate(timeout=200)[0]
    kt.check(process.returncode == 0 and f"{count} instances: {count} ok" in out, "exit status", process.returncode, out)
    return check_once(path, count)


LIMITED = contextlib.ExitStack()


@kt.test
def a_task_out_of_time_begins():
    """Slurm's shortest limit is a minute: it passes while the other tests run; the last one looks."""
    LIMITED.path = kt.scratch("results.jsonl")
    args = ("--count", 9, "--chunk", 9, "--slurm=--partition=other", "--slurm=--time=1")
    LIMITED.process = LIMITED.enter_context(sweeping(LIMITED.path, *args, seconds=10))


@kt.test
def real_machines_run_on_the_nodes():
    path = kt.scratch("results.jsonl")
    env = {key: value for key, value in environment().items() if key != "KCHAIN_QEMU"}
    done = kt.command(argv(path, "--count", 6, "--chunk", 2), env=env, hang_after_s=120)
    kt.check(done.exit == 0, "exit status", done)
    found = check_once(path, 6)
    kt.check(all(line["result"]["argv"] == ["kernel", str(line["index"])] and line["node"] in ("n1", "n2") for line in found), "results", found)


@kt.test
def a_node_that_dies_half_way_costs_nothing():
    path = kt.scratch("results.jsonl")
    env = environment(FAKE_DO='{"do":"answer","sleep":0.2}')
    with subprocess.Popen(argv(path, "--count", 200, "--chunk", 10), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None and (not os.path.exists(path) or kt.read_bytes(path).count(b"\n") < 60):
            time.sleep(0.1)
        cluster().node_dies("n2")
        out = process.communicate(timeout=150)[0]
    cluster().node_up("n2")
    kt.check(process.returncode == 0 and "200 instances: 200 ok" in out, "exit status", process.returncode, out)
    found = check_once(path, 200)
    kt.check({line["node"] for line in found} == {"n1", "n2"}, "both nodes")


@kt.test
def ctrl_c_takes_the_jobs_back_and_resume_goes_on():
    path = kt.scratch("results.jsonl")
    env = environment(FAKE_DO='{"do":"answer","sleep":0.1}')
    with subprocess.Popen(argv(path, "--count", 60, "--chunk", 5), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while process.poll() is None and (not os.path.exists(path) or kt.read_bytes(path).count(b"\n") < 5):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=60)[0]
    kt.check(process.returncode == 130 and not os.path.exists(path + ".d"), "how it ended", out)
    cluster().wait(lambda: not cluster().ask("squeue", "--noheader").strip(), "empty queue")
    kept = kt.read_bytes(path)
    done = kt.command(argv(path, "--count", 60, "--chunk", 20, "--resume"), env=env, hang_after_s=120)
    kt.check(done.exit == 0 and kt.read_bytes(path).startswith(kept), "the rest", done)
    check_once(path, 60)


@kt.test
def what_a_node_lacks_is_reported():
    path = kt.scratch("results.jsonl")
    env = environment(FAKE_DO='{"do":"refuse","words":"fake: no such machine"}')
    done = kt.command(argv(path, "--count", 4, "--json"), env=env, hang_after_s=120)
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "sweep-node" and "no such machine" in done.err, "why", done)
    kt.check(": n1: kchain" in done.err or ": n2: kchain" in done.err, "which node", done)
    done = kt.command(argv(kt.scratch("results.jsonl"), "--count", 4, "--slurm=--partition=nowhere", "--json"), env=environment())
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "sweep-engine" and "partition" in done.err, "no such partition", done)
    folder = os.path.dirname(kt.scratch("x"))
    os.symlink(sys.executable, folder + "/python3")
    done = kt.command(argv(kt.scratch("results.jsonl"), "--count", 4, "--json"), env={**environment(), "PATH": folder})
    kt.check(done.exit == 3 and "sbatch" in done.err, "no Slurm", done)


@kt.test
def a_task_that_is_preempted_goes_on():
    path = kt.scratch("results.jsonl")
    with sweeping(path, "--count", 60, "--chunk", 15, lines_first=10) as process:
        cluster().ask("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
        found = check_all_ok(process, path, 60)
    log = kt.read_bytes(f"{cluster().top}/ctld.log")
    kt.check(b"preempted" in log, "nothing was preempted", log.decode("utf-8", "replace"))
    kt.check({line["tries"] for line in found} == {1}, "no more than what was cut short is run again", found)


@kt.test
def a_task_out_of_time_goes_on():
    if not hasattr(LIMITED, "process"):
        raise kt.Skip("it has not begun")
    found = check_all_ok(LIMITED.process, LIMITED.path, 9)
    LIMITED.close()
    log = kt.read_bytes(f"{cluster().top}/ctld.log")
    kt.check(b"Time limit exhausted" in log and len(found) == 9, "its limit did not pass", log.decode("utf-8", "replace"))


@kt.test
def a_file_system_that_a_node_cannot_write_to_is_reported():
    path = kt.scratch("results.jsonl")
    cluster().node_dies("n3")
    cluster().node_up("n3", readonly=os.path.dirname(path))
    cluster().wait(lambda: cluster().idle(["n3"]), "idle node")
    done = kt.command(argv(path, "--count", 4, "--json", "--slurm=--partition=other"), env=environment(), hang_after_s=150)
    kt.check(done.exit == 3 and done.json()["error"]["slug"] == "sweep-node" and "may not be able to write" in done.err, "why", done)
    kt.check(not os.path.exists(path + ".d") and not cluster().ask("squeue", "--noheader").strip(), "it leaves nothing")


try:
    kt.main()
finally:
    if CLUSTER:
        CLUSTER.down()
