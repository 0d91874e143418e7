# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# test_memory lets each allocation of fs/ fail in turn.
$(B)/host/fs/tests/test_memory $(B)/asan/fs/tests/test_memory: HOST_LIBS += $(ALLOC_WRAP)
CFLAGS_fs/tests/test_memory.c := -Ichain/tests
