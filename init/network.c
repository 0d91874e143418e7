/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Interfaces by rtnetlink(7), and the files that name hosts. */

#include "system.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { INTERFACE_WAIT_MS = 3000, ANSWER_WAIT_S = 5 };

/* --- requests --- */

struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		char room[128];
	};
};

/* `bytes` of the part behind the head. */
static void request_begin(struct request *request, uint16_t type, uint16_t flags, size_t bytes)
{
	*request = (struct request){ .head = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(bytes),
					       .nlmsg_type = type,
					       .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags) } };
}

static void request_add(struct request *request, uint16_t type, uint32_t value)
{
	struct rtattr *attribute = (void *)((char *)request + NLMSG_ALIGN(request->head.nlmsg_len));
	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(sizeof(value));
	memcpy(RTA_DATA(attribute), &value, sizeof(value));
	request->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->head.nlmsg_len) + RTA_LENGTH(sizeof(value)));
}

/* Sends one request and waits for the kernel's answer. `allowed`: an error that is none. */
static enum chain_status request_send(const struct request *request, int allowed, const char *what,
				      struct chain_error *err)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char room[512];
	} answer = { 0 };
	enum chain_status status = CHAIN_OK;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return init_fail(err, "netlink");
	struct timeval wait = { .tv_sec = ANSWER_WAIT_S };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (send(fd, request, request->head.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0) {
		status = init_fail(err, what);
	} else if (answer.head.nlmsg_type == NLMSG_ERROR && answer.error.error && -answer.error.error != allowed) {
		errno = -answer.error.error;
		status = init_fail(err, what);
	}
	close(fd);
	return status;
}

static enum chain_status link_up(int index, const char *name, struct chain_error *err)
{
	struct request request;
	request_begin(&request, RTM_NEWLINK, 0, sizeof(request.link));
	request.link = (struct ifinfomsg){ .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	return request_send(&request, 0, name, err);
}

static uint8_t prefix_of(uint32_t mask)
{
	uint8_t bits = 0;
	for (; mask & 0x80000000; mask <<= 1)
		bits++;
	return bits;
}

static enum chain_status change_address(uint16_t type, uint16_t flags, int index, uint32_t address, uint32_t mask,
					const char *name, struct chain_error *err)
{
	struct request request;
	request_begin(&request, type, flags, sizeof(request.address));
	request.address = (struct ifaddrmsg){ .ifa_family = AF_INET,
					      .ifa_prefixlen = prefix_of(mask),
					      .ifa_index = (uint32_t)index };
	request_add(&request, IFA_LOCAL, htonl(address));
	request_add(&request, IFA_ADDRESS, htonl(address));
	if (type == RTM_NEWADDR && prefix_of(mask) < 31)
		request_add(&request, IFA_BROADCAST, htonl(address | ~mask));
	return request_send(&request, type == RTM_NEWADDR ? EEXIST : EADDRNOTAVAIL, name, err);
}

/* The way to everywhere. A gateway outside of the interface's networks is taken to be on its wire. */
static enum chain_status add_route(int index, const struct init_interface *interface, uint32_t gateway, uint32_t metric,
				   struct chain_error *err)
{
	bool inside = false;
	for (size_t i = 0; i < interface->address_count; i++)
		inside |= !((gateway ^ interface->address[i]) & interface->mask[i]);
	struct request request;
	request_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, sizeof(request.route));
	request.route = (struct rtmsg){ .rtm_family = AF_INET,
					.rtm_table = RT_TABLE_MAIN,
					.rtm_protocol = RTPROT_BOOT,
					.rtm_scope = RT_SCOPE_UNIVERSE,
					.rtm_type = RTN_UNICAST,
					.rtm_flags = inside ? 0 : RTNH_F_ONLINK };
	request_add(&request, RTA_GATEWAY, htonl(gateway));
	request_add(&request, RTA_OIF, (uint32_t)index);
	request_add(&request, RTA_PRIORITY, metric);
	return request_send(&request, EEXIST, interface->name, err);
}

/* --- which is which --- */

/* Its number, 0: there is none with that address. */
static int index_of(const uint8_t mac[INIT_MAC_BYTES])
{
	int index = 0;
	DIR *dir = opendir("/sys/class/net");
	for (struct dirent *entry; dir && !index && (entry = readdir(dir));) {
		char path[300], *text;
		uint8_t found[INIT_MAC_BYTES];
		uint64_t bytes;
		snprintf(path, sizeof(path), "/sys/class/net/%s/address", entry->d_name);
		if (entry->d_name[0] == '.' || init_read(path, 64, &text, &bytes, NULL))
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (init_mac_parse(text, found) && !memcmp(found, mac, INIT_MAC_BYTES))
			index = (int)if_nametoindex(entry->d_name);
		free(text);
	}
	if (dir)
		closedir(dir);
	return index;
}

static enum chain_status find(const struct init_interface *interface, int *out_index, struct chain_error *err)
{
	for (unsigned ms = 0; ms <= INTERFACE_WAIT_MS; ms += 10) {
		*out_index = index_of(interface->mac);
		if (*out_index)
			return CHAIN_OK;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	char detail[CHAIN_SUBJECT_BYTES];
	const uint8_t *mac = interface->mac;
	snprintf(detail, sizeof(detail), "Linux has no interface %02x:%02x:%02x:%02x:%02x:%02x: is its driver loaded?",
		 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return chain_fail_text(err, CHAIN_E_IO, interface->name, detail);
}

static enum chain_status configure(const struct init_interface *interface, uint32_t order, int *out_index,
				   struct chain_error *err)
{
	enum chain_status status = find(interface, out_index, err);
	if (!status)
		status = link_up(*out_index, interface->name, err);
	for (size_t i = 0; i < interface->address_count && !status; i++)
		status = change_address(RTM_NEWADDR, NLM_F_CREATE, *out_index, interface->address[i],
					interface->mask[i], interface->name, err);
	for (size_t i = 0; i < interface->gateway_count && !status; i++)
		status = add_route(*out_index, interface, interface->gateway[i], 100 * order + (uint32_t)i, err);
	return status;
}

/* As container runtimes have it, whose images say that a user of their own serves on port 80. */
static enum chain_status open_low_ports(struct chain_error *err)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	enum chain_status status = fd < 0 || write(fd, "0", 1) != 1 ? init_fail(err, path) : CHAIN_OK;
	if (fd >= 0)
		close(fd);
	return status;
}

enum chain_status init_network_up(const struct init_interfaces *interfaces, int *out_index, struct chain_error *err)
{
	enum chain_status status = open_low_ports(err);
	if (!status)
		status = link_up((int)if_nametoindex("lo"), "lo", err);
	/* The first that the pipeline names is the way out where several have one. */
	for (size_t i = 0; i < interfaces->count && !status; i++)
		status = configure(&interfaces->of[i], (uint32_t)i, &out_index[i], err);
	return status;
}

enum chain_status init_network_remove(int index, uint32_t address, uint32_t mask, struct chain_error *err)
{
	return change_address(RTM_DELADDR, 0, index, address, mask, "the address", err);
}

/* --- names --- */

/* Over a link or into a root that can be written to: in its place; else bound over the file that is there. */
static enum chain_status name_file(const char *name, const char *text, struct chain_error *err)
{
	char path[64], own[64];
	struct stat st;
	snprintf(path, sizeof(path), "/etc/%s", name);
	snprintf(own, sizeof(own), "/run/kchain/%s", name);
	if (!init_write_file(path, text, strlen(text), 0644, NULL))
		return CHAIN_OK;
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return chain_fail_text(err, CHAIN_E_IO, path, "not in the root, and can't be made there");
	enum chain_status status = init_write_file(own, text, strlen(text), 0644, err);
	if (!status && mount(own, path, NULL, MS_BIND, NULL))
		status = init_fail(err, path);
	return status;
}

enum chain_status init_names_set(const struct init_interfaces *interfaces, const char *hostname,
				 struct chain_error *err)
{
	enum { HOSTS_MAX = 1024 * 1024 };
	enum chain_status status = CHAIN_OK;
	char *before, *hosts, *resolv = init_resolv_conf(interfaces);
	uint64_t bytes;
	if (sethostname(hostname, strlen(hostname)))
		status = init_fail(err, "the hostname");
	if (!status && resolv && access("/etc", F_OK) == 0)
		status = name_file("resolv.conf", resolv, err);
	free(resolv);
	if (status || access("/etc", F_OK) != 0)
		return status;
	if (init_read("/etc/hosts", HOSTS_MAX, &before, &bytes, NULL))
		before = strdup("");
	hosts = before ? init_hosts(before, hostname) : NULL;
	status = hosts ? CHAIN_OK : chain_fail_no_memory(err, "/etc/hosts", 1);
	if (!status && strcmp(before, hosts) != 0)
		status = name_file("hosts", hosts, err);
	free(before);
	free(hosts);
	return status;
}
