# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# What the host tests and fuzz targets of the stage are linked with beside the library: the same sources as the stage's, against
# machines that the tests make up.

STAGE_DRIVER_SRC := $(filter-out stage/drivers/assigned.c stage/drivers/serial.c stage/drivers/vga.c,$(wildcard stage/drivers/*.c))
# The test of drivers/NAME.c is test_NAME.c.
$(foreach d,$(STAGE_DRIVER_SRC),$(eval STAGE_SRC_test_$(basename $(notdir $(d))) := $(STAGE_DRIVER_SRC)))
STAGE_BLOCK_SRC := $(wildcard stage/block/*.c)
STAGE_NET_SRC := $(wildcard stage/net/*.c)

STAGE_BOOT_SRC := stage/boot/doors.c stage/boot/acpi.c stage/boot/bios.c stage/boot/efi.c stage/boot/mp.c
STAGE_SRC_test_boot := $(STAGE_BOOT_SRC)
STAGE_SRC_test_firmware := $(STAGE_BOOT_SRC)
STAGE_SRC_test_bulk := stage/libc/bulk.c
CFLAGS_stage/libc/bulk.c := -DKCHAIN_STAGE=1
CFLAGS_stage/tests/test_bulk.c := -DKCHAIN_STAGE=1
STAGE_SRC_test_clock := stage/runtime/called.c stage/cpu/clock.c stage/cpu/pic.c
STAGE_SRC_test_call_time := stage/dispatch/call_time.c
STAGE_SRC_test_console := stage/runtime/called.c stage/runtime/console.c stage/drivers/serial.c stage/drivers/vga.c
STAGE_SRC_test_fanout_threads := stage/dispatch/fanout.c stage/dispatch/ring.c stage/dispatch/worker.c stage/dispatch/worker_boot.c stage/libc/malloc.c
STAGE_SRC_test_files := stage/runtime/called.c stage/runtime/files.c stage/libc/print.c stage/libc/syscall.c stage/libc/syscall_brief.c stage/libc/random.c stage/libc/syscall_names.c
STAGE_SRC_test_assigned := $(STAGE_DRIVER_SRC) stage/drivers/assigned.c stage/runtime/called_env.c
STAGE_SRC_test_heap := stage/runtime/called.c stage/runtime/heap.c
STAGE_SRC_test_marker := stage/dispatch/marker.c
STAGE_SRC_test_native_env := stage/runtime/native_env.c stage/drivers/mmio_places.c
STAGE_SRC_test_net := $(STAGE_DRIVER_SRC) $(STAGE_NET_SRC) $(LWIP_TREE)
STAGE_SRC_test_parallel := stage/link/parallel.c
STAGE_SRC_test_pic := stage/cpu/pic.c
STAGE_SRC_test_pci := $(STAGE_DRIVER_SRC)
STAGE_SRC_test_partition := $(STAGE_BLOCK_SRC)
STAGE_SRC_test_block_choose := $(STAGE_BLOCK_SRC)
STAGE_SRC_test_tables := stage/cpu/tables.c
STAGE_SRC_test_malloc := stage/libc/malloc.c
STAGE_SRC_test_print := stage/libc/print.c
STAGE_SRC_test_numbers := stage/libc/brief/numbers.c
# Not as GNU has them: from glibc 2.38 on these read binary numbers ("0b1") too then, under other names.
CFLAGS_stage/libc/brief/numbers.c := -U_GNU_SOURCE $(foreach f,strtoull strtoul strtoll strtol,-D$(f)=stage_$(f))
CFLAGS_stage/tests/test_numbers.c := -U_GNU_SOURCE
STAGE_SRC_test_trim := stage/libc/brief/trim.c stage/libc/brief/strlen.c
CFLAGS_stage/libc/brief/strlen.c := -Dstrlen=stage_strlen
CFLAGS_stage/libc/brief/trim.c := -Dstrerror=stage_strerror -Dstrstr=stage_strstr
STAGE_SRC_test_stage_self := stage/link/self.c
STAGE_SVM_SRC := $(addprefix stage/dispatch/svm/,svm_machine.c svm_policy.c svm_clocks.c) stage/cpu/rtc.c
STAGE_SRC_test_svm := $(STAGE_SVM_SRC)
STAGE_SRC_test_svm_clocks := $(STAGE_SVM_SRC)

FUZZ_SRC_door := stage/boot/doors.c stage/boot/bios.c stage/cpu/pages.c
FUZZ_SRC_firmware := $(STAGE_BOOT_SRC)
FUZZ_SRC_virtio := $(STAGE_DRIVER_SRC) $(STAGE_BLOCK_SRC) stage/runtime/called_env.c
FUZZ_SRC_nvme := $(STAGE_DRIVER_SRC) $(STAGE_BLOCK_SRC)
FUZZ_SRC_net := $(STAGE_DRIVER_SRC) $(STAGE_NET_SRC) $(LWIP_TREE)
FUZZ_SRC_partition := $(STAGE_BLOCK_SRC)

# The same with the compiler's thread sanitizer, which does not go with the others.
THREADS_TESTS := $(patsubst %,$(B)/tsan/stage/tests/%,test_fanout_threads test_parallel)
UNIT_NEEDS += $(THREADS_TESTS)
UNIT_TSAN := $(THREADS_TESTS)
$(B)/tsan/stage/tests/test_fanout_threads: $(STAGE_SRC_test_fanout_threads)
$(B)/tsan/stage/tests/test_parallel: $(STAGE_SRC_test_parallel)
$(THREADS_TESTS): $(B)/tsan/stage/tests/%: stage/tests/%.c $(B)/host/libkchain.a
	@mkdir -p $(@D)
	$(call say,LD-tsan,$@)
	$(Q)$(CC) $(HOST_CFLAGS) -MF $@.d -fsanitize=thread -o $@ $(filter %.c,$^) $(filter %.a,$^) $(HOST_LIBS) -lcmocka

# The objects come behind the library on the command line and want it again.
define stage_test
$(B)/$(1)/stage/tests/$(2): $(patsubst %.c,$(B)/$(1)/%.o,$(STAGE_SRC_$(2)))
$(B)/$(1)/stage/tests/$(2): HOST_LIBS := $(B)/$(1)/libkchain.a $(HOST_LIBS)
endef
# An image's symbols, for what names them.
$(foreach v,host asan,$(B)/$(v)/stage/tests/test_tables $(B)/$(v)/stage/tests/test_console): $(B)/host/stage/tests/fake_image.o
$(B)/host/stage/tests/fake_image.o: stage/tests/fake_image.S
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<
STAGE_TESTS := $(patsubst stage/tests/%.c,%,$(wildcard stage/tests/test_*.c))
$(foreach v,host asan,$(foreach t,$(STAGE_TESTS),$(eval $(call stage_test,$(v),$(t)))))
$(foreach v,host asan fuzz cover,$(B)/$(v)/stage/libc/syscall_names.o): | $(B)/include/stage/syscall_names.h
CFLAGS_stage/runtime/kchain.c := -Isdk/include
