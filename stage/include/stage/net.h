/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: giving network interfaces their addresses, by DHCP or by the pipeline, and saying what came of it.
 * Must not know: drivers. There is one network (lwIP has one) a kernel. */
#ifndef STAGE_NET_H
#define STAGE_NET_H

#include "chain/config.h"
#include "stage/device_list.h"

/* Brings up what `requests` ask for, all at once, and fills `out` (object, borrowed) with an entry a name as
 * docs/HANDOFF.md has them. `parent` (nullable): the handoff received; what it has configured (chain_handoff_keep_net)
 * is left alone, its entry copied. Waits until everything is configured or its time is over. An interface that is
 * missing, on all buses, or got no answer is an entry, not a failure. `requests` and `devices` are borrowed until
 * stage_net_stop. CHAIN_E_NET_BAD_ADDRESS, CHAIN_E_NO_MEMORY. */
enum chain_status stage_net_configure(const struct stage_device_env *env, const struct chain_config_net *requests,
				      size_t count, const json_t *parent, struct stage_device_list *devices,
				      json_t *out, struct chain_error *err) CHAIN_MUST_CHECK;

/* Lets received frames in and timers run: keeps leases and answers pings while something else is waited for. */
void stage_net_poll(void);

/* Forgets that device's interface, as stage_net_stop does: the device is somebody else's from now on. */
void stage_net_release(const struct stage_netdev *dev);

/* Forgets all interfaces; before their devices are closed. A lease is not given back: it is the next link's. */
void stage_net_stop(void);

#endif
