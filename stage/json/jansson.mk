# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# jansson for kernels, compiled from the distribution's source package where tools/fetch-jansson keeps it: with a section for each
# function a kernel gets those that it uses, half of what the distribution's library gives it. Its header is the one of the host's.

JANSSON_SRC := dump error hashtable hashtable_seed load memory pack_unpack strbuffer strconv utf value version
JANSSON_STAGE := $(JANSSON_SRC:%=$(B)/stage/jansson/%.o)
JANSSON_LIB := $(B)/stage/libjansson.a
JANSSON_CFLAGS := -DHAVE_CONFIG_H -isystem stage/json/include

# The stamp is ours, as lwIP's is (stage/net/lwip.mk).
$(B)/jansson.linked: tools/fetch-jansson $(if $(wildcard $(B)/jansson/.complete),,jansson-is-missing)
	@mkdir -p $(B)
	$(call say,FETCH,jansson)
	$(Q)folder=$$(tools/fetch-jansson) && ln -sfn "$$folder" $(B)/jansson && touch $@
.PHONY: jansson-is-missing
jansson-is-missing: ;

# Others' code: our warnings are not for it.
$(JANSSON_STAGE): $(B)/stage/jansson/%.o: $(B)/jansson.linked $(WITH)/stage stage/json/include/jansson_private_config.h | $(B)/stage-include/jansson.h
	@mkdir -p $(@D)
	$(call say,CC-stage,jansson/$*.c)
	$(Q)$(CC) $(filter-out $(WARN) -MMD -MP,$(STAGE_CFLAGS)) -w $(JANSSON_CFLAGS) -c -o $@ $(B)/jansson/src/$*.c
$(JANSSON_LIB): $(JANSSON_STAGE)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^
