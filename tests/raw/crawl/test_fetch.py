"""Asking for a page, without a network: what is sent is answered here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from OpenSSL.SSL import Error as TlsError
from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.http import Response
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed

import raw.crawl.fetch as fetch_module
from raw.crawl.definition import Definition, check
from raw.crawl.fetch import TRIES, Answer, Failed, Fetcher, HostAway
from raw.crawl.guard import FORBIDDEN, Refused

ADDRESS = "https://www.example.org/1"


class Web:
    """``answers``: by path, what comes each time, the last one for ever; a page where there is none."""

    def __init__(self, answers: dict[str, list[Response | Exception]] | None = None, **told) -> None:
        self.asked: list[Request] = []
        self._answers = {"/robots.txt": [Response("about:", status=404)]} | (answers or {})
        definition = Definition("synthetic", ("www.example.org",), "data@example.org", (ADDRESS,), delay=0, **told)
        self.fetcher = Fetcher(definition, check(definition), self._download, lambda _: 0.0, asyncio.Event())

    async def _download(self, request: Request) -> Response:
        path = request.url.removeprefix("https://www.example.org")
        number = self.paths().count(path)
        self.asked.append(request)
        answers = self._answers.get(path, [page()])
        answer = answers[min(number, len(answers) - 1)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def paths(self) -> list[str]:
        return [request.url.removeprefix("https://www.example.org") for request in self.asked]

    async def get(self, url: str = ADDRESS, headers: Callable[[str], dict[str, str]] = lambda _: {}) -> Answer:
        return await self.fetcher.fetch(url, headers, lambda _: False)


def page(body: bytes = b"Synthetic", status: int = 200, **headers: str) -> Response:
    return Response(ADDRESS, status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def failed(*reasons: BaseException) -> DownloadFailedError:
    """As Scrapy tells of what Twisted found."""
    error = DownloadFailedError("Synthetic")
    error.__cause__ = ResponseFailed([Failure(reason) for reason in reasons])
    return error


@pytest.mark.parametrize(
    ("error", "kind", "tries"),
    [
        (CannotResolveHostError(), "dns", TRIES),
        (DownloadConnectionRefusedError(), "refused", TRIES),
        (DownloadTimeoutError(), "timeout", TRIES),
        (ResponseDataLossError(), "cut_off", TRIES),
        (failed(ConnectionLost()), "reset", TRIES),
        (failed(ValueError()), "bad_answer", TRIES),
        (DownloadCancelledError(), "too_large", 1),
        (failed(ConnectionAborted()), "too_large", 1),
        (failed(TlsError([("SSL routines", "", "certificate verify failed")])), "tls", 1),
        (Refused(FORBIDDEN, "Synthetic"), FORBIDDEN, 1),
        (page(b"\x00", Content_Encoding="zip"), "bad_encoding", 1),
    ],
)
def test_failures_have_a_kind_and_are_tried_again_where_that_may_help(error, kind: str, tries: int):
    web = Web({"/1": [error]})

    with pytest.raises(Failed) as told:
        asyncio.run(web.get())

    assert (told.value.kind, web.paths().count("/1")) == (kind, tries)
    assert told.value.message


def test_a_request_tells_its_conditions_limits_and_encodings():
    web = Web(timeout=7.0, max_bytes=1234)

    answer = asyncio.run(web.get(headers=lambda url: {"If-None-Match": f'"{url[-1]}"'}))

    request = web.asked[1]
    assert (answer.url, answer.status, answer.body) == (ADDRESS, 200, b"Synthetic")
    assert request.headers["If-None-Match"] == b'"1"'
    assert request.headers["Accept-Encoding"] == b"gzip, deflate, br"
    assert (request.meta["download_maxsize"], request.meta["download_timeout"], request.method) == (1234, 7.0, "GET")


def test_robots_txt_is_read_again_after_a_day(monkeypatch: pytest.MonkeyPatch):
    web = Web()

    async def twice() -> None:
        await web.get()
        await web.get()
        assert web.paths() == ["/robots.txt", "/1", "/1"]
        monkeypatch.setattr(fetch_module, "ROBOTS_SECONDS", 0)
        await web.get()

    asyncio.run(twice())
    assert web.paths()[3:] == ["/robots.txt", "/1"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_of_over_an_hour_is_for_a_later_call(status: int):
    web = Web({"/1": [page(status=status, Retry_After="3601")]})

    with pytest.raises(HostAway) as away:
        asyncio.run(web.get())

    assert (away.value.kind, away.value.url, web.paths().count("/1")) == (f"http_{status}", ADDRESS, 1)


def test_only_a_host_that_is_busy_is_waited_for_by_its_word():
    web = Web({"/1": [page(status=404, Retry_After="3601")]})

    assert asyncio.run(web.get()).status == 404


def test_a_stop_ends_a_wait():
    web = Web({"/1": [page(status=503, Retry_After="3000")]})

    async def stopped() -> None:
        asking = asyncio.ensure_future(web.get())
        while not web.paths().count("/1"):
            await asyncio.sleep(0)
        web.fetcher.stop.set()
        with pytest.raises(fetch_module.Stopped):
            await asking

    asyncio.run(stopped())
    assert web.paths() == ["/robots.txt", "/1"]


def test_the_last_answer_is_given_where_trying_again_did_not_help():
    web = Web({"/1": [page(status=503, body=b"Synthetic: busy")]})

    assert asyncio.run(web.get()).body == b"Synthetic: busy"
    assert web.paths().count("/1") == TRIES
