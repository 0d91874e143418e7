#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""The Slurm engine with a scheduler that is none: sbatch writes at once what the tasks would have written, so that what is driven is
the engine alone, at the size of a cluster (docs/SCALE.md)."""
import json
import os
import resource
import sys
import time

import kt

INSTANCES = int(os.environ.get("SCALE_INSTANCES", "20000"))
SBATCH = """#!{python}
import json, os, sys
folder = os.path.dirname(sys.argv[-1])
listed = next(a for a in sys.argv if a.startswith("--array="))[8:]
for number in listed.split(","):
    with open(f"{{folder}}/{{number}}.jobs") as jobs, open(f"{{folder}}/{{number}}.node.results", "w") as out:
        next(jobs)
        out.write('{{"kchain_sweep":1,"count":1}}\\n')
        for line in jobs:
            for index in json.loads(line)["indices"]:
                out.write('{{"index":%d,"status":"ok","tries":1,"slot":0,"at_us":0,"us":{{"start":60000,"run":20000,"stop":500}},"result":%d}}\\n' % (index, index))
print(1)
"""


def commands():
    folder = os.path.dirname(kt.scratch("x"))
    for name, text in (("sbatch", SBATCH.format(python=sys.executable)), ("squeue", "#!/bin/sh\n"), ("scancel", "#!/bin/sh\n"),
                       ("sinfo", "#!/bin/sh\necho 0/10000/0/10000\n")):
        kt.write_bytes(f"{folder}/{name}", text.encode())
        os.chmod(f"{folder}/{name}", 0o755)
    return folder


@kt.test
def a_cluster_of_nobody_gives_each_instance_once():
    elf = kt.bake(kt.pipeline([{"name": "work", "call": "fs:/k"}], {"/k": "build/kernels/echo.elf"}))
    path = kt.scratch("results.jsonl")
    env = {**os.environ, "PATH": commands() + ":" + os.environ["PATH"], "KCHAIN_QEMU": os.path.abspath("qemu-tests/fake_qemu.py")}
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = [kt.KCHAIN, "sweep", elf, "--engine", "slurm", "--accel", "tcg", "--count", str(INSTANCES), "--chunk", "500", "-o", path]
    done = kt.command(argv, env=env, hang_after_s=110)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    kt.check(done.exit == 0, "exit status", done)
    with open(path, encoding="utf-8") as f:
        next(f)
        indices = sorted(json.loads(line)["index"] for line in f)
    kt.check(indices == list(range(INSTANCES)) and not os.path.exists(path + ".d"), "each once", len(indices))
    print(f"# {INSTANCES} instances: {time.monotonic() - begun:.1f} s, {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} s of processor "
          f"(the commands that stand in for Slurm's included), {after.ru_maxrss >> 10} MiB at most")


kt.main()
