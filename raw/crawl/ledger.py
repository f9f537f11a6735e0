"""One crawl under way: what is to be asked, and what each address has come to. Its files outlive the process."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pyarrow.compute as pc

from raw.captures import Capture, read_captures
from raw.crawl.journal import recover
from raw.crawl.records import (
    CrawlRecord,
    PageProblem,
    committed_runs,
    crawls_folder,
    read_crawls,
    write_crawl,
    write_whole,
)

NOT_FOUND = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
# Addresses that were not asked at all: robots.txt forbids, or the guard.
NOT_ASKED = {"robots", "bad_address", "elsewhere", "forbidden_address"}


class Ledger:
    """``addresses``: None until the list is made. ``statuses``: by address that a crawl captured, its HTTP status."""

    def __init__(self, home: Path, record: CrawlRecord) -> None:
        self.home, self.record = home, record
        self.addresses: list[str] | None = None
        self.statuses: dict[str, int] = {}
        self._list_problems: list[PageProblem] = []
        self._failures: dict[str, PageProblem] = {}
        self._listed: set[str] = set()
        self._bad: dict[str, int] = {}  # of the listed ones, those answered with a status that is no good answer
        self._answered = 0  # listed ones that are in statuses
        self._captured = self._unchanged = self._not_found = 0
        self._load_list()
        self._load_captures()
        self._load_same()

    def freeze(self, addresses: Iterable[str], problems: Iterable[PageProblem]) -> None:
        """Set what this crawl asks for; it stays so, however often the crawl is stopped."""
        lines = [[address] for address in dict.fromkeys(addresses)]
        lines += [list(problem) for problem in problems]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        write_whole(self._file("addresses.jsonl"), text)
        self._load_list()

    def left(self) -> Iterator[str]:
        """Addresses that nothing has come of, in order."""
        return (a for a in self.addresses or () if a not in self.statuses and a not in self._failures)

    def done(self) -> int:
        return self._answered + len(self._failures)

    def note_capture(self, address: str, capture: Capture) -> None:
        self._count(capture.url, address, capture.status or 0, capture.record_type)

    def note_same(self, address: str, url: str) -> None:
        """The address leads to a page that this crawl has captured already, and that is not asked for again."""
        with self._file("same.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([address, url], ensure_ascii=False) + "\n")
        self._set(address, self.statuses[url])

    def note_failure(self, address: str, kind: str, message: str) -> None:
        """Nothing came for this address; it is tried again if the crawl goes on later."""
        self._failures[address] = PageProblem(address, kind, message)

    def errors(self) -> dict[str, int]:
        return dict(sorted(Counter(problem.kind for problem in self._problems()).items()))

    def end(self) -> None:
        """Let it be finished as it stands."""
        write_crawl(self.home, replace(self.record, finished_at=datetime.now(UTC)))

    def save(self, *, away: Iterable[PageProblem] = ()) -> CrawlRecord:
        """Write how the crawl stands; it is finished where nothing is left. ``away``: hosts that are left for later."""
        problems = [*self._problems(), *away]
        through = self.addresses is not None and next(self.left(), None) is None
        asked = self._answered + sum(problem.kind not in NOT_ASKED for problem in self._failures.values())
        self.record = replace(
            self.record,
            finished_at=datetime.now(UTC) if through else None,
            complete=through and not problems,
            asked=asked,
            captured=self._captured,
            unchanged=self._unchanged,
            not_found=self._not_found,
            errors=dict(sorted(Counter(problem.kind for problem in problems).items())),
            problems=tuple(problems),
            run_ids=committed_runs(self.home, self.record.crawl_id),
        )
        write_crawl(self.home, self.record)
        return self.record

    def _problems(self) -> Iterator[PageProblem]:
        yield from self._list_problems
        yield from self._failures.values()
        for address, status in self._bad.items():
            yield PageProblem(address, status_kind(status), f"the server answered with status {status}")

    def _set(self, address: str, status: int) -> None:
        if address in self._listed and address not in self.statuses:
            self._answered += 1
            if not is_good(status):
                self._bad[address] = status
        self.statuses[address] = status

    def _count(self, url: str, address: str, status: int, record_type: str) -> None:
        self._set(url, status)
        self._set(address, status)
        self._captured += 1
        self._unchanged += record_type == "revisit"
        self._not_found += status in NOT_FOUND

    def _load_list(self) -> None:
        path = self._file("addresses.jsonl")
        if path.exists():
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self.addresses = [line[0] for line in lines if len(line) == 1]
            self._list_problems = [PageProblem(*line) for line in lines if len(line) > 1]
            self._listed = set(self.addresses)

    def _load_captures(self) -> None:
        table = read_captures(self.home, ("run_id", "url", "requested_url", "status", "record_type"))
        ours = table.filter(pc.starts_with(table["run_id"], f"{self.record.crawl_id}."))
        for row in ours.to_pylist():
            address = row["requested_url"] or row["url"]
            self._count(row["url"], address, row["status"] or 0, row["record_type"])

    def _load_same(self) -> None:
        path = self._file("same.jsonl")
        told = path.read_bytes() if path.exists() else b""
        whole = told[: told.rfind(b"\n") + 1]
        if whole != told:  # torn: the process was killed as it wrote
            write_whole(path, whole.decode())
        for address, url in map(json.loads, whole.splitlines()):
            if url in self.statuses:
                self._set(address, self.statuses[url])

    def _file(self, name: str) -> Path:
        return crawls_folder(self.home) / f"{self.record.crawl_id}.{name}"


def open_ledger(home: Path, source: str, *, restart: bool) -> Ledger:
    """The crawl of this source that is not finished, or a new one; ``restart`` ends the former as it stands.

    The caller holds the source's lock. Raises CrawlUnreadable and IndexUnreadable.
    """
    for crawl in [crawl for crawl in read_crawls(home) if crawl.source == source]:
        for partial in crawls_folder(home).glob(f"{crawl.crawl_id}.*.partial"):
            partial.unlink()
        recover(home, source, crawl.crawl_id)
        if crawl.finished_at is None:
            ledger = Ledger(home, crawl)
            if not restart:
                return ledger
            ledger.end()
    now = datetime.now(UTC)
    ledger = Ledger(home, CrawlRecord(f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}", source, now))
    ledger.save()
    return ledger


def is_good(status: int) -> bool:
    return 200 <= status < 300 or status in (HTTPStatus.NOT_MODIFIED, *NOT_FOUND)


def status_kind(status: int) -> str:
    return "http_5xx" if status >= 500 else f"http_{status}"
