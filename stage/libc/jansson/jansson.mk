# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# jansson, compiled from the distribution's source package, which tools/fetch-jansson unpacks into build/, for kernels and for the command alike: one
# grammar. With a section for each function a kernel gets those that it uses, half of what the distribution's library gives it. Its header is
# the one of the host's. Without its assertions: one of them does not hold when memory runs out within a number, which is found out anyway
# (chain/json_memory.h).

JANSSON_SRC := dump error hashtable hashtable_seed load memory pack_unpack strbuffer strconv utf value version
JANSSON_STAGE := $(JANSSON_SRC:%=$(B)/stage/jansson/%.o)
JANSSON_LIB := $(B)/stage/libjansson.a
JANSSON_CFLAGS := -DHAVE_CONFIG_H -DNDEBUG -isystem stage/libc/jansson/include
JANSSON_HOST := $(JANSSON_SRC:%=$(B)/host/jansson/%.o)

# The stamp is ours, as lwIP's is (stage/net/lwip.mk).
$(B)/jansson.unpacked: tools/fetch-jansson tools/fetch.sh $(if $(call is_unpacked,jansson),,jansson-is-missing)
	@mkdir -p $(B)
	$(call say,UNPACK,jansson)
	$(Q)tools/fetch-jansson $(B)/jansson && cd $(B)/jansson && $(UNPACKED_DIGEST) >../$(@F)
.PHONY: jansson-is-missing
jansson-is-missing: ;

# Others' code: our warnings are not for it.
$(JANSSON_STAGE): $(B)/stage/jansson/%.o: $(B)/jansson.unpacked $(WITH)/stage stage/libc/jansson/include/jansson_private_config.h | $(B)/stage-include/jansson.h
	@mkdir -p $(@D)
	$(call say,CC-stage,jansson/$*.c)
	$(Q)$(CC) $(filter-out $(WARN) -MMD -MP,$(STAGE_CFLAGS)) -w $(JANSSON_CFLAGS) -c -o $@ $(B)/jansson/src/$*.c
$(JANSSON_LIB): $(JANSSON_STAGE)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

# For programs of the host, those with sanitizers included.
$(JANSSON_HOST): $(B)/host/jansson/%.o: $(B)/jansson.unpacked $(WITH)/host stage/libc/jansson/include/jansson_private_config.h
	@mkdir -p $(@D)
	$(call say,CC,jansson/$*.c)
	$(Q)$(CC) $(filter-out $(WARN) $(INCLUDES) -MMD -MP,$(HOST_CFLAGS)) -w $(JANSSON_CFLAGS) -c -o $@ $(B)/jansson/src/$*.c
$(B)/host/libjansson.a: $(JANSSON_HOST)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^
$(foreach v,host asan fuzz cover,$(B)/$(v)/libkchain.a): $(B)/host/libjansson.a

# For the programs that run on a Linux of ours, linked with musl (init/build.mk).
JANSSON_MUSL := $(JANSSON_SRC:%=$(B)/musl/jansson/%.o)
$(JANSSON_MUSL): $(B)/musl/jansson/%.o: $(B)/jansson.unpacked $(WITH)/init stage/libc/jansson/include/jansson_private_config.h | $(B)/stage-include/jansson.h
	@mkdir -p $(@D)
	$(call say,CC-musl,jansson/$*.c)
	$(Q)$(CC) $(filter-out $(WARN) -MMD -MP,$(INIT_CFLAGS)) -w $(JANSSON_CFLAGS) -c -o $@ $(B)/jansson/src/$*.c
$(B)/musl/libjansson.a: $(JANSSON_MUSL)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^
