#!/usr/bin/env python3
# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
# hang-after: 300
"""DHCP servers that lie, refuse, tag their frames or say nothing. Many cards at once, each with a server of its own; a card is configured only
by terms that a host can live with, and says else what was wrong with them."""
import contextlib
import ipaddress
import random
import re
import socket
import struct
import threading

import kt

FILES = {"/hello": "build/kernels/hello.elf"}
OFFER, REQUEST, ACK, NAK = 2, 3, 5, 6
TIMEOUT_MS = 2500
GOOD = {"address": "10.0.2.15", "mask": "255.255.255.0", "gateway": "10.0.2.2", "server": "10.0.2.2", "lease": 3600}


def packed(address):
    return socket.inet_aton(address)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def option(code, value):
    return bytes([code, len(value)]) + value


def asked_for(message):
    """The options of a request, by code."""
    found, at = {}, 240
    while message[at] != 255:
        found[message[at]] = message[at + 2:at + 2 + message[at + 1]]
        at += 2 + message[at + 1]
    return found


def answer(message, kind, terms, tag=b""):
    """The frame of a server's answer; a term that is None is left out."""
    wanted = asked_for(message).get(55, b"")
    options = option(53, bytes([kind]))
    for code, name in ((54, "server"), (1, "mask"), (3, "gateway")):
        options += option(code, packed(terms[name])) if terms.get(name) is not None else b""
    options += option(51, struct.pack("!I", terms["lease"])) if terms.get("lease") else b""
    options += terms.get("options", b"")
    options += option(12, terms["hostname"].encode()) if 12 in wanted and "hostname" in terms else b""
    body = bytes([2]) + message[1:4] + message[4:8] + bytes(8) + packed(terms["address"]) + bytes(8) + message[28:44] + bytes(192)
    body += b"\x63\x82\x53\x63" + options + b"\xff"
    udp = struct.pack("!HHHH", 67, 68, 8 + len(body), 0) + body
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + packed("10.0.2.2") + packed("255.255.255.255")
    ip = ip[:10] + checksum(ip) + ip[12:]
    return b"\xff" * 6 + b"\x52\x55\x0a\x00\x02\x02" + tag + b"\x08\x00" + ip + udp


class Server:
    """Answers each card by its own rule: a function of a request, its kind and how often it came, to a list of frames."""

    def __init__(self, rules):
        self.rules, self.heard, self.done, self.path = rules, [[] for _ in rules], False, kt.scratch("server")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        while not self.done:
            try:
                self.hear(*self.socket.recvfrom(2048))
            except (TimeoutError, ConnectionError):
                continue  # nobody asks, or the card that asked is gone

    def hear(self, frame, card):
        message = frame[42:]
        if len(frame) < 300 or frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != b"\x00\x43" or message[28:32] != b"\x52\x54\x00\x00":
            return
        number, kind = message[33], asked_for(message)[53][0]
        self.heard[number].append((kind, asked_for(message)))
        times = sum(1 for heard in self.heard[number] if heard[0] == kind)
        for answered in self.rules[number](message, kind, times):
            self.socket.sendto(answered, card)

    def card(self, number):
        """QEMU's arguments."""
        return ["-netdev", f"dgram,id=n{number},local.type=unix,local.path={self.path}{number},remote.type=unix,remote.path={self.path}",
                "-device", f"virtio-net-pci,netdev=n{number},romfile=,mac=52:54:00:00:00:{number:02x}"]


@contextlib.contextmanager
def served(rules):
    """The server, and QEMU's arguments of a card for each rule."""
    server = Server(rules)
    server.thread.start()
    try:
        yield server, sum((server.card(number) for number in range(len(rules))), [])
    finally:
        server.done = True
        server.thread.join()
        server.socket.close()


def configure(rules, timeout_ms=TIMEOUT_MS, hostname=None):
    """What became of the cards, and the server."""
    net = {f"n{i}": {"match": {"mac": f"52:54:00:00:00:{i:02x}"}, "dhcp": {"timeout": f"{timeout_ms}ms"}, "need": "optional"} for i in range(len(rules))}
    if hostname:
        for entry in net.values():
            entry["hostname"] = hostname
    image = kt.bake(kt.pipeline([{"name": "hello", "call": "fs:/hello"}], FILES, net=net))
    with served(rules) as (server, qemu):
        ended = kt.expect_end(kt.boot(image, "q35", "128M", qemu))
    entries = ended.of("handoff")[-1]["doc"]["net"]
    return [entries[f"n{i}"] for i in range(len(rules))], server


def check_reason(entry, heard, timeout_ms, why):
    """So many answers, none usable, the last for this reason. What is heard last may be answered too late."""
    found = re.fullmatch(r"(\d+) DHCP answers? within (\d+) ms, none usable: (.*)", entry.get("reason", ""))
    kt.check(entry["status"] == "present" and found and found.group(3) == why and int(found.group(2)) == timeout_ms, f"reason, {why} was wanted", entry)
    kt.check(len(heard) - 1 <= int(found.group(1)) <= len(heard), f"{found.group(1)} answers to {len(heard)} requests", entry, heard)
    kt.check((" answer " in found.group(0)) == (found.group(1) == "1"), "grammar", entry)


def by(terms, confirmed=None, tag=b""):
    """Offers these terms and confirms these."""
    def rule(message, kind, _times):
        return [answer(message, ACK if kind == REQUEST else OFFER, (confirmed or terms) if kind == REQUEST else terms, tag)]
    return rule


def terms(**changed):
    return {**GOOD, **changed}


ODD = (
    (terms(address="0.0.0.0"), "0.0.0.0 is no host's address"),
    (terms(address="255.255.255.255"), "255.255.255.255 is no host's address"),
    (terms(address="127.0.0.1", mask="255.0.0.0", gateway=None), "127.0.0.1 is no host's address"),
    (terms(address="224.0.0.7", gateway=None), "224.0.0.7 is no host's address"),
    (terms(address="10.0.2.255"), "10.0.2.255 is its network's own or broadcast address"),
    (terms(address="10.0.2.0"), "10.0.2.0 is its network's own or broadcast address"),
    (terms(address="192.168.1.255", mask=None, gateway=None), "192.168.1.255 is its network's own or broadcast address"),
    (terms(mask="255.0.255.0"), "255.0.255.0 is no network mask"),
    (terms(mask="0.0.0.0"), "0.0.0.0 is no network mask"),
    (terms(mask="0.0.0.255"), "0.0.0.255 is no network mask"),
    (terms(gateway="10.0.3.2"), "10.0.3.2 is no gateway of that network"),
    (terms(gateway="10.0.2.255"), "10.0.2.255 is no gateway of that network"),
    (terms(server=None), "0.0.0.0 is no server's address"),
    (terms(server="255.255.255.255"), "255.255.255.255 is no server's address"),
    (terms(lease=0), "10.0.2.15 is leased for no time"),
    (terms(options=option(1, b"\xff\xff\xff")), "the last one is malformed"),
    (terms(options=b"\x2b\xf0abc"), "the last one is malformed"),
)


@kt.test
def odd_offers_are_refused():
    found, server = configure([by(odd) for odd, _ in ODD])
    for (odd, why), entry, heard in zip(ODD, found, server.heard):
        check_reason(entry, heard, TIMEOUT_MS, why)
        kt.check({kind for kind, _ in heard} == {1} and len(heard) <= 3, "asked for it", odd, heard)


@kt.test
def odd_confirmations_are_refused():
    found, server = configure([by(GOOD, odd) for odd, _ in ODD])
    for (odd, why), entry, heard in zip(ODD, found, server.heard):
        if heard[-1][0] == REQUEST:
            check_reason(entry, heard, TIMEOUT_MS, why)
        kt.check({kind for kind, _ in heard} == {1, REQUEST} and len(heard) <= 8, "asked otherwise", odd, heard)


@kt.test
def a_better_answer_is_taken():
    def two_servers(message, kind, _times):
        if kind == REQUEST:
            return [answer(message, NAK, terms(server="10.0.2.9"))] if asked_for(message)[54] != packed("10.0.2.2") else [answer(message, ACK, GOOD)]
        return [answer(message, OFFER, terms(server="10.0.2.9", address="10.0.2.255")), answer(message, OFFER, GOOD)]

    def better_the_second_time(message, kind, times):
        return [answer(message, ACK if kind == REQUEST else OFFER, GOOD if kind == REQUEST or times > 1 else terms(mask="255.0.255.0"))]

    def refuses_once(message, kind, times):
        return [answer(message, OFFER if kind != REQUEST else NAK if times == 1 else ACK, GOOD)]

    def confirms_late(message, kind, times):
        return [] if kind == REQUEST and times == 1 else [answer(message, ACK if kind == REQUEST else OFFER, GOOD)]

    found, _ = configure([two_servers, better_the_second_time, refuses_once, confirms_late], timeout_ms=20000)
    for entry in found:
        kt.check(entry["status"] == "configured" and entry["addresses"] == ["10.0.2.15/24"] and entry["gateways"] == ["10.0.2.2"], "a better answer", found)


@kt.test
def unusual_answers_are_taken():
    cases = ((by(terms(mask="255.255.255.255", gateway="10.9.9.1")), "10.0.2.15/32", ["10.9.9.1"]),
             (by(terms(address="10.0.2.14", mask="255.255.255.254", gateway="10.0.2.15")), "10.0.2.14/31", ["10.0.2.15"]),
             (by(terms(address="10.0.2.255", mask="255.255.252.0")), "10.0.2.255/22", ["10.0.2.2"]),
             (by(terms(mask=None, gateway=None)), "10.0.2.15/8", []),
             (by(GOOD, tag=b"\x81\x00\x00\x00"), "10.0.2.15/24", ["10.0.2.2"]),
             (by(GOOD, tag=b"\x81\x00\xe0\x00"), "10.0.2.15/24", ["10.0.2.2"]))
    found, _ = configure([rule for rule, _, _ in cases] + [by(GOOD, tag=b"\x81\x00\x00\x07")])
    for (_, address, gateways), entry in zip(cases, found):
        kt.check(entry["status"] == "configured" and entry["addresses"] == [address] and entry["gateways"] == gateways, f"{address} was wanted", entry)
    kt.check(found[-1]["status"] == "present" and found[-1]["reason"] == f"no DHCP answer within {TIMEOUT_MS} ms", "a frame of a VLAN", found[-1])


@kt.test
def refusals_and_silence_are_distinguished():
    def refuses(message, kind, _times):
        return [answer(message, NAK if kind == REQUEST else OFFER, GOOD)]

    def offers_only(message, kind, _times):
        return [] if kind == REQUEST else [answer(message, OFFER, GOOD)]

    found, server = configure([refuses, offers_only, lambda *_: []], timeout_ms=6000)
    refused, offered, silent = found
    kt.check(4 <= len(server.heard[0]) <= 8, f"{len(server.heard[0])} requests in 6 s to a server that refuses", server.heard[0])
    if server.heard[0][-1][0] == REQUEST:
        check_reason(refused, server.heard[0], 6000, "10.0.2.2 refuses")
    check_reason(offered, [h for h in server.heard[1] if h[0] != REQUEST], 6000, "10.0.2.15 was offered, and not confirmed")
    kt.check(silent["reason"] == "no DHCP answer within 6000 ms", "reason", silent)


@kt.test
def the_host_name_is_asked_for():
    """As dnsmasq does, the server gives it only to those who ask."""
    found, server = configure([by(terms(hostname="node7.lab"))] * 2, hostname="asked")
    for entry, heard in zip(found, server.heard):
        kt.check(entry["hostname"] == "node7.lab", "hostname", entry)
        kt.check(all(sorted(options[55]) == [1, 3, 6, 12, 28] for _, options in heard), "what is requested", heard)
        kt.check(heard[-1][1][12] == b"asked", "the name that is given", heard)
    found, _ = configure([by(GOOD)], hostname="asked")
    kt.check(found[0]["hostname"] == "asked", "without a name of the server's", found)


def is_host(address):
    return not (address.is_loopback or address.is_multicast or address in ipaddress.ip_network("0.0.0.0/8") or int(address) == 0xFFFFFFFF)


def is_usable(t):
    """By Python's own idea of networks."""
    address = ipaddress.ip_address(t["address"])
    try:
        network = ipaddress.ip_network(f"{address}/{t['mask']}" if "." in t["mask"] else "", strict=False)
    except ValueError:
        return False
    if str(network.netmask) != t["mask"] or not network.prefixlen:
        return False  # it takes a mask upside down as well
    hosts = set() if network.prefixlen < 20 else set(network.hosts())
    ends = (network.network_address, network.broadcast_address) if network.prefixlen < 31 else ()
    gateway = t["gateway"] and ipaddress.ip_address(t["gateway"])
    good_gateway = gateway is None or int(gateway) == 0 or (is_host(gateway) and gateway != address and (network.prefixlen == 32 or (
        gateway in network and gateway not in ends and (not hosts or gateway in hosts))))
    return is_host(address) and address not in ends and good_gateway and t["server"] is not None and is_host(ipaddress.ip_address(t["server"])) and t["lease"] > 0


@kt.test
def random_answers_are_judged():
    some = random.Random(7)
    words = ["0.0.0.0", "255.255.255.255", "255.255.255.0", "255.255.0.0", "255.255.255.252", "255.0.255.0", "10.0.2.2", "10.0.2.255", "10.0.2.16",
             "127.0.0.9", "230.1.1.1", "192.168.1.1"]

    def one():
        t = dict(GOOD)
        for name in some.sample(["address", "mask", "gateway", "server"], some.randrange(3)):
            t[name] = some.choice(words)
        return t

    offers = [one() for _ in range(2 * 24)]
    for half in (offers[:24], offers[24:]):
        found, _ = configure([by(t) for t in half], timeout_ms=1500)
        for t, entry in zip(half, found):
            kt.check((entry["status"] == "configured") == is_usable(t), "judged otherwise", t, entry)
            kt.check(entry["status"] == "configured" or ", none usable: " in entry["reason"], "reason", t, entry)
    usable = sum(is_usable(t) for t in offers)
    kt.check(8 <= usable <= 40, f"{usable} of {len(offers)} are usable")


if __name__ == "__main__":
    kt.main()
