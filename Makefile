# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# One non-recursive Makefile. Each folder's build.mk adds its sources and rules. Everything is built in build/.
# The same chain/ and fs/ sources are compiled three times: host, host with sanitizers (asan), stage.
#
# Make reads this file twice. The first time only tools/deps runs, because the rules below look at what is installed
# (headers, lwIP's source); the second time (KCHAIN_DEPS=1) everything is there and the goals are made.

VERSION := 1.0
B := build
GOALS := $(or $(MAKECMDGOALS),all)
JOBS := $(shell nproc)
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
export LC_ALL := C
export TZ := UTC

ifneq ($(filter-out clean help uninstall,$(GOALS)),)
ifeq ($(KCHAIN_DEPS),)
FIRST_PASS := 1
endif
endif

ifdef FIRST_PASS

DEPS := $(sort $(if $(filter check unit qemu-check docs-check style-check fuzz fuzz-check fuzz-cover fuzz-merge,$(GOALS)),check) $(if $(filter run,$(GOALS)),run) \
	$(if $(filter bench profile,$(GOALS)),bench) $(if $(filter deps,$(GOALS)),check) $(if $(filter deb,$(GOALS)),deb) build)
.PHONY: $(GOALS) second-pass
$(GOALS): second-pass ; @:
second-pass:
	@tools/deps $(DEPS)
	+@$(MAKE) $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) KCHAIN_DEPS=1 $(GOALS)

else

all:

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

# Others' sources in build/: their stamp has the digest of all their files.
UNPACKED_DIGEST := find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
is_unpacked = $(shell cd $(B)/$(1) 2>/dev/null && $(UNPACKED_DIGEST) | cmp -s - ../$(1).unpacked && echo yes)

WARN := -Wall -Wextra -Wshadow -Wconversion -Werror
INCLUDES := -I. -Ichain/include -Ifs/include -Istage/include -I$(B)/include

CC := gcc
# The shell and gcc agree on what the folder is called; it may have blanks.
PREFIX_MAP := -ffile-prefix-map="$$PWD"=.
HOST_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g $(WARN) $(INCLUDES) $(PREFIX_MAP) -MMD -MP
HOST_LIBS := $(B)/host/libjansson.a -ldw -lelf -larchive -lcrypto -llz4 -llzma -lz -lzstd -lm
ASAN_FLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# The stage: 64-bit, in the upper 2 GiB, musl's headers, no host header but those of jansson and Multiboot (copied alone).
GCC_INCLUDE := $(shell $(CC) -print-file-name=include 2>/dev/null)
MUSL := /usr/lib/x86_64-linux-musl
STAGE_HEADERS := $(B)/stage-include/jansson.h $(B)/stage-include/multiboot/multiboot.h
STAGE_CFLAGS := -std=c11 -D_GNU_SOURCE -DKCHAIN_STAGE=1 -Oz -g $(WARN) -MMD -MP \
	-nostdinc -isystem $(B)/stage-include -isystem /usr/include/x86_64-linux-musl -isystem $(GCC_INCLUDE) $(INCLUDES) \
	-m64 -march=x86-64 -mcmodel=kernel -fno-pic -fno-pie -mno-red-zone -fno-stack-protector -fcf-protection=none \
	-mstringop-strategy=libcall -malign-data=abi -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-strict-aliasing $(PREFIX_MAP)

# What only the host has: writing images and filesystems, checking filesystems whole.
CHAIN_LIB_DIRS := base machine doors image pipeline sources plan link
CHAIN_LIB_SRC := $(sort $(wildcard $(CHAIN_LIB_DIRS:%=chain/%/*.c)))
HOST_LIB_SRC := $(sort $(wildcard chain/image/bake/*.c fs/write*.c) fs/check.c fs/check_areas.c)
FS_LIB_SRC := $(filter-out $(HOST_LIB_SRC),$(sort $(wildcard fs/*.c)))

# What things were made with, a small file for each way of making them: see the end.
WITH := $(B)/made-with

host_objects = $(patsubst %.c,$(B)/host/%.o,$(1))
asan_objects = $(patsubst %.c,$(B)/asan/%.o,$(1))
stage_objects = $(patsubst %.S,$(B)/stage/%.o,$(patsubst %.c,$(B)/stage/%.o,$(1)))

include $(sort $(wildcard */build.mk))

$(B)/host/%.o: %.c $(WITH)/host | $(STATUS_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HOST_CFLAGS) $(CFLAGS_$(<)) -c -o $@ $<

$(B)/asan/%.o: %.c $(WITH)/asan | $(STATUS_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC-asan,$<)
	$(Q)$(CC) $(HOST_CFLAGS) $(ASAN_FLAGS) $(CFLAGS_$(<)) -c -o $@ $<

$(B)/stage/%.o: %.c $(WITH)/stage | $(STAGE_HEADERS) $(STATUS_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC-stage,$<)
	$(Q)$(CC) $(STAGE_CFLAGS) $(STAGE_CFLAGS_$(<)) -c -o $@ $<

$(B)/stage/%.o: %.S $(WITH)/stage
	@mkdir -p $(@D)
	$(call say,AS-stage,$<)
	$(Q)$(CC) $(STAGE_CFLAGS) -D__ASSEMBLER__ -c -o $@ $<

$(B)/stage-include/jansson.h: /usr/include/jansson.h $(WITH)/stage
	@mkdir -p $(@D)
	$(Q)cp /usr/include/jansson.h $(firstword $(wildcard /usr/include/jansson_config.h /usr/include/x86_64-linux-gnu/jansson_config.h)) $(@D)/
	$(Q)mkdir -p $(@D)/openssl
$(B)/stage-include/multiboot/multiboot.h: /usr/include/multiboot/multiboot.h $(WITH)/stage
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(B)/host/libkchain.a: $(call host_objects,$(CHAIN_LIB_SRC) $(FS_LIB_SRC) $(HOST_LIB_SRC)) $(WITH)/link
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)
$(B)/asan/libkchain.a: $(call asan_objects,$(CHAIN_LIB_SRC) $(FS_LIB_SRC) $(HOST_LIB_SRC)) $(WITH)/link
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)

# Kernels that nobody here wrote, as the pipelines in configs/ name them.
GNUMACH := $(firstword $(wildcard /boot/gnumach-1.8-486.gz /boot/gnumach-1.8-amd64-up.gz))
$(B)/inputs/gnumach: $(GNUMACH)
	@mkdir -p $(@D)
	$(call say,GUNZIP,$@)
	$(Q)gzip -dc $(or $(GNUMACH),/boot/gnumach) >$@.new && mv $@.new $@
$(B)/inputs/invaders: $(wildcard /boot/invaders.exec)
	@mkdir -p $(@D)
	$(Q)cp /boot/invaders.exec $@
# A disk for `make run`: two partitions, nothing in them.
$(B)/inputs/disk.img:
	@mkdir -p $(@D)
	$(Q)truncate -s 16M $@ && printf 'label: gpt\nlabel-id: 6B636861-696E-4000-8000-000000000001\nsize=4M, name=first\nsize=4M, name=second\n' | \
		PATH=$$PATH:/usr/sbin:/sbin sfdisk -q $@
INPUTS := $(B)/inputs/gnumach $(B)/inputs/invaders $(B)/inputs/disk.img

# Images: each numbered pipeline is baked to build/images/NAME.elf. A pipeline may bake an earlier one in.
# The pipelines that need an input from outside are baked by `make run` and `make check`, whose packages bring it.
KCHAIN := $(B)/kchain
CONFIGS := $(sort $(patsubst configs/%.json,%,$(wildcard configs/[0-9]*.json)))
CONFIG_IMAGES := $(patsubst %,$(B)/images/%.elf,$(CONFIGS))
$(CONFIG_IMAGES): $(B)/images/%.elf: configs/%.json all
	@mkdir -p $(@D)
	$(call say,BAKE,$@)
	$(Q)$(KCHAIN) bake $< -o $@ >$@.log 2>&1 || { cat $@.log >&2; exit 1; }
images: $(CONFIG_IMAGES)

# Unit tests: every */tests/test_*.c is one cmocka program, built plain and with sanitizers.
UNIT_SRC := $(sort $(wildcard */tests/test_*.c))
UNIT_HOST := $(patsubst %.c,$(B)/host/%,$(UNIT_SRC))
UNIT_ASAN := $(patsubst %.c,$(B)/asan/%,$(UNIT_SRC))
$(UNIT_HOST): $(B)/host/%: $(B)/host/%.o $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(HOST_LIBS) -lcmocka
$(UNIT_ASAN): $(B)/asan/%: $(B)/asan/%.o $(B)/asan/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_FLAGS) -o $@ $(filter %.o %.a,$^) $(HOST_LIBS) -lcmocka

include tools/fuzz.mk
include tools/install.mk

QEMU_TESTS := $(sort $(wildcard qemu-tests/test_*.py))
export KCHAIN_HOST_CFLAGS := $(HOST_CFLAGS)
export KCHAIN_STAGE_CFLAGS := $(STAGE_CFLAGS) $(LWIP_INCLUDES)

# The pipeline that shows the main job. `kchain run` prints each link as it happens, and exits 0 when the last kernel has
# printed its own banner, which is what that pipeline expects.
RUN_CONFIG := 04-chain

.PHONY: all deps images run apps check unit unit-programs qemu-check style-check docs-check format clean help compile_commands.json
all: $(KCHAIN) $(ALL)
deps: ; @:
unit-programs: $(UNIT_HOST) $(UNIT_ASAN)
unit: unit-programs $(UNIT_NEEDS)
	$(Q)tools/run-tests $(T) $(UNIT_HOST) $(UNIT_ASAN) $(UNIT_TSAN)
qemu-check: all images sdk $(QEMU_NEEDS)
	$(Q)tools/run-tests $(T) $(QEMU_TESTS)
style-check: $(STATUS_HEADERS) $(STAGE_HEADERS) $(B)/lwip.unpacked
	$(Q)tools/run-tests $(T) tools/check-style
format:
	$(Q)git ls-files '*.c' '*.h' | grep -v -e /templates/ -e /data/ | xargs clang-format-14 -i
docs-check: all images sdk $(INPUTS)
	$(Q)tools/run-tests $(T) tools/check-docs
check: all images sdk $(INPUTS) unit-programs $(UNIT_NEEDS) $(QEMU_NEEDS) $(FUZZ_CHECKS)
	$(Q)tools/run-tests $(T) $(QEMU_TESTS) tools/check-docs tools/check-style $(FUZZ_CHECKS) $(UNIT_ASAN) $(UNIT_HOST)
run: all $(B)/images/$(RUN_CONFIG).elf $(B)/inputs/disk.img
	$(Q)$(KCHAIN) run $(B)/images/$(RUN_CONFIG).elf --disk $(B)/inputs/disk.img,serial=DATA01
apps: all
	$(Q)tools/run-tests $(T) qemu-tests/apps.py
compile_commands.json:
	@mkdir -p $(B)
	$(Q)tools/compile-commands && ln -sf $(B)/compile_commands.json compile_commands.json
clean:
	$(Q)rm -rf $(B) compile_commands.json
help:
	@printf '%s\n' \
	'make              build/kchain, the stage and our own kernels (installs missing Debian packages first)' \
	'make run          bake and boot the demonstration: a chain of three kernels and a call' \
	'make check        all tests: unit (plain, sanitizers), QEMU, docs, style' \
	'make unit         unit tests only;  make qemu-check, docs-check, style-check: the others' \
	'make format       the C sources as .clang-format has them (clang-format 14)' \
	'make fuzz         fuzz what parses hostile bytes: all targets in turn, or FUZZ=NAME; FUZZ_SECONDS=60 each' \
	'make fuzz-check   the corpora and a few thousand mutations of each; fuzz-merge, fuzz-cover: grow and measure them' \
	'make bench        figures beside those of GRUB, iPXE and others (bench/README.md);  make bench BENCH="boot call": some of them' \
	'make apps         boot whole applications out of packages of Debian: nginx, Python, PHP, Ruby (fetches 120 MB once)' \
	'make profile      where the instructions of a boot and of a call go, by function;  PROFILE=boot or call' \
	'make images       bake every pipeline of configs/ into build/images/' \
	'make sdk          what an outsider needs to build a native kernel, in build/sdk/' \
	'make install      into PREFIX (/usr/local) below DESTDIR: command, SDK, manual pages, completion;  make uninstall' \
	'make deb          a Debian package, in build/deb/' \
	'make deps         only install and fetch what the other goals need' \
	'make clean        remove build/' \
	'make compile_commands.json   for editors and analysers' \
	'V=1 shows the commands; T=-v shows the output of tests that pass'

# Written anew only when it says something else, so that what was made with other flags, from another list of sources, by another
# compiler or with another library is made again. A package's upgrade keeps its files' own times; the time of their change tells.
OUTSIDE := $(shell stat -Lc '%n:%s:%Z' $$(command -v $(CC) $(FUZZ_CC)) $(STAGE_LIBS) /usr/include/jansson.h /usr/include/multiboot/multiboot.h 2>/dev/null)
settings = $(foreach v,$(sort $(filter $(1),$(.VARIABLES))),$(v)=$($(v)))
WITH_host := $(OUTSIDE) $(HOST_CFLAGS) $(JANSSON_CFLAGS) $(call settings,CFLAGS_%)
WITH_asan := $(WITH_host) $(ASAN_FLAGS)
WITH_stage := $(OUTSIDE) $(STAGE_CFLAGS) $(call settings,STAGE_CFLAGS_%) $(LWIP_INCLUDES) $(value lwip_defines) $(JANSSON_CFLAGS)
WITH_init := $(OUTSIDE) $(INIT_CFLAGS) $(JANSSON_CFLAGS) $(INIT_OBJECTS)
WITH_fuzz := $(OUTSIDE) $(FUZZ_CFLAGS) $(FUZZ_FLAGS_fuzz) $(call settings,CFLAGS_%)
WITH_cover := $(OUTSIDE) $(FUZZ_CFLAGS) $(FUZZ_FLAGS_cover) $(call settings,CFLAGS_%)
WITH_link := $(OUTSIDE) $(HOST_LIBS) $(ASAN_FLAGS) $(CHAIN_LIB_SRC) $(FS_LIB_SRC) $(HOST_LIB_SRC) $(CMD_LIB_SRC) \
	$(call settings,ALLOC_% CMD_TESTS STAGE_SRC_% FUZZ_SRC_% FUZZ_LINK_%)
WITH_link-stage := $(OUTSIDE) $(STAGE_VIRT) $(NATIVE_VIRT) $(STAGE_LDFLAGS) $(STAGE_LIB_SRC) $(STAGE_MAIN_SRC) $(LWIP_SRC) $(JANSSON_SRC) $(value link_kernel)
WITH_multiboot1 := $(OUTSIDE) $(MULTIBOOT1_CFLAGS)

# $(1): host, asan, ...
define keep
ifneq ($$(strip $$(file <$(WITH)/$(1))),$$(strip $$(WITH_$(1))))
$$(file >$(WITH)/$(1),$$(strip $$(WITH_$(1))))
endif
$(WITH)/$(1): ;
endef
ifdef KCHAIN_DEPS
$(shell mkdir -p $(WITH))
$(foreach k,$(patsubst WITH_%,%,$(filter WITH_%,$(.VARIABLES))),$(eval $(call keep,$(k))))
endif

.SECONDARY:
.DELETE_ON_ERROR:
# What applications are made of (qemu-tests/roots.py) has names of its own.
-include $(shell find $(B) -path $(B)/roots -prune -o -name '*.d' -print 2>/dev/null)
endif
