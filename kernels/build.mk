# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# Kernels that are not native: plain Multiboot 1, at 1 MiB, on nobody's runtime. The native ones are built in stage/build.mk.

MULTIBOOT1_CFLAGS := -std=gnu11 -Os -m32 -march=i686 -mgeneral-regs-only -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -ffile-prefix-map=$(CURDIR)=. $(WARN)
$(B)/kernels/acts.elf: kernels/multiboot1/acts.c kernels/multiboot1/link.ld $(WITH)/multiboot1
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(MULTIBOOT1_CFLAGS) -c -o $(@:.elf=.o) $<
	$(Q)ld -m elf_i386 -n --no-warn-rwx-segments --build-id=none -T kernels/multiboot1/link.ld -o $@ $(@:.elf=.o)
ALL += $(B)/kernels/acts.elf
