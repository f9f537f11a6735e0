"""The crawl of one source: its list, a worker for each host, and each answer landed as it comes."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from scrapy import Request, Spider
from scrapy.http import Response

from raw.captures import read_captures
from raw.crawl.definition import Definition
from raw.crawl.fetch import Answer, Failed, Fetcher, HostAway, LeadsTo, Stopped
from raw.crawl.guard import Guard
from raw.crawl.journal import Journal
from raw.crawl.ledger import Ledger
from raw.crawl.listing import make_list
from raw.crawl.records import PageProblem, Progress
from raw.held import Held, land_page, read_held
from raw.pages import Page

PROGRESS_SECONDS = 0.5
# Ex: ``text/html; charset=utf-8``
_MEDIA_TYPE = re.compile(r"\s*([\w.+-]+/[\w.+-]+)\s*(?:[;,]|$)", re.ASCII)
# What can be sent again as it came. Ex: ``W/"5f-1"``, ``Wed, 21 Oct 2026 07:28:00 GMT``
_VALIDATOR = re.compile(r"[ -~]{1,500}")


class CrawlSpider(Spider):
    """``outcome`` is for whoever started it: the exception that ended the crawl, if one did."""

    name = "cptflow"
    outcome: BaseException | None = None

    def __init__(
        self,
        home: Path,
        definition: Definition,
        guard: Guard,
        ledger: Ledger,
        tell: Callable[[Progress], None],
        stop: asyncio.Event,
        **kwargs: Any,  # noqa: ANN401 (Scrapy's)
    ) -> None:
        super().__init__(**kwargs)
        self._definition, self._guard, self._ledger, self._tell = definition, guard, ledger, tell
        self._held = read_held(home)
        self._validators = _validators(home, self._held)
        self._journal = Journal(home, definition.source, ledger.record.crawl_id)
        self._home = home
        self._stop = stop
        self._away: list[PageProblem] = []
        self._begun, self._done_before = time.monotonic(), ledger.done()

    async def start(self) -> AsyncIterator[Request]:
        try:
            await self._crawl()
        except BaseException as error:
            self.outcome = error
            raise
        return
        yield  # makes this the generator that Scrapy asks for: what is fetched goes past its scheduler

    async def _crawl(self) -> None:
        fetcher = Fetcher(self._definition, self._guard, self._download, self._throttled, self._stop)
        beside = [asyncio.ensure_future(self._tell_now_and_then())]
        if self._definition.max_seconds is not None:
            beside.append(asyncio.ensure_future(self._stop_after(self._definition.max_seconds)))
        try:
            if self._ledger.addresses is None:
                await self._make_list(fetcher)
            await self._work(fetcher)
        finally:
            for task in beside:
                task.cancel()
        self._journal.commit()
        self._ledger.save(away=self._away)
        self._tell(self._progress())

    async def _make_list(self, fetcher: Fetcher) -> None:
        try:
            await make_list(self._home, self._definition, self._guard, self._ledger, fetcher)
        except HostAway as away:
            self._away.append(PageProblem(away.url, away.kind, away.message))
        except Stopped:
            return

    async def _work(self, fetcher: Fetcher) -> None:
        """All hosts at once, each one page after the other."""
        by_host: dict[str, list[str]] = {}
        for address in self._ledger.left():
            by_host.setdefault(urlsplit(address).hostname or "", []).append(address)
        workers = [asyncio.ensure_future(self._host(fetcher, host, pages)) for host, pages in by_host.items()]
        try:
            for worker in asyncio.as_completed(workers):
                await worker
        finally:
            for other in workers:
                other.cancel()

    async def _host(self, fetcher: Fetcher, host: str, addresses: list[str]) -> None:
        for address in addresses:
            if address in self._ledger.statuses:
                continue  # another one led to it meanwhile
            try:
                good = await self._page(fetcher, address)
                fetcher.note(address, failed=not good)
            except HostAway as away:
                if (urlsplit(away.url).hostname or "") == host:
                    self._away.append(PageProblem(away.url, away.kind, away.message))
                    return
                self._ledger.note_failure(address, away.kind, f"it leads to {away.url}: {away.message}")
            except Stopped:
                return

    async def _page(self, fetcher: Fetcher, address: str) -> bool:
        """Ask for one page and keep what comes. False where the server is in trouble."""
        try:
            answer = await fetcher.fetch(address, self._conditions, self._ledger.statuses.__contains__)
        except LeadsTo as leads:
            self._ledger.note_same(address, leads.url)
            return True
        except Failed as failed:
            self._ledger.note_failure(address, failed.kind, failed.message)
            return failed.kind in _NOT_THE_SERVERS
        if answer.status == HTTPStatus.NOT_MODIFIED and answer.url not in self._validators:
            self._ledger.note_failure(address, "http_304", "the server says not modified, and was not asked for that")
            return True
        capture = land_page(self._journal, self._held, _page_of(address, answer), lambda _: self._definition.source)
        if capture is not None:
            self._ledger.note_capture(address, capture)
        if self._journal.full():
            self._journal.commit()
            self._ledger.save(away=self._away)
        return answer.status < 500 and answer.status not in (408, 429)

    def _conditions(self, url: str) -> dict[str, str]:
        etag, last_modified = self._validators.get(url, (None, None))
        told = (("If-None-Match", etag), ("If-Modified-Since", last_modified))
        return {name: value for name, value in told if value}

    async def _download(self, request: Request) -> Response:
        engine = self.crawler.engine
        assert engine is not None
        return await engine.download_async(request)

    def _throttled(self, host: str) -> float:
        engine = self.crawler.engine
        slot = engine.downloader.slots.get(host) if engine else None
        return slot.delay if slot else 0.0

    async def _tell_now_and_then(self) -> None:
        while True:
            self._tell(self._progress())
            await asyncio.sleep(PROGRESS_SECONDS)

    async def _stop_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._stop.set()

    def _progress(self) -> Progress:
        done = self._ledger.done()
        left = None if self._ledger.addresses is None else len(self._ledger.addresses) - done
        rate = (done - self._done_before) / max(time.monotonic() - self._begun, 0.001)
        return Progress(done, left, round(rate, 3), self._ledger.errors())


# Failures that tell nothing of the server's health.
_NOT_THE_SERVERS = {
    "robots", "forbidden_address", "bad_address", "elsewhere", "redirect_elsewhere", "redirect_loop", "too_large",
    "bad_encoding",
}  # fmt: skip


def _page_of(address: str, answer: Answer) -> Page:
    named = _MEDIA_TYPE.match(answer.headers.get("content-type", ""))
    return Page(
        url=answer.url,
        fetched_at=answer.fetched_at,
        status=answer.status,
        media_type=named[1].lower() if named else "application/octet-stream",
        open=lambda: io.BytesIO(answer.body),
        file=answer.url,
        requested_url=address if address != answer.url else None,
        etag=_validator(answer.headers.get("etag")),
        last_modified=_validator(answer.headers.get("last-modified")),
    )


def _validator(value: str | None) -> str | None:
    return value if value and _VALIDATOR.fullmatch(value) else None


def _validators(home: Path, held: Held) -> dict[str, tuple[str | None, str | None]]:
    """By URL, ETag and Last-Modified of the answer whose bytes a 304 would confirm: the latest good one."""
    columns = ("url", "digest", "status", "etag", "last_modified")
    table = read_captures(home, (*columns, "fetched_at"))
    dates = table["fetched_at"].cast(pa.int64()).to_pylist()
    found: dict[str, tuple[str | None, str | None]] = {}
    for url, digest, status, etag, changed, date in zip(
        *(table[name].to_pylist() for name in columns), dates, strict=True
    ):
        answer = held.answers.get(url)
        good = status is not None and 200 <= status < 300 and (url, digest) in held.originals
        if good and (etag or changed) and answer and (answer.date, answer.digest) == (date, digest):
            found[url] = (etag, changed)
    return found
