/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Asks over a network card of its own who has an address (RFC 826): arp NAME OWN-ADDRESS ADDRESS. Leaves {"name",
 * "own", "link", "mac"}, or
 * {"name", "error"} and ends with 3. */

#include <kchain.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 5, WAIT_US = 1000000, FRAME_BYTES = 60, OPERATION = 20, SENDER = 22, SENDER_IP = 28, TARGET_IP = 38 };

static int fail(const char *name, const char *why)
{
	json_t *left = json_pack("{s:s, s:s}", "name", name, "error", why);
	char *text = json_dumps(left, JSON_COMPACT);
	printf("arp: %s\n", why);
	if (text)
		kchain_result(text);
	return 3;
}

static bool parse(const char *text, uint8_t ip[4])
{
	unsigned part[4];
	char end;
	if (sscanf(text, "%u.%u.%u.%u%c", &part[0], &part[1], &part[2], &part[3], &end) != 4)
		return false;
	for (int i = 0; i < 4; i++)
		ip[i] = (uint8_t)part[i];
	return true;
}

static void make_request(uint8_t frame[FRAME_BYTES], const uint8_t mac[6], const uint8_t own[4],
			 const uint8_t wanted[4])
{
	static const uint8_t fixed[] = {
		0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1
	}; /* ARP; Ethernet, IPv4, their lengths; a request */
	memset(frame, 0, FRAME_BYTES);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, fixed, sizeof(fixed));
	memcpy(frame + SENDER, mac, 6);
	memcpy(frame + SENDER_IP, own, 4);
	memcpy(frame + TARGET_IP, wanted, 4);
}

/* Whoever else speaks is not listened to. */
static bool ask(struct kchain_net *net, const uint8_t own[4], const uint8_t wanted[4], uint8_t out_mac[6])
{
	static uint8_t frame[KCHAIN_NET_FRAME_BYTES];
	size_t bytes;
	for (int i = 0; i < TRIES; i++) {
		make_request(frame, kchain_net_mac(net), own, wanted);
		if (!kchain_net_send(net, frame, FRAME_BYTES))
			return false;
		while ((bytes = kchain_net_receive(net, frame, WAIT_US))) {
			if (bytes < TARGET_IP + 4 || frame[12] != 0x08 || frame[13] != 0x06 ||
			    frame[OPERATION + 1] != 2 || memcmp(frame + SENDER_IP, wanted, 4) != 0)
				continue;
			memcpy(out_mac, frame + SENDER, 6);
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	uint8_t own[4], wanted[4], mac[6];
	char result[256];
	if (argc != 4 || !parse(argv[2], own) || !parse(argv[3], wanted)) {
		printf("usage: arp NAME OWN-ADDRESS ADDRESS\n");
		return 2;
	}
	struct kchain_net *net = kchain_net_open(argv[1]);
	if (!net || !ask(net, own, wanted, mac))
		return fail(argv[1], kchain_device_error());
	const uint8_t *m = kchain_net_mac(net);
	snprintf(result, sizeof(result),
		 "{\"name\": \"%s\", \"own\": \"%02x:%02x:%02x:%02x:%02x:%02x\", \"link\": %s, \"mac\": "
		 "\"%02x:%02x:%02x:%02x:%02x:%02x\"}",
		 argv[1], m[0], m[1], m[2], m[3], m[4], m[5], kchain_net_link_up(net) ? "true" : "false", mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5]);
	printf("arp: %s is at %02x:%02x:%02x:%02x:%02x:%02x\n", argv[3], mac[0], mac[1], mac[2], mac[3], mac[4],
	       mac[5]);
	kchain_net_close(net);
	return kchain_result(result) ? 0 : 1;
}
