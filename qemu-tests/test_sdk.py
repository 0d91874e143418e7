#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 120
"""The SDK's example is built outside of the tree, from a copy of the SDK alone, and booted and called."""
import glob
import os
import shutil
import kt


def built(source=None):
    top = kt.scratch("sdk-user")
    shutil.copytree("build/sdk", top + "/sdk")
    shutil.copytree("build/sdk/example", top + "/mine")
    if source:
        kt.write_bytes(top + "/mine/hello.c", source)
    done = kt.command(["make", "-C", top + "/mine", "KCHAIN_SDK=" + top + "/sdk"])
    kt.check(done.exit == 0, "the example does not build", done)
    return os.path.join(top, "mine", "hello.elf")


@kt.test
def example_boots():
    for machine in ("pc", "microvm,isa-serial=on"):
        ended = kt.boot(built(), machine, qemu=["-append", "outsider"])
        kt.check("hello, outsider: this kernel was booted" in ended.console, "no greeting", ended)
        kt.check(ended.of("exit")[0]["result"] == {"greeted": "outsider"}, "no result", ended)


@kt.test
def example_is_called():
    step = {"name": "mine", "call": "fs:/mine", "args": "inside", "expect": "success"}
    ended = kt.expect_end(kt.boot(kt.bake(kt.pipeline([step], {"/mine": built()}))))
    kt.check("hello, inside: this kernel was called" in ended.console, "no greeting", ended)
    kt.check(ended.of("result")[0]["result"] == {"greeted": "inside"}, "no result", ended)


@kt.test
def kernels_to_copy_are_built_by_the_sdk_alone():
    """Every one but those that set out to misuse what lies below the SDK, and say so by what they include."""
    sources = {path: kt.read_bytes(path) for path in glob.glob("kernels/*.c")}
    own = {path for path, text in sources.items() if b'#include "' not in text}
    kt.check(sources.keys() - own == {f"kernels/{name}.c" for name in ("abandon", "clobber", "result", "trap")}, "not to be copied", sources.keys() - own)
    for path in sorted(own):
        built(sources[path])
    step = {"name": "echo", "call": "fs:/echo", "args": "as copied"}
    image = kt.bake(kt.pipeline([step, {"name": "again", "boot": "fs:/echo"}], {"/echo": built(sources["kernels/echo.c"])}))
    ended = kt.expect_end(kt.boot(image))
    kt.check(ended.of("result")[0]["result"]["argv"][1:] == ["as", "copied"], "called", ended)
    doc = ended.of("echo")[-1]["doc"]
    kt.check(doc["door"] == "multiboot1" and doc["loader"] == "kchain" and doc["modules"][0]["string"] == "kchain-handoff" and doc["memory"], "booted", doc)


@kt.test
def an_outsiders_kernel_reads_its_disk():
    source = b'''#include <kchain.h>
#include <stdio.h>

int main(void)
{
	static unsigned char sector[4096];
	char result[64];
	struct kchain_disk *disk = kchain_disk_open("data");
	if (!disk || !kchain_disk_read(disk, 3, 1, sector)) {
		printf("%s\\n", kchain_device_error());
		return 1;
	}
	snprintf(result, sizeof(result), "[%d, %d]", (int)kchain_disk_sectors(disk), sector[511]);
	return !kchain_result(result);
}
'''
    step = {"name": "mine", "call": "fs:/mine", "devices": {"data": 0}, "expect": {"result": [64, 3]}}
    data = kt.write_bytes(kt.scratch("disk"), b"".join(bytes([n]) * 512 for n in range(64)))
    image = kt.bake(kt.pipeline([step], {"/mine": built(source)}, block={"data": {}}))
    kt.expect_end(kt.boot(image, qemu=kt.virtio_disk(data)))


@kt.test
def the_mailbox_of_a_multiboot_kernel_needs_three_headers():
    """In the C that any kernel is written in, with nothing else of ours at hand."""
    top = kt.scratch("outsider")
    source = kt.write_bytes(kt.scratch("user.c"), b'#include "kchain_mailbox.h"\nvoid user(uint32_t ebx);\nvoid user(uint32_t ebx)\n'
                            b'{\n\tstruct kchain_mailbox *box = kchain_mailbox_find(ebx);\n\tif (box)\n\t\tkchain_mailbox_leave(box, 0, "1", 1);\n}\n')
    os.makedirs(top + "/abi")
    for name in ("kchain_mailbox.h", "abi/mailbox.h", "abi/module_name.h"):
        shutil.copy("build/sdk/include/" + name, f"{top}/{name}")
    for bits in ("-m32", "-m64"):
        done = kt.command(["gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffreestanding", bits, "-I", top, "-c", "-o", kt.scratch("user.o"), source])
        kt.check(done.exit == 0, bits, done)


@kt.test
def the_library_calls_nothing_above_it():
    """What it does not define itself is the kernel's main, the linker's, or another library's."""
    defined, wanted = set(), set()
    for line in kt.command(["nm", "build/sdk/lib/libkchain.a"]).out.splitlines():
        words = line.split()
        if len(words) >= 2 and words[-2] in "UTtDdBbRrVW":
            (wanted if words[-2] == "U" else defined).add(words[-1])
    script = kt.read_bytes("build/sdk/kernel.ld").decode()
    above = {name for name in wanted - defined if name.startswith(("stage_", "chain_", "fs_", "kchain_")) and name not in script}
    kt.check(not above, "defined above the library", above)


@kt.test
def the_least_kernel_stays_below_64_kib():
    """A kernel that prints nothing brings no printf: its runtime has a little one of its own."""
    least = built(b"int main(void)\n{\n\treturn 0;\n}\n")
    kt.check(os.path.getsize(least) < 64 * 1024, "larger", os.path.getsize(least))
    symbols = kt.command(["nm", least[: -len("elf")] + "debug"]).out.split()
    kt.check("stage_vsnprintf" in symbols and not {"vfprintf", "printf_core", "fmt_fp"} & set(symbols), "musl's printf is in it", symbols)


@kt.test
def example_is_small():
    kt.check(os.path.getsize(built()) < 96 * 1024, "larger than a minimal kernel may be", os.path.getsize(built()))


if __name__ == "__main__":
    kt.main()
