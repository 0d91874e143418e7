# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# How a native kernel is compiled and linked; a kernel's Makefile includes this. Needs gcc, binutils and musl-dev
# (and libssl-dev for SHA-256).

KCHAIN_MUSL := /usr/include/x86_64-linux-musl
KCHAIN_GCC_INCLUDE := $(shell $(CC) -print-file-name=include)
KCHAIN_CFLAGS := -std=c11 -Os -g -Wall -Wextra -nostdinc -isystem $(KCHAIN_SDK)/include -isystem $(KCHAIN_MUSL) \
	-isystem $(KCHAIN_GCC_INCLUDE) -m64 -mcmodel=kernel -fno-pic -fno-pie -mno-red-zone -fno-stack-protector \
	-fcf-protection=none -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
KCHAIN_LDFLAGS := -nostdlib -static --gc-sections -z max-page-size=4096 -s -z noexecstack --build-id=none --no-eh-frame-hdr \
	--defsym=KCHAIN_VIRT=0xffffffffc0000000 -T $(KCHAIN_SDK)/kernel.ld
KCHAIN_LIBS := --start-group $(KCHAIN_SDK)/lib/libjansson.a $(KCHAIN_SDK)/lib/libkchain.a /usr/lib/x86_64-linux-musl/libc.a \
	$(wildcard /usr/lib/x86_64-linux-gnu/libcrypto.a) $(shell $(CC) -print-libgcc-file-name) --end-group
LD := ld
