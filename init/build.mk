# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a Linux that is booted for a root (docs/ROOTS.md): one static program, linked with musl, that the command has
# within itself. What of the library it needs is compiled for it.

INIT_SRC := $(sort $(wildcard init/*.c init/libc/*.c)) stage/libc/print.c stage/libc/brief/print.c stage/libc/brief/numbers.c
INIT_CFLAGS := $(filter-out -DKCHAIN_STAGE=1 -mcmodel=kernel -mno-red-zone,$(STAGE_CFLAGS)) -idirafter /usr/include \
	-idirafter /usr/include/x86_64-linux-gnu
INIT_OBJECTS := $(patsubst %.c,$(B)/musl/%.o,$(INIT_SRC)) $(B)/musl/libkchain.a $(B)/musl/libjansson.a
# Digests' code, which is not in the program, has the linker bring libgcc's look at the processor.
INIT_LDFLAGS := -Wl,--gc-sections,-z,noexecstack,-z,noseparate-code,--build-id=none,--defsym=__cpu_model=0
INIT_ELF := $(B)/init/init

$(B)/musl/%.o: %.c $(WITH)/init | $(B)/stage-include/jansson.h $(STATUS_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC-musl,$<)
	$(Q)$(CC) $(INIT_CFLAGS) $(STAGE_CFLAGS_$(<)) -c -o $@ $<
$(B)/musl/libkchain.a: $(patsubst %.c,$(B)/musl/%.o,$(CHAIN_LIB_SRC) $(FS_LIB_SRC)) $(WITH)/link
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)
$(INIT_ELF).debug: $(INIT_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -nostdlib -static -no-pie $(INIT_LDFLAGS) -o $@ $(MUSL)/crt1.o $(MUSL)/crti.o -Wl,--start-group $(INIT_OBJECTS) \
		$(STAGE_LIBS) -Wl,--end-group $(MUSL)/crtn.o
$(INIT_ELF): $(INIT_ELF).debug
	$(call say,STRIP,$@)
	$(Q)strip -s -R .comment -o $@ $<
ALL += $(INIT_ELF)

# What parses is tested on the host.
INIT_TEST_SRC := $(addprefix init/,dhcp.c interfaces.c spec.c tail.c users.c why.c)
define init_test
$(B)/$(1)/$(2): $(patsubst %.c,$(B)/$(1)/%.o,$(INIT_TEST_SRC))
$(B)/$(1)/$(2): HOST_LIBS := $(B)/$(1)/libkchain.a $(HOST_LIBS)
endef
$(foreach v,host asan,$(foreach t,$(patsubst %.c,%,$(wildcard init/tests/test_*.c)),$(eval $(call init_test,$(v),$(t)))))
FUZZ_SRC_root := $(INIT_TEST_SRC)
