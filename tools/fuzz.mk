# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzing: every */tests/fuzz_NAME.c is one libFuzzer target, built by clang with the library's sources instrumented. Its inputs
# are in */tests/corpus/NAME/, words that help it in */tests/corpus/NAME.dict. A target that needs sources which are in no
# library says so in its folder's build.mk: FUZZ_SRC_NAME := stage/block/gpt.c …; FUZZ_LINK_NAME has flags for its link.
# build/fuzz/ has the targets, build/cover/ the same ones counting lines instead of looking for errors.

FUZZ_CC := clang
FUZZ_SECONDS := 60
FUZZ_TARGETS := $(sort $(wildcard */tests/fuzz_*.c))
FUZZ_NAMES := $(patsubst fuzz_%,%,$(basename $(notdir $(FUZZ_TARGETS))))
FUZZ := $(FUZZ_NAMES)
# gcc has given its opinion on conversions; clang's -Wconversion is another warning.
FUZZ_CFLAGS := $(filter-out -Wconversion -O2,$(HOST_CFLAGS)) -O1 -fno-omit-frame-pointer
FUZZ_FLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_FLAGS_cover := -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping
FUZZ_LINK_fuzz := -fsanitize=fuzzer,address,undefined
FUZZ_LINK_cover := -fsanitize=fuzzer -fprofile-instr-generate

# $(1): fuzz or cover
define fuzz_rules
$(B)/$(1)/%.o: %.c $(WITH)/$(1) | $(STATUS_HEADERS)
	@mkdir -p $$(@D)
	$$(call say,CC-$(1),$$<)
	$$(Q)$$(FUZZ_CC) $$(FUZZ_CFLAGS) $$(FUZZ_FLAGS_$(1)) $$(CFLAGS_$$(<)) -c -o $$@ $$<
$(B)/$(1)/libkchain.a: $$(patsubst %.c,$(B)/$(1)/%.o,$$(CHAIN_LIB_SRC) $$(FS_LIB_SRC) $$(HOST_LIB_SRC)) $(WITH)/link
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcsD $$@ $$(filter %.o,$$^)
$(B)/$(1)/libcmd.a: $$(patsubst %.c,$(B)/$(1)/%.o,$$(CMD_LIB_SRC)) $$(CMD_BLOBS) $(WITH)/link
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcsD $$@ $$(filter %.o,$$^)
endef
# $(1): fuzz or cover, $(2): the target's source
define fuzz_program
$(B)/$(1)/bin/$(patsubst fuzz_%,%,$(basename $(notdir $(2)))): $(patsubst %.c,$(B)/$(1)/%.o,$(2) $(FUZZ_SRC_$(patsubst fuzz_%,%,$(basename $(notdir $(2)))))) \
		$(B)/$(1)/libcmd.a $(B)/$(1)/libkchain.a
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(FUZZ_CC) $$(FUZZ_LINK_$(1)) $$(FUZZ_LINK_$$(@F)) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(HOST_LIBS)
endef
$(foreach v,fuzz cover,$(eval $(call fuzz_rules,$(v))))
$(foreach v,fuzz cover,$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_program,$(v),$(t)))))

# tools/run-tests runs programs without arguments.
FUZZ_CHECKS := $(patsubst %,$(B)/fuzz/check/fuzz_%,$(FUZZ_NAMES))
$(FUZZ_CHECKS): $(B)/fuzz/check/fuzz_%: $(B)/fuzz/bin/%
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\n# hang-after: 300\nexec tools/fuzz check %s\n' $* >$@ && chmod +x $@

.PHONY: fuzz fuzz-check fuzz-cover fuzz-merge fuzz-programs
fuzz-programs: $(patsubst %,$(B)/fuzz/bin/%,$(FUZZ))
fuzz-check: $(patsubst %,$(B)/fuzz/check/fuzz_%,$(FUZZ))
	$(Q)tools/run-tests $(T) $^
fuzz: fuzz-programs
	$(Q)for name in $(FUZZ); do tools/fuzz run $$name $(FUZZ_SECONDS) || exit 1; done
fuzz-merge: fuzz-programs
	$(Q)for name in $(FUZZ); do tools/fuzz merge $$name || exit 1; done
fuzz-cover: $(patsubst %,$(B)/cover/bin/%,$(FUZZ))
	$(Q)for name in $(FUZZ); do tools/fuzz cover $$name || exit 1; done
