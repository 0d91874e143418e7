# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# One non-recursive Makefile. Each folder's build.mk adds its sources to the lists below. Everything is built in build/.
# The same chain/ and fs/ sources are compiled three times: host, host with sanitizers (asan), stage.

B := build
all:

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

WARN := -Wall -Wextra -Wshadow -Wconversion -Werror
INCLUDES := -Ichain/include -Ifs/include -Istage/include -I$(B)/include

CC := gcc
HOST_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g $(WARN) $(INCLUDES) -MMD -MP
HOST_LIBS := -ljansson -lelf -lcrypto
ASAN_FLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# The stage: 64-bit, in the upper 2 GiB, musl's headers, no host header but jansson's (copied alone).
GCC_INCLUDE := $(shell $(CC) -print-file-name=include)
MUSL := /usr/lib/x86_64-linux-musl
STAGE_CFLAGS := -std=c11 -D_GNU_SOURCE -DKCHAIN_STAGE=1 -Os -g $(WARN) -MMD -MP \
	-nostdinc -isystem $(B)/stage-include -isystem /usr/include/x86_64-linux-musl -isystem $(GCC_INCLUDE) $(INCLUDES) \
	-m64 -march=x86-64 -mcmodel=kernel -fno-pic -fno-pie -mno-red-zone -fno-stack-protector -fcf-protection=none \
	-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-strict-aliasing -ffile-prefix-map=$(CURDIR)=.

CHAIN_LIB_SRC := $(sort $(wildcard chain/lib/*.c))
FS_LIB_SRC := $(sort $(wildcard fs/*.c))

include $(sort $(wildcard */build.mk))

$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HOST_CFLAGS) $(CFLAGS_$(<)) -c -o $@ $<

$(B)/asan/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC-asan,$<)
	$(Q)$(CC) $(HOST_CFLAGS) $(ASAN_FLAGS) $(CFLAGS_$(<)) -c -o $@ $<

$(B)/stage/%.o: %.c | $(B)/stage-include/jansson.h
	@mkdir -p $(@D)
	$(call say,CC-stage,$<)
	$(Q)$(CC) $(STAGE_CFLAGS) $(STAGE_CFLAGS_$(<)) -c -o $@ $<

$(B)/stage/%.o: %.S
	@mkdir -p $(@D)
	$(call say,AS-stage,$<)
	$(Q)$(CC) $(STAGE_CFLAGS) -D__ASSEMBLER__ -c -o $@ $<

$(B)/stage-include/jansson.h: /usr/include/jansson.h
	@mkdir -p $(@D)
	$(Q)cp /usr/include/jansson.h $(firstword $(wildcard /usr/include/jansson_config.h /usr/include/x86_64-linux-gnu/jansson_config.h)) $(@D)/
	$(Q)mkdir -p $(@D)/openssl

host_objects = $(patsubst %.c,$(B)/host/%.o,$(1))
asan_objects = $(patsubst %.c,$(B)/asan/%.o,$(1))
stage_objects = $(patsubst %.S,$(B)/stage/%.o,$(patsubst %.c,$(B)/stage/%.o,$(1)))

$(B)/host/libkchain.a: $(call host_objects,$(CHAIN_LIB_SRC) $(FS_LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^
$(B)/asan/libkchain.a: $(call asan_objects,$(CHAIN_LIB_SRC) $(FS_LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

# Unit tests: every */tests/test_NAME.c is one cmocka program, built plain and with sanitizers.
UNIT_SRC := $(sort $(wildcard */tests/test_*.c))
UNIT_HOST := $(patsubst %.c,$(B)/host/%,$(UNIT_SRC))
UNIT_ASAN := $(patsubst %.c,$(B)/asan/%,$(UNIT_SRC))
$(UNIT_HOST): $(B)/host/%: $(B)/host/%.o $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(HOST_LIBS) -lcmocka
$(UNIT_ASAN): $(B)/asan/%: $(B)/asan/%.o $(B)/asan/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_FLAGS) -o $@ $^ $(HOST_LIBS) -lcmocka

.PHONY: all unit clean
all:
unit: $(UNIT_HOST) $(UNIT_ASAN)
	$(Q)for t in $^; do $$t || exit 1; done
clean:
	$(Q)rm -rf $(B)

.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
