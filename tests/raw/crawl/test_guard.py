"""Where a crawl may go. Nothing here makes a connection: the guard is asked, and a reactor that only notes."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.web.client import URI

from raw.crawl.download import guard_connections
from raw.crawl.guard import BAD_ADDRESS, ELSEWHERE, FORBIDDEN, Refused, ip_of, is_public, make_guard
from raw.pages import is_url

LOOPBACK = [
    "127.0.0.1", "2130706433", "0x7f000001", "0X7F000001", "017700000001", "0177.0.0.1", "0177.0.0.01", "127.1",
    "127.0.1", "0x7f.1", "0x7f.0x0.0x0.0x1", "127.0.0.1.", "127.0.0.01", "１２７.０.０.１", "①②⑦.0.0.1", "127。0。0。1",
    "127．0．0．1", "%31%32%37.0.0.1", "%31%32%37%2e0%2e0%2e1",
]  # fmt: skip
LOOPBACK_6 = ["[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::1%25lo]", "[::1%lo]"]
IPV4_IN_IPV6 = ["[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[64:ff9b::7f00:1]"]
FORBIDDEN_ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
    "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC_ADDRESSES = ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"]
GUARD = make_guard(["www.example.org", "127.0.0.1:8080", "bücher.example", "[::1]:8080"])
LOCAL = make_guard(["127.0.0.1:8080", "localhost:8080", "[::1]:8080"], ["127.0.0.0/8", "::1/128"])


def refusal(guard, url: str) -> str:
    with pytest.raises(Refused) as refused:
        guard.check(url)
    assert str(refused.value)
    return refused.value.kind


@pytest.mark.parametrize("host", LOOPBACK)
def test_an_ipv4_address_is_seen_in_every_notation(host: str):
    assert ip_of(host) == ip_address("127.0.0.1")


@pytest.mark.parametrize("host", [*LOOPBACK, *LOOPBACK_6, *IPV4_IN_IPV6])
def test_loopback_is_refused_in_every_notation(host: str):
    assert refusal(GUARD, f"http://{host}:8080/") in (FORBIDDEN, BAD_ADDRESS)


@pytest.mark.parametrize("host", [*LOOPBACK[:12], *LOOPBACK_6[:3], *IPV4_IN_IPV6])
def test_loopback_is_refused_as_what_it_is(host: str):
    assert refusal(GUARD, f"http://{host}:8080/") == FORBIDDEN


@pytest.mark.parametrize(
    "host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "[::ffff:a9fe:a9fe]"]
)
def test_the_metadata_address_is_refused_in_every_notation(host: str):
    assert refusal(GUARD, f"http://{host}/latest/meta-data/") == FORBIDDEN


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
def test_addresses_that_are_not_of_the_public_internet_are_refused(address: str):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_addresses_are_told_from_them(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["256.0.0.1", "1.2.3.4.5", "0x1ffffffff", "4294967296", "09.0.0.1", "example.0x", "1.2.3.08"]
)
def test_what_looks_like_an_address_and_is_none_is_refused(host: str):
    assert refusal(GUARD, f"http://{host}/") == FORBIDDEN


@pytest.mark.parametrize("host", ["www.example.org", "a-1.example", "cafe.babe", "1.2.3.a", "dead.beef"])
def test_names_are_not_taken_for_addresses(host: str):
    assert ip_of(host) is None


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://example.org/", ELSEWHERE),
        ("http://www.example.org.evil.example/", ELSEWHERE),
        ("http://evil.example/www.example.org", ELSEWHERE),
        ("http://www.example.org:8080/", ELSEWHERE),
        ("http://www.example.org./", ELSEWHERE),
        ("http://1.1.1.1/", ELSEWHERE),
        ("ftp://www.example.org/", BAD_ADDRESS),
        ("file:///etc/passwd", BAD_ADDRESS),
        ("javascript:alert(1)", BAD_ADDRESS),
        ("//www.example.org/", BAD_ADDRESS),
        ("www.example.org", BAD_ADDRESS),
        ("http://user:word@www.example.org/", BAD_ADDRESS),
        ("http://www.example.org\\@evil.example/", BAD_ADDRESS),
        ("http://www.example.org:80:80/", BAD_ADDRESS),
        ("http://www.example.org:99999/", BAD_ADDRESS),
        ("http://www.exa mple.org/", BAD_ADDRESS),
        ("http:///path", BAD_ADDRESS),
        ("http://[::1/", BAD_ADDRESS),
        ("", BAD_ADDRESS),
    ],
)
def test_other_hosts_ports_and_schemes_are_refused(url: str, kind: str):
    assert refusal(GUARD, url) == kind


def test_a_host_without_a_port_stands_for_the_two_usual_ports_and_one_with_it_for_that():
    for url in ("http://www.example.org/a", "https://www.example.org/a", "http://WWW.example.org:443/a"):
        assert GUARD.check(url)
    assert LOCAL.check("http://127.0.0.1:8080/a")
    assert refusal(LOCAL, "http://127.0.0.1/a") == ELSEWHERE
    assert LOCAL.ports() == {8080}


def test_private_addresses_are_asked_where_the_operator_allows_their_network():
    assert LOCAL.check("http://[::1]:8080/") == "http://[::1]:8080/"
    assert LOCAL.may_reach(ip_address("127.9.9.9"))
    assert LOCAL.may_reach(ip_address("::ffff:127.0.0.1"))
    assert not LOCAL.may_reach(ip_address("10.0.0.1"))


@pytest.mark.parametrize("host", ["2130706433:8080", "0x7f.1:8080", "[::ffff:127.0.0.1]:8080", "localhost.:8080"])
def test_an_allowed_address_is_asked_in_its_usual_notation_alone(host: str):
    assert refusal(LOCAL, f"http://{host}/") == ELSEWHERE


def test_an_address_is_asked_for_escaped_and_without_its_fragment():
    assert GUARD.check("http://www.example.org/a b/é?q=1 2#part") == "http://www.example.org/a%20b/%C3%A9?q=1%202"
    assert GUARD.check("http://bücher.example/") == "http://xn--bcher-kva.example/"


@pytest.mark.parametrize(
    "host", ["", "a/b", "u@h", "127.1", "0x7f.0.0.1", "h:port", "h:99999", "a b", "::1", "*.example.org"]
)
def test_hosts_that_cannot_be_meant_are_refused(host: str):
    with pytest.raises(ValueError, match=r"host|port|Port|address"):
        make_guard([host])


PIECES = st.sampled_from(
    [*"htp:/\\@.?#[]%&= \t\n", "http://", "https://", "www.example.org", "evil.example", "127.0.0.1", ":8080", ":80",
     "%2f", "%40", "%00", "。", "／", "＠", "ⓦⓦⓦ.example.org", "xn--", "\u200b", "a", "0x7f", "::1"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=8).map("".join))
def test_what_is_let_through_leads_to_an_allowed_host_for_every_reader_of_it(text: str):
    for url in (text, f"http://www.example.org{text}", f"http://{text}www.example.org/"):
        try:
            checked = GUARD.check(url)
        except Refused:
            continue
        host = URI.fromBytes(checked.encode("ascii")).host.decode().strip("[]")
        assert host == urlsplit(checked).hostname
        assert host in {name for name, _ in GUARD.hosts}
        assert GUARD.check(checked) == checked
        assert is_url(checked)


def test_an_address_of_any_length_is_not_asked_for():
    assert refusal(GUARD, "http://www.example.org/" + "a" * 10_000) == BAD_ADDRESS


class OneAddress:
    """A resolver for which every name leads to one address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def resolveHostName(self, receiver, name, portNumber=0, addressTypes=None, transportSemantics="TCP"):
        receiver.resolutionBegan(self)
        receiver.addressResolved(IPv4Address("TCP", self._address, portNumber))
        receiver.resolutionComplete()
        return receiver

    def cancel(self) -> None:
        raise NotImplementedError


def connect(name: str, port: int, leads_to: str):
    """As Twisted's Agent does it. Returns the connections that were begun, and how it failed."""
    reactor = MemoryReactorClock()
    reactor.nameResolver = OneAddress(leads_to)
    guard_connections(reactor, make_guard(["www.example.org"], ["10.9.0.0/16"]))
    failures: list[BaseException] = []
    connecting = HostnameEndpoint(reactor, name, port).connect(Factory())
    connecting.addErrback(lambda failure: failures.append(failure.value))
    reactor.advance(1)
    return [(host, port) for host, port, *_ in reactor.tcpClients], failures


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0"])
def test_no_connection_is_made_where_an_allowed_name_leads_to_a_private_address(address: str):
    connections, failures = connect("www.example.org", 443, address)

    assert connections == []
    assert [type(failure) for failure in failures] == [Refused]
    assert failures[0].kind == FORBIDDEN


def test_no_connection_is_made_to_a_private_address_that_needs_no_resolving():
    reactor = MemoryReactorClock()
    guard_connections(reactor, make_guard(["www.example.org"]))

    for host in ("169.254.169.254", "127.0.0.1", "localhost", "www.example.org"):
        with pytest.raises(Refused):
            reactor.connectTCP(host, 80, Factory())
    assert reactor.tcpClients == []


def test_no_connection_is_made_to_another_port():
    assert connect("www.example.org", 22, "1.1.1.1")[0] == []


def test_connections_to_public_and_to_allowed_addresses_are_made():
    assert connect("www.example.org", 443, "1.1.1.1")[0] == [("1.1.1.1", 443)]
    assert connect("www.example.org", 80, "10.9.1.1")[0] == [("10.9.1.1", 80)]
