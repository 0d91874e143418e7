# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# Kernels that are not native: plain Multiboot 1, at 1 MiB, on nobody's runtime. The native ones are built in stage/build.mk.

MULTIBOOT1_CFLAGS := -std=gnu11 -Os -m32 -march=i686 -mgeneral-regs-only -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables $(PREFIX_MAP) $(WARN) -Isdk/include -I.
link_multiboot1 = ld -m elf_i386 -n --no-warn-rwx-segments --build-id=none $(2) -T kernels/multiboot1/link.ld -o $(1) $(B)/kernels/acts.o
$(B)/kernels/acts.o: kernels/multiboot1/acts.c $(WITH)/multiboot1 sdk/include/kchain_mailbox.h abi/mailbox.h abi/module_name.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(MULTIBOOT1_CFLAGS) -c -o $@ $<
$(B)/kernels/acts.elf: $(B)/kernels/acts.o kernels/multiboot1/link.ld
	$(Q)$(call link_multiboot1,$@)
# The same where an image at its usual place is not in its way.
$(B)/kernels/acts-32m.elf: $(B)/kernels/acts.o kernels/multiboot1/link.ld
	$(Q)$(call link_multiboot1,$@,--defsym=LOAD=0x2000000)
# The same where it asks for a screen by its header: a framebuffer, text.
$(B)/kernels/acts-linear.o $(B)/kernels/acts-text.o: $(B)/kernels/acts-%.o: kernels/multiboot1/acts.c $(B)/kernels/acts.o
	$(call say,CC,$@)
	$(Q)$(CC) $(MULTIBOOT1_CFLAGS) -DSCREEN_MODE=$(if $(filter text,$*),1,0) -c -o $@ $<
$(B)/kernels/acts-linear.elf $(B)/kernels/acts-text.elf: $(B)/kernels/%.elf: $(B)/kernels/%.o kernels/multiboot1/link.ld
	$(Q)ld -m elf_i386 -n --no-warn-rwx-segments --build-id=none -T kernels/multiboot1/link.ld -o $@ $<
# In 64-bit mode, for all of a processor's state.
STATE_CFLAGS := $(filter-out -m32 -march=i686,$(MULTIBOOT1_CFLAGS)) -m64 -mno-red-zone
$(B)/kernels/state.o: kernels/multiboot1/state.c kernels/multiboot1/state.h $(WITH)/multiboot1 sdk/include/kchain_mailbox.h abi/mailbox.h abi/module_name.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(STATE_CFLAGS) -c -o $@ $<
$(B)/kernels/state_entry.o: kernels/multiboot1/state_entry.S kernels/multiboot1/state.h $(WITH)/multiboot1
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) $(STATE_CFLAGS) -D__ASSEMBLER__ -c -o $@ $<
$(B)/kernels/state.elf: $(B)/kernels/state.o $(B)/kernels/state_entry.o kernels/multiboot1/link.ld
	$(Q)ld -m elf_x86_64 -n --no-warn-rwx-segments --build-id=none -T kernels/multiboot1/link.ld -o $@ $(filter %.o,$^)
ALL += $(B)/kernels/acts.elf $(B)/kernels/acts-32m.elf $(B)/kernels/acts-linear.elf $(B)/kernels/acts-text.elf $(B)/kernels/state.elf
# Kernels of further protocols, which say what they were told; position-independent, since the one may be moved.
$(B)/kernels/found-%.o: kernels/doors/found.c $(WITH)/multiboot1
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(MULTIBOOT1_CFLAGS) $(if $(filter pvh,$*),-DFOUND_PVH) -fpie -c -o $@ $<
$(B)/kernels/found-%.elf: $(B)/kernels/found-%.o kernels/doors/link.ld
	$(Q)ld -m elf_i386 -n --no-warn-rwx-segments --build-id=none -T kernels/doors/link.ld -o $@ $<
ALL += $(B)/kernels/found-multiboot2.elf $(B)/kernels/found-pvh.elf
