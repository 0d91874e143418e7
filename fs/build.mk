# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# test_memory lets each allocation of fs/ fail in turn.
$(B)/host/fs/tests/test_memory $(B)/asan/fs/tests/test_memory: HOST_LIBS += $(ALLOC_WRAP)
CFLAGS_fs/tests/test_memory.c := -Ichain/tests

# What qemu-tests/test_linux_erofs.py gives to Linux's own driver, and what it lists there.
$(B)/host/fs/tests/write_every_node: $(B)/host/fs/tests/write_every_node.o $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(HOST_LIBS) -lcmocka
$(B)/host/fs/tests/list_tree: $(B)/host/fs/tests/list_tree.o
	$(call say,LD,$@)
	$(Q)$(CC) -static -o $@ $^
QEMU_NEEDS += $(B)/host/fs/tests/write_every_node $(B)/host/fs/tests/list_tree
