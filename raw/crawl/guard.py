"""Where a crawl may go: decided for an address as written, and again for the connection that is made.

The first decision names what is wrong; the second cannot be talked round, since it sees what a name resolved to.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urldefrag, urlsplit

from w3lib.url import safe_url_string

from raw.pages import is_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

BAD_ADDRESS, ELSEWHERE, FORBIDDEN = "bad_address", "elsewhere", "forbidden_address"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
# Ex: ``http://user@host/``, ``http://host\@other/``: what one reader takes for the host, another does not.
_AMBIGUOUS = re.compile(r"[@\\\s\x00-\x20\x7f]")
_DOTS = str.maketrans({"。": ".", "．": ".", "｡": "."})  # what IDNA takes for a dot
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_V4_INSIDE = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))  # 6to4 and Teredo: tunnels to an IPv4 address


class Refused(Exception):
    """Not to be asked. ``kind`` is one of BAD_ADDRESS, ELSEWHERE and FORBIDDEN."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Guard:
    """``hosts``: (name, port), the port None for 80 and 443. ``networks``: private ones that are allowed."""

    hosts: frozenset[tuple[str, int | None]]
    networks: tuple[Network, ...] = ()

    def check(self, url: str) -> str:
        """The address as it is to be asked: escaped, without its fragment. Raises Refused."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Refused(BAD_ADDRESS, f"{error}") from error
        if parts.scheme not in _DEFAULT_PORTS:
            raise Refused(BAD_ADDRESS, f"its scheme is {parts.scheme!r}, not http or https")
        if not parts.hostname or _AMBIGUOUS.search(parts.netloc):
            raise Refused(BAD_ADDRESS, f"{parts.netloc!r} does not name a host plainly")
        address = ip_of(parts.hostname)
        if address and not self.may_reach(address):
            raise Refused(FORBIDDEN, f"{parts.hostname} is {address}, an address that is not of the public internet")
        self._check_host(parts.hostname, port or _DEFAULT_PORTS[parts.scheme])
        whole = urldefrag(safe_url_string(url)).url
        if not is_url(whole):
            raise Refused(BAD_ADDRESS, f"it is too long ({len(whole):,} characters), or no line of text")
        return whole

    def check_connection(self, host: str, port: int) -> None:
        """``host``: the address, as resolved, to which a connection is about to be made. Raises Refused."""
        try:
            address = ip_address(host)
        except ValueError:
            raise Refused(FORBIDDEN, f"{host!r} was not resolved to an address") from None
        if not self.may_reach(address):
            raise Refused(FORBIDDEN, f"its name leads to {address}, an address that is not of the public internet")
        if port not in self.ports():
            raise Refused(FORBIDDEN, f"port {port} is none of the allowed hosts' ports")

    def ports(self) -> set[int]:
        return {p for _, port in self.hosts for p in ([port] if port else _DEFAULT_PORTS.values())}

    def may_reach(self, address: Address) -> bool:
        """True for an address of the public internet, and for one that the operator allows."""
        inside = _ipv4_in(address)
        if any(
            a in network for a in (address, inside) if a for network in self.networks if network.version == a.version
        ):
            return True
        return is_public(address)

    def _check_host(self, host: str, port: int) -> None:
        ports = [p for name, p in self.hosts if name == _ascii(host)]
        if not ports:
            raise Refused(ELSEWHERE, f"{host} is none of the allowed hosts")
        if not any(port == p if p else port in _DEFAULT_PORTS.values() for p in ports):
            raise Refused(ELSEWHERE, f"port {port} of {host} is not allowed")


def make_guard(hosts: Iterable[str], networks: Sequence[str] = ()) -> Guard:
    """Raises ValueError, saying which host or network cannot be read."""
    return Guard(frozenset(map(_host_and_port, hosts)), tuple(ip_network(n, strict=False) for n in networks))


def is_public(address: Address) -> bool:
    """False for private, shared, loopback, link-local, multicast, reserved and unspecified addresses, and tunnels."""
    if (inside := _ipv4_in(address)) is not None:
        return is_public(inside)
    if isinstance(address, IPv6Address) and (
        address not in _GLOBAL_UNICAST or any(address in tunnel for tunnel in _V4_INSIDE)
    ):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def ip_of(host: str) -> Address | None:
    """The address that a host name stands for by itself, in any notation that some resolver takes; None for a name.

    Ex: ``127.0.0.1``, ``2130706433``, ``0x7f000001``, ``0177.0.0.1``, ``127.1``, ``::ffff:7f00:1``, ``fe80::1%eth0``,
    ``１２７.0.0.1``, ``%31%32%37.0.0.1``. What ends in a number like one, and is none, is the unspecified address.
    """
    plain = unicodedata.normalize("NFKC", unquote(host).translate(_DOTS)).casefold().translate(_DOTS).strip("[]")
    if ":" in plain:
        try:
            return ip_address(plain.split("%", 1)[0])
        except ValueError:
            return IPv6Address(0)
    labels = plain.rstrip(".").split(".")
    # Ex: ``1.2.3.4``, ``0x7f.1``; the last label decides, as the URL standard has it
    if not re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        return None
    return _ipv4_of(labels) or IPv4Address(0)


def _ipv4_of(labels: Sequence[str]) -> IPv4Address | None:
    """As ``inet_aton``: one to four numbers, decimal, octal or hexadecimal, the last one for all that is left."""
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        return None
    *head, last = numbers
    room = 256 ** (5 - len(numbers)) if len(numbers) <= 4 else 0
    if any(number > 255 for number in head) or last >= room:
        return None
    return IPv4Address(sum(number << (24 - 8 * place) for place, number in enumerate(head)) + last)


def _number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if len(label) > 1 and label.startswith("0"):
        return int(label, 8)
    return int(label)


def _ipv4_in(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to this IPv6 address go to."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def _host_and_port(host: str) -> tuple[str, int | None]:
    """Ex: ``www.example.org``, ``127.0.0.1:8080``, ``[::1]:8080``."""
    if _AMBIGUOUS.search(host) or "/" in host or "?" in host or "#" in host:
        raise ValueError(f"{host!r} is no host name (nor name:port)")
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{host!r} is no host name (nor name:port): {error}") from error
    address = ip_of(name or "")
    plain = _ascii(name or "")
    if not ((_NAME.fullmatch(plain) and address is None) or str(address) == plain):
        raise ValueError(f"{host!r} is no host name (nor name:port); write an address in its usual notation")
    return plain, port


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host
