"""A message as signed JSON, by HTTP POST: the Standard Webhooks scheme (https://www.standardwebhooks.com).

What is told of a failure is in words of our own: neither the address nor anything that the receiver answered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ipaddress
import json
import re
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit

PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. ``error``: why it failed, in words of our own."""

    ok: bool
    error: str | None = None


class NoTarget(ValueError):
    """The address or the key of a webhook is not fit for use. The message holds neither."""


def post(url: str, key: str | None, message_id: str, payload: Mapping[str, Any], now: float, timeout: float) -> Outcome:
    """Send ``payload``; 2xx is a success, and nothing of an answer but its status is read.

    ``now``: seconds since 1970, which the signature is of. ``timeout``: seconds for connecting, and for each read;
    whoever starts this process limits the whole.
    """
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "cptflow",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
    }
    try:
        target, basic = _target(url)
        if key:
            headers["webhook-signature"] = signature(key, message_id, int(now), body)
    except NoTarget as error:
        return Outcome(False, str(error))
    request = urllib.request.Request(target, body, headers | basic, method="POST")
    try:
        with _opener(urlsplit(target)).open(request, timeout=timeout):
            return Outcome(True)
    except HTTPError as error:
        with error:
            return answered(error.code)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Outcome(False, in_words(error.reason if isinstance(error, URLError) else error))


def signature(key: str, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over id, time and body. ``key``: base64, with or without ``whsec_``.

    Raises NoTarget where it is not.
    """
    try:
        secret = base64.b64decode(key.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not secret:
        raise NoTarget("its key is not base64 (whsec_...); make one with: openssl rand -base64 32")
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def answered(status: int) -> Outcome:
    """An answer that is no success."""
    phrase = f" ({HTTPStatus(status).phrase})" if status in {known.value for known in HTTPStatus} else ""
    told = f"the receiver answered {status}{phrase}"
    if 300 <= status < 400:
        told += "; redirects are not followed: give the address that it leads to"
    return Outcome(False, told)


def in_words(error: BaseException | str) -> str:
    """What kept an answer away. Messages of errors are not told: they may hold the address."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, socket.gaierror):
        return "its host has no address (DNS)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
        return "the connection ended before the answer"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionError):
        return "the connection was reset"
    if isinstance(error, http.client.HTTPException):
        return "the answer is no HTTP"
    return f"no connection ({type(error).__name__})"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _opener(target: SplitResult) -> urllib.request.OpenerDirector:
    """Proxies are those of the environment, but for this machine itself."""
    here = [urllib.request.ProxyHandler({})] if _is_here(target.hostname or "") else []
    return urllib.request.build_opener(_NoRedirects, *here)


def _target(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the header that carries these. Raises NoTarget."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NoTarget("its address is no web address") from None
    # Ex: a space or a line break in it, which http.client would refuse with the address in its words
    if parts.scheme not in ("http", "https") or not host or re.search(r"[^\x21-\x7e]", url):
        raise NoTarget("its address is no web address: https://HOST/PATH")
    if parts.scheme == "http" and not _is_here(host):
        raise NoTarget("its address is http://, which anyone on the way can read; give the https:// one")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    told = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    basic = {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"} if parts.username else {}
    return parts._replace(netloc=netloc, fragment="").geturl(), basic


def _is_here(host: str) -> bool:
    """Whether a host is this machine. Ex: localhost, 127.0.0.1, ::1"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
