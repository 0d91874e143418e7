# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# lwIP, compiled from the distribution's source package which tools/fetch-lwip unpacks into build/.

LWIP_SRC := core/def core/inet_chksum core/init core/ip core/mem core/memp core/netif core/pbuf core/timeouts core/udp \
	core/ipv4/dhcp core/ipv4/etharp core/ipv4/ip4 core/ipv4/ip4_addr core/ipv4/ip4_frag netif/ethernet
LWIP_INCLUDES := -isystem $(B)/lwip/src/include -isystem stage/net/include
# Ours among them, which the compiler's own lists of what an object was made of leave out as the system's.
LWIP_HEADERS := $(wildcard stage/net/include/*.h stage/net/include/arch/*.h)
LWIP_STAGE := $(patsubst %,$(B)/stage/lwip/%.o,$(LWIP_SRC))

# The files unpacked keep their own times, so the stamp's counts; what it says is looked at each time.
$(B)/lwip.unpacked: tools/fetch-lwip tools/fetch.sh $(if $(call is_unpacked,lwip),,lwip-is-missing)
	@mkdir -p $(B)
	$(call say,UNPACK,lwIP)
	$(Q)tools/fetch-lwip $(B)/lwip && cd $(B)/lwip && $(UNPACKED_DIGEST) >../$(@F)
.PHONY: lwip-is-missing
lwip-is-missing: ;

# Others' code: our warnings are not for it. One list of name servers for all interfaces is not what we want, and answers are looked at
# before it acts on them.
# Its timers take themselves from a pool and trap where there is none left: they get a pool that is always there.
lwip_defines = $(if $(filter core/ipv4/dhcp,$(1)),-DLWIP_DNS=1 -Ddns_setserver=stage_lwip_dns_server -Dudp_recv=stage_lwip_dhcp_listen) \
	$(if $(filter core/timeouts,$(1)),-Dmemp_malloc=stage_lwip_timer_take -Dmemp_free=stage_lwip_timer_free)
LWIP_CFLAGS = $(call lwip_defines,$*) $(LWIP_INCLUDES)
$(LWIP_STAGE): $(B)/stage/lwip/%.o: $(B)/lwip.unpacked $(WITH)/stage $(LWIP_HEADERS) | $(B)/stage-include/jansson.h
	@mkdir -p $(@D)
	$(call say,CC-stage,lwip/$*.c)
	$(Q)$(CC) $(filter-out $(WARN) -MMD -MP,$(STAGE_CFLAGS)) -w $(LWIP_CFLAGS) -c -o $@ $(B)/lwip/src/$*.c
# For the host's tests it is compiled by the general rules, from below build/.
LWIP_TREE := $(patsubst %,$(B)/lwip/src/%.c,$(LWIP_SRC))
$(LWIP_TREE): $(B)/lwip.unpacked ;
$(foreach v,host asan fuzz cover,$(patsubst %.c,$(B)/$(v)/%.o,$(LWIP_TREE))): $(B)/lwip.unpacked $(LWIP_HEADERS)
$(foreach f,$(LWIP_SRC),$(eval CFLAGS_$(B)/lwip/src/$(f).c := -w -fno-sanitize=alignment \
	$(call lwip_defines,$(f)) $(LWIP_INCLUDES)))

STAGE_NET_SRC := $(wildcard stage/net/*.c)
$(foreach f,$(STAGE_NET_SRC),$(eval STAGE_CFLAGS_$(f) := $(LWIP_INCLUDES)))
$(foreach f,$(STAGE_NET_SRC),$(eval CFLAGS_$(f) := $(LWIP_INCLUDES)))
$(foreach v,stage host asan fuzz cover,$(eval $(patsubst %.c,$(B)/$(v)/%.o,$(STAGE_NET_SRC)): $(LWIP_HEADERS) | $(B)/lwip.unpacked))
$(B)/stage/libstage.a: $(LWIP_STAGE)
