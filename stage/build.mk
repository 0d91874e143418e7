# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# libstage.a is what every kernel of ours stands on; the stage is that library plus main.c, link/ and sources/, a native kernel is that
# library plus somebody's main. Both are linked by stage/boot/kernel.ld, each at its own virtual address.

STAGE_LIB_DIRS := boot cpu commit dispatch dispatch/svm libc runtime drivers net block
STAGE_LIB_SRC := $(sort $(foreach d,$(STAGE_LIB_DIRS),$(wildcard stage/$(d)/*.c stage/$(d)/*.S))) $(CHAIN_LIB_SRC) $(FS_LIB_SRC)
STAGE_MAIN_SRC := stage/main.c $(sort $(wildcard $(foreach d,libc/brief link sources,stage/$(d)/*.c stage/$(d)/*.S)))
STAGE_VIRT := 0xffffffff80000000
NATIVE_VIRT := 0xffffffffc0000000

# What the library stands on: musl, SHA-256 out of libcrypto, and jansson (stage/libc/jansson/jansson.mk).
LIBGCC := $(shell $(CC) -print-libgcc-file-name)
STAGE_LIBS := $(MUSL)/libc.a /usr/lib/x86_64-linux-gnu/libcrypto.a $(LIBGCC)
STAGE_LDFLAGS := -nostdlib -static --gc-sections -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments --build-id=sha1 \
	--hash-style=gnu --no-eh-frame-hdr
$(B)/include/stage/syscall_names.h: /usr/include/x86_64-linux-musl/bits/syscall.h
	@mkdir -p $(@D)
	$(Q)awk '/^#define __NR_/ { n[$$3 + 0] = substr($$2, 6); if ($$3 + 0 > most) most = $$3 + 0 } \
		END { for (i = 0; i <= most; i++) printf "\"%s\\0\"\n", n[i] }' $< >$@
$(B)/stage/stage/libc/syscall_names.o: $(B)/include/stage/syscall_names.h
STAGE_CFLAGS_stage/libc/syscall_brief.c := -mgeneral-regs-only
$(foreach f,kchain kchain_boot kchain_device kchain_disk kchain_net kchain_sha256 parallel,$(eval STAGE_CFLAGS_stage/runtime/$(f).c := -Isdk/include))

$(B)/stage/libstage.a: $(call stage_objects,$(STAGE_LIB_SRC)) $(WITH)/link-stage
	$(call say,AR,$@)
	$(Q)rm -f $@.new && ar rcsD $@.new $(filter %.o,$^) && mv $@.new $@

include stage/net/lwip.mk
include stage/libc/jansson/jansson.mk
include stage/tests/tests.mk

# $(1): virtual address, $(2): output, $(3): objects. What jansson needs is looked for in libstage.a before musl.
link_kernel = ld $(STAGE_LDFLAGS) --defsym=KCHAIN_VIRT=$(1) -T stage/boot/kernel.ld -o $(2) $(3) --start-group $(JANSSON_LIB) \
	$(B)/stage/libstage.a $(STAGE_LIBS) --end-group

$(B)/stage/stage.debug: $(call stage_objects,$(STAGE_MAIN_SRC)) $(B)/stage/libstage.a $(JANSSON_LIB) stage/boot/kernel.ld
	$(call say,LD,$@)
	$(Q)$(call link_kernel,$(STAGE_VIRT),$@,$(filter %.o,$^))
$(B)/stage/stage.elf: $(B)/stage/stage.debug
	$(call say,STRIP,$@)
	$(Q)strip -o $@ $<

# The same stage with allocators that fail when told to (stage/tests/fail_alloc.c), for qemu-tests/test_alloc.py.
$(B)/stage-test/stage.debug: STAGE_LDFLAGS += $(foreach f,malloc calloc realloc stage_pages_alloc stage_heap_map stage_exit stage_commit,--wrap=$(f))
$(B)/stage-test/stage.debug: $(call stage_objects,$(STAGE_MAIN_SRC) stage/tests/fail_alloc.c) $(B)/stage/libstage.a $(JANSSON_LIB) stage/boot/kernel.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link_kernel,$(STAGE_VIRT),$@,$(filter %.o,$^))
$(B)/stage-test/stage.elf: $(B)/stage-test/stage.debug
	$(Q)strip -o $@ $<
QEMU_NEEDS += $(B)/stage-test/stage.elf

# Native kernels: each kernels/NAME.c, or each folder kernels/NAME/ with a main of its own.
KERNELS := $(patsubst kernels/%.c,%,$(wildcard kernels/*.c))
KERNEL_ELFS := $(patsubst %,$(B)/kernels/%.elf,$(KERNELS))
STAGE_CFLAGS_KERNELS := -Isdk/include
$(foreach k,$(wildcard kernels/*.c),$(eval STAGE_CFLAGS_$(k) := -Isdk/include))
$(B)/kernels/%.debug: $(B)/stage/kernels/%.o $(B)/stage/libstage.a $(JANSSON_LIB) stage/boot/kernel.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link_kernel,$(NATIVE_VIRT),$@,$(filter %.o,$^))
$(B)/kernels/%.elf: $(B)/kernels/%.debug
	$(Q)strip -o $@ $<
kernels: $(KERNEL_ELFS)
.PHONY: kernels
ALL += $(B)/stage/stage.elf $(KERNEL_ELFS)

# What an outsider needs to build a native kernel.
SDK := $(B)/sdk
sdk: $(SDK)/.complete
ALL += $(SDK)/.complete
.PHONY: sdk
$(SDK)/.complete: $(B)/stage/libstage.a $(JANSSON_LIB) $(B)/stage-include/jansson.h stage/boot/kernel.ld abi/native.h sdk/include/kchain.h \
		abi/mailbox.h abi/module_name.h sdk/include/kchain_mailbox.h sdk/kchain.pc sdk/gcc.specs sdk/example/Makefile kernels/hello.c Makefile
	$(call say,SDK,$(SDK))
	$(Q)rm -rf $(SDK) && mkdir -p $(SDK)/include/abi $(SDK)/lib $(SDK)/example
	$(Q)cp sdk/include/kchain.h sdk/include/kchain_mailbox.h $(B)/stage-include/jansson.h $(B)/stage-include/jansson_config.h $(SDK)/include/
	$(Q)cp abi/native.h abi/mailbox.h abi/module_name.h $(SDK)/include/abi/
	$(Q)cp $(B)/stage/libstage.a $(SDK)/lib/libkchain.a && cp $(JANSSON_LIB) $(SDK)/lib/
	$(Q)sed 's/@VERSION@/$(VERSION)/' sdk/kchain.pc >$(SDK)/kchain.pc
	$(Q)cp stage/boot/kernel.ld sdk/gcc.specs $(SDK)/ && cp sdk/example/Makefile kernels/hello.c $(SDK)/example/
	$(Q)touch $@
