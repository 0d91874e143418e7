# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions from the stage's entry to a booted child's entry, split into fixed, hashed and moved.

One child in three sizes. Where it lies in the image already (in place), the stage only hashes it; where it has to be
moved, it is hashed and moved. The splits are differences between such boots:
hashed: (in place, largest) - (in place, smallest), per byte; moved: (moved, largest) - (in place, largest), per byte;
fixed: (in place, smallest), less what hashing it took. The boot of the size between says how far that is from linear.
"""
import child
import kt
import machine
import plot

SIZES = child.SIZES
FORMS = ("multiboot", "pvh")
MACHINES = {"microvm": "microvm,isa-serial=on", "pc": "pc"}
MOVED, IN_PLACE = "moved", "in place"
COLUMNS = ("child", "child_bytes", "from_reset", "from_entry", "prepare", "commit", "bytes_copied", "bytes_in_place")


def image_of(kernel):
    """A pipeline that says the least: one file, one boot, the default consoles and handoff."""
    return kt.bake(kt.pipeline([{"name": "child", "boot": "fs:/child"}], {"/child": kernel}))


def place_in(image, kernel):
    """The physical address at which the image holds the file."""
    parts = {p["name"]: p for p in kt.kchain("inspect", "--json", image).json()["parts"]}
    at = kt.read_bytes(image).find(kt.read_bytes(kernel)[:256])
    kt.check(at > 0, "the child is not in the image")
    return int(parts["files"]["phys"], 16) + at - parts["files"]["offset"]


def make_in_place(size):
    """A child that is to lie just where its image holds it. Its address does not change where that is."""
    path = kt.scratch("child")
    at = place_in(image_of(child.make(path, size)), path)
    image = image_of(child.make(path, size, at))
    kt.check(place_in(image, path) == at, "the image's layout depends on the child's address")
    return image


def row_of(boot):
    kind, size, image = boot
    done = machine.count("-kernel", image)
    at, entered, last = child.entered_at(done), done.ticks("entered"), done.first("boot")
    row = (kind, size, at, at - entered, last["ticks"] - entered, at - last["ticks"])
    return dict(zip(COLUMNS, row + (last["bytes_copied"], last["bytes_in_place"])))


def entries(out):
    """How long the firmware takes: the tick at which the stage itself is entered, by each form of an image."""
    path = child.make(kt.scratch("child"), SIZES[0])
    value = kt.pipeline([{"name": "child", "boot": "fs:/child"}], {"/child": path})
    images = {form: kt.bake(value, "--format", form) for form in FORMS}
    forms = [(form, on) for on in MACHINES for form in FORMS]
    ticks = [machine.count("-kernel", images[form], machine=MACHINES[on]).ticks("entered") for form, on in forms]
    out.table("entries", ("format", "machine", "from_reset"), [[*form, at] for form, at in zip(forms, ticks)])
    for (form, on), at in zip(forms, ticks):
        out.figure(f"before the stage is entered: {on}, {form}", at, "instructions")


def run(out):
    entries(out)
    boots = [(IN_PLACE, size, make_in_place(size)) for size in SIZES]
    boots += [(MOVED, size, image_of(child.make(kt.scratch("child"), size))) for size in SIZES]
    rows = kt.in_parallel(row_of, boots)
    out.table("instructions", COLUMNS, [list(r.values()) for r in rows])
    at = {(r["child"], r["child_bytes"]): r["from_entry"] for r in rows}
    kt.check(all(r["bytes_in_place"] >= r["child_bytes"] for r in rows[: len(SIZES)]), "a child in its place was moved")
    small, middle, large = SIZES
    hashed = (at[IN_PLACE, large] - at[IN_PLACE, small]) / (large - small)
    moved = (at[MOVED, large] - at[IN_PLACE, large]) / large
    fixed = round(at[IN_PLACE, small] - hashed * small)
    off = round(at[MOVED, middle] - fixed - (hashed + moved) * middle)
    # 553,175 with plain SHA-256, and 100,000 that what every boot reads may cost more as a tree.
    out.figure("fixed, from the stage's entry to the child's", fixed, "instructions", 653_175)
    out.figure("of it behind the boot record (quiesce, commit)", rows[0]["commit"], "instructions")
    out.figure("hashed", hashed, "instructions/byte", 7.7)
    out.figure("moved", moved, "instructions/byte", 0.2)
    out.figure("1 MiB, moved: measured less fixed, hashed and moved", off, "instructions")
    for size in SIZES:
        out.figure(f"{plot.bytes_text(size)}, moved: from entry to entry", at[MOVED, size], "instructions")
    split = [(plot.bytes_text(size), [fixed, hashed * size, moved * size]) for size in SIZES]
    subtitle = "kchain; QEMU -icount -cpu max (AVX2, no SHA-NI)"
    names = ["fixed", "hashed", "moved"]
    title = "From the stage's entry to the child's, by what it is for"
    out.plot("split", plot.bars(title, subtitle, "size of the child", "instructions", split, names, log_y=True))
