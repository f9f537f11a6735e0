"""Asking for one page: in turn with all else that its host is asked, tried again where that may help.

A host is asked one thing at a time. The pause before each request is the longest of the definition's delay, the
robots.txt's Crawl-delay, what AutoThrottle makes of the host's speed, and what the host itself asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from protego import Protego
from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.http import Response
from twisted.internet.error import ConnectionAborted, ConnectionLost

from raw.crawl.body import ENCODINGS, CannotDecode, decode
from raw.crawl.definition import Definition
from raw.crawl.guard import FORBIDDEN, Guard, Refused

AGENT = "cptflow"  # what robots.txt files can name
TRIES = 4
PAUSE_GROWTH = 3
LONGEST_PAUSE = 3600.0
FAILURES_IN_A_ROW = 10
REDIRECTS = 5
STOP_SECONDS = 5.0  # what an answer under way is given when the crawl is to stop
ROBOTS_SECONDS = 24 * 3600
ROBOTS_BYTES = 512 << 10
_AGAIN = {408, 429, 500, 502, 503, 504}
_ASKS_TO_WAIT = {429, 503}
_REDIRECTS = {301, 302, 303, 307, 308}
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (CannotResolveHostError, "dns"),
    (DownloadConnectionRefusedError, "refused"),
    (DownloadTimeoutError, "timeout"),
    (ResponseDataLossError, "cut_off"),
    (DownloadCancelledError, "too_large"),
    (ConnectionAborted, "too_large"),  # by ourselves: its header was endless
    (ConnectionLost, "reset"),
)
_FINAL = {"too_large", "bad_encoding", "tls", FORBIDDEN}


class Failed(Exception):
    """No answer worth keeping. ``kind`` is a word for counting."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message


class HostAway(Exception):
    """This host is not to be asked for more now; a later call goes on."""

    def __init__(self, url: str, kind: str, message: str) -> None:
        super().__init__(url, kind, message)
        self.url, self.kind, self.message = url, kind, message


class Stopped(Exception):
    """The crawl is to end, in good order."""


class LeadsTo(Exception):
    """The address was redirected to a page that this crawl has captured."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. ``body`` is decompressed, and otherwise as it came."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    fetched_at: datetime


@dataclass(slots=True)
class _Host:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    delay: float = 0.0
    """its robots.txt's Crawl-delay"""
    last: float = float("-inf")
    """when its last answer ended (monotonic)"""
    not_before: float = float("-inf")
    """when it may be asked again, by its own word (monotonic)"""
    failures: int = 0
    """addresses that failed in a row, as of a host that is down"""


@dataclass(slots=True)
class Fetcher:
    """``download`` sends a request; ``throttled`` is AutoThrottle's delay for a host, in seconds."""

    definition: Definition
    guard: Guard
    download: Callable[[Request], Awaitable[Response]]
    throttled: Callable[[str], float]
    stop: asyncio.Event
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _robots: dict[str, tuple[float, Protego]] = field(default_factory=dict)

    async def fetch(
        self,
        url: str,
        headers_for: Callable[[str], dict[str, str]],
        is_captured: Callable[[str], bool],
        limit: int | None = None,
    ) -> Answer:
        """The answer for a page, after redirects. Raises Failed, LeadsTo, HostAway and Stopped.

        ``headers_for``: conditions of a request; ``limit``: most bytes, the definition's where it is not given.
        """
        seen: list[str] = []
        asked = self._checked(url, "")
        while True:
            if not (await self.robots(asked)).can_fetch(asked, AGENT):
                raise Failed("robots", f"robots.txt forbids {asked}")
            answer = await self._try(asked, headers_for(asked), limit or self.definition.max_bytes)
            target = answer.headers.get("location") if answer.status in _REDIRECTS else None
            if not target:
                return answer
            seen.append(asked)
            asked = self._checked(urljoin(asked, target), "redirect_")
            if asked in seen:
                raise Failed("redirect_loop", f"redirected in a circle: {' -> '.join([*seen, asked])}")
            if len(seen) > REDIRECTS:
                raise Failed("redirect_loop", f"redirected over {REDIRECTS} times: {' -> '.join([*seen, asked])}")
            if is_captured(asked):
                raise LeadsTo(asked)

    async def robots(self, url: str) -> Protego:
        """The rules of the host's robots.txt, read at most once a day. Raises HostAway where it cannot be known."""
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        read_at, rules = self._robots.get(site, (float("-inf"), None))
        if rules is not None and time.monotonic() - read_at < ROBOTS_SECONDS:
            return rules
        rules = Protego.parse(await self._robots_text(f"{site}/robots.txt"))
        self._robots[site] = (time.monotonic(), rules)
        host = self._host(url)
        host.delay = max(host.delay, float(rules.crawl_delay(AGENT) or 0))
        return rules

    async def _robots_text(self, url: str) -> str:
        """As RFC 9309, 2.3.1 has it: a status of 4xx means that there are no rules; any other failure, no entry."""
        asked = url
        try:
            for _ in range(REDIRECTS + 1):
                answer = await self._try(asked, {}, max(ROBOTS_BYTES, self.definition.max_bytes))
                target = answer.headers.get("location") if answer.status in _REDIRECTS else None
                if not target:
                    break
                asked = self._checked(urljoin(asked, target), "redirect_")
        except Failed as error:
            raise HostAway(url, error.kind, f"its robots.txt cannot be had: {error.message}") from error
        if 200 <= answer.status < 300:
            return answer.body.decode("utf-8-sig", "replace")
        if 400 <= answer.status < 500 and answer.status != HTTPStatus.TOO_MANY_REQUESTS:
            return ""
        raise HostAway(url, "robots_unreachable", f"robots.txt was answered with status {answer.status}")

    def note(self, url: str, *, failed: bool) -> None:
        """Told how an address ended; raises HostAway after too many failures in a row."""
        host = self._host(url)
        host.failures = host.failures + 1 if failed else 0
        if host.failures >= FAILURES_IN_A_ROW:
            host.failures = 0
            raise HostAway(url, "host_down", f"{FAILURES_IN_A_ROW} addresses in a row failed")

    async def _try(self, url: str, conditions: dict[str, str], limit: int) -> Answer:
        """One answer, tried for up to TRIES times with growing pauses."""
        host = self._host(url)
        async with host.lock:
            for number in range(TRIES):
                wait = min(PAUSE_GROWTH ** (number + 1) * max(self.definition.delay, host.delay), LONGEST_PAUSE)
                last = number == TRIES - 1
                await self._turn(host, url)
                try:
                    answer = await self._ask(host, url, conditions, limit)
                except Failed as error:
                    if last or error.kind in _FINAL:
                        raise
                    host.not_before = time.monotonic() + wait
                    continue
                if answer.status in _ASKS_TO_WAIT:
                    wait = max(wait, retry_after(answer.headers.get("retry-after"), datetime.now(UTC)) or 0)
                if answer.status not in _AGAIN:
                    break
                if wait > LONGEST_PAUSE:
                    raise HostAway(url, f"http_{answer.status}", f"it asks to come back after {wait:.0f} s")
                host.not_before = time.monotonic() + wait
                if last:
                    break
        return answer

    async def _turn(self, host: _Host, url: str) -> None:
        pause = max(self.definition.delay, host.delay, self.throttled(urlsplit(url).hostname or ""))
        while (wait := max(host.last + pause, host.not_before) - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self.stop.wait(), wait)
            except TimeoutError:
                continue
            break
        if self.stop.is_set():
            raise Stopped

    async def _ask(self, host: _Host, url: str, conditions: dict[str, str], limit: int) -> Answer:
        request = Request(
            url,
            headers={"Accept-Encoding": ENCODINGS, **conditions},
            meta={"download_maxsize": limit, "download_timeout": self.definition.timeout},
            dont_filter=True,
        )
        asking = asyncio.ensure_future(self.download(request))
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({asking}, timeout=STOP_SECONDS)
            if not asking.done():
                raise Stopped
            return _answer(url, asking.result(), limit)
        except CannotDecode as error:
            raise Failed(error.kind, error.message) from error
        except (Stopped, Failed):
            raise
        except Exception as error:
            raise _failure(error) from error
        finally:
            host.last = time.monotonic()
            asking.cancel()
            stopping.cancel()

    def _checked(self, url: str, prefix: str) -> str:
        try:
            return self.guard.check(url)
        except Refused as error:
            kind = error.kind if error.kind == FORBIDDEN or not prefix else "redirect_elsewhere"
            raise Failed(kind, f"{'it redirects to ' if prefix else ''}{url!r}: {error.message}") from error

    def _host(self, url: str) -> _Host:
        return self._hosts.setdefault(urlsplit(url).hostname or "", _Host())


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait. Ex: ``120``, ``Wed, 21 Oct 2026 07:28:00 GMT``; None for anything else."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _answer(url: str, response: Response, limit: int) -> Answer:
    headers = {name.decode("latin-1").lower(): _text(values) for name, values in response.headers.items()}
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        raise Failed("cut_off", "the server sent a part of the page (206), which was not asked for")
    body = decode(response.body, headers.get("content-encoding", ""), limit)
    return Answer(url, response.status, headers, body, datetime.now(UTC))


def _text(values: Sequence[bytes]) -> str:
    whole = b", ".join(values)
    try:
        return whole.decode("utf-8")
    except UnicodeDecodeError:
        return whole.decode("latin-1")


def _failure(error: Exception) -> Failed:
    """Twisted wraps what went wrong several times: the innermost that we know a word for is it."""
    causes: list[BaseException] = [error]
    for cause in causes:
        if isinstance(cause, Refused):
            return Failed(cause.kind, cause.message)
        inner = [getattr(reason, "value", reason) for reason in getattr(cause, "reasons", None) or ()]
        causes += [c for c in (*inner, cause.__cause__) if isinstance(c, BaseException) and c not in causes]
    kind = next((kind for cause in causes for known, kind in _KINDS if isinstance(cause, known)), "bad_answer")
    if any(type(cause).__module__.startswith("OpenSSL") for cause in causes):
        kind = "tls"
    return Failed(kind, f"{type(error).__name__}: {error}")
