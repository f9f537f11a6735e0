"""Which addresses a crawl asks for: those given, a sitemap's, and those of earlier crawls that a sitemap dropped."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from raw.addresses import without_secrets
from raw.captures import read_captures
from raw.crawl.body import CannotDecode
from raw.crawl.definition import Definition
from raw.crawl.fetch import Failed, Fetcher, HostAway
from raw.crawl.guard import Guard, Refused
from raw.crawl.ledger import NOT_FOUND, Ledger
from raw.crawl.records import PageProblem, read_crawls
from raw.crawl.sitemap import MAX_BYTES, NotASitemap, Sitemap, read_sitemap
from raw.pages import shown

MAX_SITEMAPS = 5_000
MAX_ADDRESSES = 2_000_000


async def make_list(home: Path, definition: Definition, guard: Guard, ledger: Ledger, fetcher: Fetcher) -> None:
    """Freeze the ledger's list. Raises HostAway where the sitemap itself cannot be had, and Stopped."""
    addresses, problems = _allowed(definition.addresses, guard)
    if definition.sitemap:
        listed, unread = await _read_sitemaps(definition.sitemap, fetcher)
        earlier = earlier_addresses(home, definition.source)
        pages = (page for page in (*listed, *earlier) if _is_page(page, definition))
        addresses += _allowed(pages, guard)[0]
        problems += unread
    ledger.freeze(addresses, problems)


def _allowed(urls: Iterable[str], guard: Guard) -> tuple[list[str], list[PageProblem]]:
    good: list[str] = []
    refused: list[PageProblem] = []
    for url in urls:
        try:
            good.append(guard.check(url))
        except Refused as error:
            refused.append(PageProblem(shown(url), error.kind, error.message))
    return good, refused


def _is_page(url: str, definition: Definition) -> bool:
    try:
        return not definition.pages or re.fullmatch(definition.pages, urlsplit(url).path) is not None
    except ValueError:
        return False


async def _read_sitemaps(root: str, fetcher: Fetcher) -> tuple[list[str], list[PageProblem]]:
    """All pages that a sitemap and those below it list, and the sitemaps that could not be read."""
    pages: dict[str, None] = {}
    problems: list[PageProblem] = []
    queue, known = [root], {root}
    for number, url in enumerate(queue):
        if number >= MAX_SITEMAPS or len(pages) > MAX_ADDRESSES:
            problems.append(
                PageProblem(url, "sitemap", "more sitemaps or addresses than can be meant; the rest is left")
            )
            break
        try:
            found = await _read_one(url, fetcher)
        except (Failed, NotASitemap, CannotDecode, HostAway, Refused) as error:
            told = without_secrets(str(getattr(error, "message", "") or error), url)
            problem = PageProblem(shown(without_secrets(url, url)), "sitemap", told)
            if url == root:
                raise HostAway(problem.url, problem.kind, problem.message) from None
            problems.append(problem)
            continue
        pages |= dict.fromkeys(found.pages)
        queue += [sitemap for sitemap in dict.fromkeys(found.sitemaps) if sitemap not in known]
        known.update(found.sitemaps)
    return list(pages), problems


async def _read_one(url: str, fetcher: Fetcher) -> Sitemap:
    if urlsplit(url).path == "/robots.txt":
        return Sitemap([], list((await fetcher.robots(fetcher.guard.check(url))).sitemaps))
    answer = await fetcher.fetch(url, lambda _: {}, lambda _: False, MAX_BYTES)
    if answer.status != HTTPStatus.OK:
        raise NotASitemap(f"it was answered with status {answer.status}")
    return read_sitemap(answer.body)


def earlier_addresses(home: Path, source: str) -> list[str]:
    """Addresses that gave a page in an earlier crawl of the source, but for those whose absence is proven.

    That is, by law 3, by a 404 or 410 in each of the last two complete crawls.
    """
    crawls = [crawl for crawl in read_crawls(home) if crawl.source == source]
    proofs = [crawl.crawl_id for crawl in crawls if crawl.complete][-2:]
    table = read_captures(home, ("run_id", "url", "requested_url", "status"))
    runs = pc.unique(table["run_id"]).to_pylist()

    def addresses(crawl_ids: Collection[str], statuses: Collection[int]) -> list[str]:
        theirs = pa.array([run for run in runs if run.rpartition(".")[0] in crawl_ids], pa.string())
        wanted = pc.and_(pc.is_in(table["run_id"], theirs), pc.is_in(table["status"], pa.array(statuses, pa.int32())))
        some = table.filter(wanted)
        found: list[str] = pc.unique(pc.coalesce(some["requested_url"], some["url"])).to_pylist()
        return found

    given = addresses({crawl.crawl_id for crawl in crawls}, [*range(200, 300), HTTPStatus.NOT_MODIFIED])
    gone = [set(addresses({proof}, NOT_FOUND)) for proof in proofs]
    absent = set.intersection(*gone) if len(gone) == 2 else set()
    return [address for address in given if address not in absent]
