# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# The library's packed texts, and the `kchain` command: its subcommands, the library and the first-stage kernel in one file.

STATUS_HEADERS := $(B)/include/chain/status_texts.h $(B)/include/chain/status_members.h
$(STATUS_HEADERS) &: tools/pack-texts chain/include/chain/status.def
	@mkdir -p $(@D)
	$(Q)tools/pack-texts chain/include/chain/status.def $(STATUS_HEADERS)

# As many instructions as need be and no more: -O2 saves some with AVX2, and costs some without.
CFLAGS_chain/base/digest_lanes4.c := -Os
CFLAGS_chain/base/digest_lanes8.c := -O2 -mavx2
STAGE_CFLAGS_chain/base/digest_lanes4.c := -Os
STAGE_CFLAGS_chain/base/digest_lanes8.c := -O2 -mavx2

CMD_SRC := $(sort $(wildcard chain/cmd/*.c chain/cmd/*/*.c chain/cmd/bake/rootfs/*.c))
CMD_LIB_SRC := $(filter-out chain/cmd/main.c chain/cmd/templates/%,$(CMD_SRC))
STAGE_ELF := $(B)/stage/stage.elf

# Files within the command.
CMD_BLOBS := $(B)/host/chain/cmd/stage_blob.o $(B)/host/chain/cmd/kernel_blob.o $(B)/host/chain/cmd/init_templates.o $(B)/host/chain/cmd/run/qemu_large_loader.o \
	$(B)/host/chain/cmd/sweep/forkserver_blob.o

# All but main, for the tests of the command's parts.
$(B)/host/libcmd.a: $(patsubst %.c,$(B)/host/%.o,$(CMD_LIB_SRC)) $(CMD_BLOBS) $(WITH)/link
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)
$(B)/asan/libcmd.a: $(patsubst %.c,$(B)/asan/%.o,$(CMD_LIB_SRC)) $(CMD_BLOBS) $(WITH)/link
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)

$(B)/host/chain/cmd/run/qemu_large_loader.o: chain/cmd/run/qemu_large_loader.S chain/cmd/run/qemu_large.h
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -c -o $@ $<
$(B)/host/chain/cmd/stage_blob.o: chain/cmd/stage_blob.S $(STAGE_ELF) $(B)/init/init $(B)/next/kchain-next
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -DSTAGE_ELF='"$(STAGE_ELF)"' -DROOT_INIT='"$(B)/init/init"' -DROOT_NEXT='"$(B)/next/kchain-next"' -c -o $@ $<
$(B)/host/chain/cmd/kernel_blob.o: chain/cmd/kernel_blob.S chain/cmd/kernel/fetch.sh
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -c -o $@ $<
$(B)/host/chain/cmd/init_templates.o: chain/cmd/init_templates.S $(wildcard chain/cmd/templates/* chain/cmd/templates/*/*)
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -c -o $@ $<

# It is loaded into QEMU, so it needs nothing but the C library, and shows nothing but what it replaces.
$(B)/host/chain/cmd/sweep/preload/forkserver.so: chain/cmd/sweep/preload/forkserver.c $(wildcard chain/cmd/sweep/*_wire.h chain/cmd/sweep/machine_fds.h) $(WITH)/host
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(HOST_CFLAGS) -g0 -MF $@.d -fPIC -fvisibility=hidden -shared -Wl,-z,now -s -o $@ $<
$(B)/host/chain/cmd/sweep/forkserver_blob.o: chain/cmd/sweep/forkserver_blob.S $(B)/host/chain/cmd/sweep/preload/forkserver.so
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -DFORKSERVER_SO='"$(B)/host/chain/cmd/sweep/preload/forkserver.so"' -c -o $@ $<

$(B)/kchain: $(B)/host/chain/cmd/main.o $(B)/host/libcmd.a $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(HOST_LIBS)
$(B)/asan/kchain: $(B)/asan/chain/cmd/main.o $(B)/asan/libcmd.a $(B)/asan/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_FLAGS) -o $@ $^ $(HOST_LIBS)

# Tests of the command's parts need libcmd before libkchain on the link line, and the whole command beside them.
CMD_TESTS := test_root_put test_sweep test_text test_files test_image_tree test_bake_out test_bake_walk test_records test_report test_run test_bake_host test_bake_read test_bake_cache test_bake_alloc test_linux_payload
$(CMD_TESTS:%=$(B)/host/chain/tests/%): $(B)/host/libcmd.a
$(CMD_TESTS:%=$(B)/asan/chain/tests/%): $(B)/asan/libcmd.a
$(CMD_TESTS:%=$(B)/host/chain/tests/%): HOST_LIBS := $(B)/host/libcmd.a $(B)/host/libkchain.a $(HOST_LIBS)
$(CMD_TESTS:%=$(B)/asan/chain/tests/%): HOST_LIBS := $(B)/asan/libcmd.a $(B)/asan/libkchain.a $(HOST_LIBS)
$(B)/host/chain/tests/test_cli $(B)/host/chain/tests/test_pipelines: | $(B)/kchain
$(B)/asan/chain/tests/test_cli $(B)/asan/chain/tests/test_pipelines: | $(B)/asan/kchain

# Programs whose allocations fail in turn (chain/tests/alloc_fail.h).
ALLOC_WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=asprintf,--wrap=vasprintf
ALLOC_TESTS := test_alloc test_json test_json_write test_bake_alloc
$(ALLOC_TESTS:%=$(B)/host/chain/tests/%) $(ALLOC_TESTS:%=$(B)/asan/chain/tests/%): HOST_LIBS += $(ALLOC_WRAP)

# What the system does for files, as a test wants it.
$(B)/host/chain/tests/test_files $(B)/asan/chain/tests/test_files: HOST_LIBS += -Wl,--wrap=open,--wrap=linkat,--wrap=rename
$(B)/host/chain/tests/test_bake_walk $(B)/asan/chain/tests/test_bake_walk: HOST_LIBS += -Wl,--wrap=lstat

# And calls of the system about files, which fail in turn (chain/tests/failing_io.c).
FAILING_IO := open mkostemp close fstat stat lstat faccessat read pread write pwrite copy_file_range ftruncate lseek mmap linkat rename fchmod \
	fchdir mkdir fdopendir readdir readlink llistxattr lgetxattr chain_sha256_update chain_verity_update
$(B)/kchain-failing: $(patsubst %,$(B)/host/chain/%.o,cmd/main tests/failing_command tests/failing_io) $(B)/host/libcmd.a $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(HOST_LIBS) $(ALLOC_WRAP) $(FAILING_IO:%=-Wl,--wrap=%)
QEMU_NEEDS += $(B)/kchain-failing

CFLAGS_chain/cmd/version.c := -DKCHAIN_VERSION='"$(VERSION)"'
# What qemu-tests/test_json.py asks.
$(B)/host/chain/tests/json_texts: $(B)/host/chain/tests/json_texts.o $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(HOST_LIBS)
QEMU_NEEDS += $(B)/host/chain/tests/json_texts

# What qemu-tests/test_root_archives.py asks.
$(B)/host/chain/tests/root_list: $(B)/host/chain/tests/root_list.o $(B)/host/libcmd.a $(B)/host/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(HOST_LIBS)
$(B)/asan/chain/tests/root_list: $(B)/asan/chain/tests/root_list.o $(B)/asan/libcmd.a $(B)/asan/libkchain.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_FLAGS) -o $@ $^ $(HOST_LIBS)
QEMU_NEEDS += $(B)/host/chain/tests/root_list $(B)/asan/chain/tests/root_list

all: $(B)/kchain

# Its digests are made up: see there.
FUZZ_LINK_json := $(ALLOC_WRAP)
FUZZ_LINK_image := -Wl,--wrap=chain_sha256_update,--wrap=chain_sha256_final,--wrap=chain_sha256_of,--wrap=chain_sha256_lanes

CFLAGS_chain/tests/test_fixed.c := -Isdk/include
