# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# kchain-next, by which a running Linux starts a kernel in its place: one static program, linked with musl, for any Linux. Its digests
# are the stage's (chain/base/digest.c), which need nothing of libcrypto but SHA-256.

NEXT_SRC := $(sort $(wildcard next/*.c))
NEXT_OBJECTS := $(patsubst %.c,$(B)/musl/%.o,$(NEXT_SRC)) $(B)/musl/next/entry.o $(B)/musl/next/commit_trampoline.o $(B)/musl/next/digest.o \
	$(B)/musl/libkchain.a $(B)/musl/libjansson.a
NEXT_LDFLAGS := -Wl,--gc-sections,-z,noexecstack,-z,noseparate-code,--build-id=none
NEXT_ELF := $(B)/next/kchain-next
STAGE_CFLAGS_next/options.c := -DKCHAIN_VERSION='"$(VERSION)"'
CFLAGS_next/options.c := $(STAGE_CFLAGS_next/options.c)

$(B)/musl/next/%.o: next/%.S $(WITH)/init
	@mkdir -p $(@D)
	$(call say,AS-musl,$<)
	$(Q)$(CC) $(INIT_CFLAGS) -D__ASSEMBLER__ -c -o $@ $<
$(B)/musl/next/commit_trampoline.o: stage/commit/commit_trampoline.S $(WITH)/init
	@mkdir -p $(@D)
	$(call say,AS-musl,$<)
	$(Q)$(CC) $(INIT_CFLAGS) -D__ASSEMBLER__ -c -o $@ $<
$(B)/musl/next/digest.o: chain/base/digest.c $(WITH)/init | $(STATUS_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC-musl,$<)
	$(Q)$(CC) $(INIT_CFLAGS) -DKCHAIN_STAGE=1 -c -o $@ $<
$(NEXT_ELF).debug: $(NEXT_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -nostdlib -static -no-pie $(NEXT_LDFLAGS) -o $@ $(MUSL)/crt1.o $(MUSL)/crti.o -Wl,--start-group $(NEXT_OBJECTS) \
		$(STAGE_LIBS) -Wl,--end-group $(MUSL)/crtn.o
$(NEXT_ELF): $(NEXT_ELF).debug
	$(call say,STRIP,$@)
	$(Q)strip -s -R .comment -o $@ $<
ALL += $(NEXT_ELF)

# What reads and plans is tested on the host: next/NAME.c by next/tests/test_next_NAME.c.
define next_test
$(B)/$(1)/next/tests/test_next_$(2): $(B)/$(1)/next/$(2).o
$(B)/$(1)/next/tests/test_next_$(2): HOST_LIBS := $(B)/$(1)/libkchain.a $(HOST_LIBS)
endef
$(B)/host/next/tests/test_next_segments: $(B)/host/next/map.o
$(B)/asan/next/tests/test_next_segments: $(B)/asan/next/map.o
$(foreach v,host asan,$(foreach t,$(patsubst next/tests/test_next_%.c,%,$(wildcard next/tests/test_*.c)),$(eval $(call next_test,$(v),$(t)))))
