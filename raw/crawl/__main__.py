"""The crawl's own process: a job on standard input, JSON lines of progress on standard output. See raw.crawl.crawl."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import pickle
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from raw.crawl.definition import Definition, check
from raw.crawl.errors import CrawlHeld
from raw.crawl.ledger import Ledger, open_ledger
from raw.crawl.records import Progress, crawls_folder
from raw.errors import RawError

_PR_SET_PDEATHSIG = 1


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    _end_with(job["parent"])
    home = Path(job["home"])
    told: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in job["definition"].items()}
    definition = Definition(**told)
    try:
        crawl_id = _crawl_alone(home, definition, restart=job["restart"])
    except (RawError, OSError) as error:
        _say({"error": base64.b64encode(pickle.dumps(error)).decode()})
    else:
        _say({"crawl_id": crawl_id})


def _crawl_alone(home: Path, definition: Definition, *, restart: bool) -> str:
    crawls_folder(home).mkdir(parents=True, exist_ok=True)
    lock = crawls_folder(home) / f"{definition.source}.lock"
    try:
        with FileLock(lock, timeout=0):
            ledger = open_ledger(home, definition.source, restart=restart)
            _run_scrapy(home, definition, ledger)
            return ledger.record.crawl_id
    except Timeout:
        raise CrawlHeld(definition.source, lock) from None


def _run_scrapy(home: Path, definition: Definition, ledger: Ledger) -> None:
    import asyncio

    from scrapy.crawler import AsyncCrawlerProcess

    from raw.crawl.download import guard_connections, settings
    from raw.crawl.spider import CrawlSpider

    process = AsyncCrawlerProcess(settings(definition))  # installs the reactor
    from twisted.internet import reactor

    guard = check(definition)
    guard_connections(reactor, guard)
    crawler = process.create_crawler(CrawlSpider)
    stop = asyncio.Event()
    crawling = process.crawl(
        crawler, home=home, definition=definition, guard=guard, ledger=ledger, tell=_tell, stop=stop
    )
    loop = asyncio.get_event_loop_policy().get_event_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    process.start(install_signal_handlers=False)
    if error := crawling.exception() or (crawler.spider and getattr(crawler.spider, "outcome", None)):
        raise error


def _tell(progress: Progress) -> None:
    _say({"progress": asdict(progress)})


def _say(told: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody listens any more; the crawl ends with its parent's death, by the signal that it asked for.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _end_with(parent: int) -> None:
    """On Linux, have this process told to stop when the one that started it ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)


if __name__ == "__main__":
    main()
