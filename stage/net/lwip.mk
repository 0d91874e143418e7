# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
#
# lwIP, compiled from the distribution's source package where tools/fetch-lwip keeps it; linked into build/ by name.

LWIP_SRC := core/def core/dns core/inet_chksum core/init core/ip core/mem core/memp core/netif core/pbuf core/timeouts core/udp \
	core/ipv4/dhcp core/ipv4/etharp core/ipv4/icmp core/ipv4/ip4 core/ipv4/ip4_addr core/ipv4/ip4_frag netif/ethernet
LWIP_INCLUDES := -isystem $(B)/lwip/src/include -isystem stage/net/include
LWIP_STAGE := $(patsubst %,$(B)/stage/lwip/%.o,$(LWIP_SRC))
LWIP_HOST := $(patsubst %,$(B)/host/lwip/%.o,$(LWIP_SRC))
LWIP_ASAN := $(patsubst %,$(B)/asan/lwip/%.o,$(LWIP_SRC))

$(B)/lwip/.complete: tools/fetch-lwip
	@mkdir -p $(B)
	$(call say,FETCH,lwIP)
	$(Q)folder=$$(tools/fetch-lwip) && ln -sfn "$$folder" $(B)/lwip && touch -c $@

# Others' code: our warnings are not for it. One list of name servers for all interfaces is not what we want.
LWIP_CFLAGS = $(if $(filter core/ipv4/dhcp,$*),-Ddns_setserver=stage_lwip_dns_server) $(LWIP_INCLUDES)
$(LWIP_STAGE): $(B)/stage/lwip/%.o: $(B)/lwip/.complete stage/net/include/lwipopts.h stage/net/include/arch/cc.h | $(B)/stage-include/jansson.h
	@mkdir -p $(@D)
	$(call say,CC-stage,lwip/$*.c)
	$(Q)$(CC) $(filter-out $(WARN) -MMD -MP,$(STAGE_CFLAGS)) -w $(LWIP_CFLAGS) -c -o $@ $(B)/lwip/src/$*.c
$(LWIP_HOST): $(B)/host/lwip/%.o: $(B)/lwip/.complete stage/net/include/lwipopts.h stage/net/include/arch/cc.h
	@mkdir -p $(@D)
	$(call say,CC,lwip/$*.c)
	$(Q)$(CC) -O2 -g -w $(LWIP_CFLAGS) -c -o $@ $(B)/lwip/src/$*.c
$(LWIP_ASAN): $(B)/asan/lwip/%.o: $(B)/lwip/.complete stage/net/include/lwipopts.h stage/net/include/arch/cc.h
	@mkdir -p $(@D)
	$(call say,CC-asan,lwip/$*.c)
	$(Q)$(CC) -g -w $(ASAN_FLAGS) -fno-sanitize=alignment $(LWIP_CFLAGS) -c -o $@ $(B)/lwip/src/$*.c

STAGE_NET_SRC := $(wildcard stage/net/*.c)
$(foreach f,$(STAGE_NET_SRC),$(eval STAGE_CFLAGS_$(f) := $(LWIP_INCLUDES)))
$(foreach f,$(STAGE_NET_SRC),$(eval CFLAGS_$(f) := $(LWIP_INCLUDES)))
$(foreach v,stage host asan,$(eval $(patsubst %.c,$(B)/$(v)/%.o,$(STAGE_NET_SRC)): | $(B)/lwip/.complete))
$(B)/stage/libstage.a: $(LWIP_STAGE)

# Host tests of drivers, tables and the network: the same sources against fake devices.
STAGE_HOST_TESTED := $(filter-out stage/drivers/native_env.c,$(wildcard stage/drivers/*.c)) $(wildcard stage/block/*.c)
STAGE_DEVICE_TESTS := $(patsubst stage/tests/%.c,%,$(wildcard stage/tests/test_pci.c stage/tests/test_virtio.c stage/tests/test_virtio_blk.c stage/tests/test_partition.c stage/tests/test_net.c))
$(foreach v,host asan,$(foreach t,$(STAGE_DEVICE_TESTS),$(eval $(B)/$(v)/stage/tests/$(t): $(patsubst %.c,$(B)/$(v)/%.o,$(STAGE_HOST_TESTED)))))
$(B)/host/stage/tests/test_net: $(patsubst %.c,$(B)/host/%.o,$(STAGE_NET_SRC)) $(LWIP_HOST)
$(B)/asan/stage/tests/test_net: $(patsubst %.c,$(B)/asan/%.o,$(STAGE_NET_SRC)) $(LWIP_ASAN)
# The objects come behind the library on the command line and want it again.
$(foreach t,$(STAGE_DEVICE_TESTS),$(eval $(B)/host/stage/tests/$(t): HOST_LIBS := $(B)/host/libkchain.a $(HOST_LIBS)))
$(foreach t,$(STAGE_DEVICE_TESTS),$(eval $(B)/asan/stage/tests/$(t): HOST_LIBS := $(B)/asan/libkchain.a $(HOST_LIBS)))
