"""Scrapy, set up to send what it is told, once, and to nowhere else."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import Crawler
from twisted.web._newclient import HEADER, STATUS

from raw.crawl.definition import Definition
from raw.crawl.fetch import AGENT
from raw.crawl.guard import Guard

LONGEST_THROTTLE = 60.0
MOST_HEADER_BYTES = 256 << 10
_HERE = "raw.crawl.download"


class Handler(HTTP11DownloadHandler):
    """Scrapy's own, without the requests that Twisted would repeat by itself, at once, on a lost connection."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._pool.retryAutomatically = False
        self._pool._factory = _limiting(self._pool._factory)


def _limiting(factory: Any) -> Any:  # noqa: ANN401
    """The factory of connections, with a limit that Twisted lacks: on the size of an answer's header."""

    class Factory(factory):  # type: ignore[misc]
        def buildProtocol(self, addr: Any) -> Any:  # noqa: ANN401
            protocol = super().buildProtocol(addr)
            protocol.dataReceived = _Head(protocol).receive
            return protocol

    return Factory


class _Head:
    """Counts the bytes that come before the body of an answer, and ends the connection where they are too many."""

    def __init__(self, protocol: Any) -> None:  # noqa: ANN401
        self._protocol, self._receive = protocol, protocol.dataReceived
        self._parser, self._bytes = None, 0

    def receive(self, data: bytes) -> None:
        parser = self._protocol._parser
        if parser is not self._parser:  # another answer
            self._parser, self._bytes = parser, 0
        if parser is not None and parser.state in (STATUS, HEADER):
            self._bytes += len(data)
        if self._bytes > MOST_HEADER_BYTES:
            self._protocol.transport.abortConnection()
        else:
            self._receive(data)


def user_agent(definition: Definition) -> str:
    return f"{AGENT}/{version('cptflow')} (+{definition.contact})"


def settings(definition: Definition) -> dict[str, Any]:
    """What robots.txt, redirects, tries and pauses mean is ours (raw.crawl.fetch); so that of Scrapy is off."""
    handler = f"{_HERE}.{Handler.__name__}"
    off = (
        "COMPRESSION_ENABLED", "COOKIES_ENABLED", "HTTPPROXY_ENABLED", "LOGSTATS_INTERVAL", "MEMUSAGE_ENABLED",
        "METAREFRESH_ENABLED", "REDIRECT_ENABLED", "REFERER_ENABLED", "REMOTE_CONTROL_ENABLED", "RETRY_ENABLED",
        "STATS_DUMP", "TELNETCONSOLE_ENABLED", "DOWNLOAD_WARNSIZE", "DOWNLOAD_DELAY_JITTER",
    )  # fmt: skip
    return dict.fromkeys(off, 0) | {
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": definition.delay,
        "AUTOTHROTTLE_MAX_DELAY": max(LONGEST_THROTTLE, definition.delay),
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DEFAULT_REQUEST_HEADERS": {"Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.1"},
        "DNS_TIMEOUT": definition.timeout,
        "DOWNLOAD_DELAY": definition.delay,
        "DOWNLOAD_HANDLERS": {"http": handler, "https": handler, "data": None, "file": None, "ftp": None, "s3": None},
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "LOG_LEVEL": "ERROR",
        "ROBOTSTXT_OBEY": False,
        "USER_AGENT": user_agent(definition),
    }


def guard_connections(reactor: Any, guard: Guard) -> None:  # noqa: ANN401 (Twisted's reactors have no type of their own)
    """Have the reactor refuse connections by the address that a name was resolved to: later than that nothing can
    change it. Raises Refused at the caller of ``connectTCP``, which every way of Twisted and Scrapy goes through."""
    connect = reactor.connectTCP

    def connect_if_allowed(host: str, port: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        guard.check_connection(host, port)
        return connect(host, port, *args, **kwargs)

    reactor.connectTCP = connect_if_allowed
