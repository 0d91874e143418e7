# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# `make bench` measures (README.md here); `make bench BENCH=boot` runs one benchmark. Beyond the tool it needs the code of the
# child that every loader starts, and native kernels of its own, linked like those in kernels/.

BENCH_SRC := $(wildcard bench/kernels/*.c)
BENCH_KERNELS := $(patsubst bench/kernels/%.c,$(B)/bench/%.elf,$(BENCH_SRC))
$(foreach k,$(BENCH_SRC),$(eval STAGE_CFLAGS_$(k) := -Isdk/include))
$(B)/bench/%.debug: $(B)/stage/bench/kernels/%.o $(B)/stage/libstage.a $(JANSSON_LIB) stage/boot/kernel.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link_kernel,$(NATIVE_VIRT),$@,$(filter %.o,$^))
$(B)/bench/%.elf: $(B)/bench/%.debug
	$(Q)strip -o $@ $<
$(B)/bench/child.o: bench/child.S bench/say.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) -m32 -c -o $@ $<
# The same for other doors, Linux's setup code, and the first program of a Linux system.
BENCH_CHILDREN := $(patsubst %,$(B)/bench/child-%.o,multiboot2 pvh linux)
$(BENCH_CHILDREN): $(B)/bench/child-%.o: bench/child.S bench/say.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) -m32 -DDOOR_$* -c -o $@ $<
$(B)/bench/setup.bin: bench/setup.S bench/say.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) -m32 -c -o $@.o $< && objcopy -O binary -j .text $@.o $@
$(B)/bench/init: bench/init.S
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -s -o $@ $<
BENCH_INPUTS := $(B)/bench/child.o $(BENCH_CHILDREN) $(B)/bench/setup.bin $(B)/bench/init

bench: all $(BENCH_INPUTS) $(BENCH_KERNELS) $(B)/images/11-count.elf
	$(Q)bench/bench.py $(BENCH)
# Where its instructions go, by function: `make profile`, or PROFILE=boot, PROFILE=call, PROFILE=fanout.
profile: all $(B)/bench/child.o $(BENCH_KERNELS)
	$(Q)bench/profile.py $(PROFILE)
.PHONY: bench profile
