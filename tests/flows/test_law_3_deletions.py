"""Law 3 against a small model: whatever crawls bring, a code is deleted on the evidence, and never without it.

Real pages are landed, parsed, staged, counted and assembled; only validation and publication, which decide nothing of
this, are left out.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import parsers
from flows import counting, planning
from flows.parsing import parse_batch
from flows.report import begin
from flows.settings import Settings
from parsers import codingahead, genhealth, openpayer, registry
from raw.captures import read_captures
from raw.crawl.records import CrawlRecord, crawls_folder, write_crawl
from raw.landing import land
from tests.flows.pages import page
from warehouse import staging
from warehouse.assemble import assemble

# Fewer than the floor looks at: what it does is another test's.
CODES = {"codingahead": ("10001", "10002"), "openpayer": ("10001",)}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOSTS = {
    "codingahead": "https://www.codingahead.com/cpt/codes/",
    "openpayer": "https://www.openpayer.com/billing-codes/cpt-",
}
PAGES = [(source, code) for source, codes in CODES.items() for code in codes]
MISSING = "Synthetic: there is no such page."
GATE = "Synthetic site\nCreate a free account to unlock this content\n"


def _openpayer(code: str, number: int) -> str:
    return (
        f"Summary & Overview\nCPT {code}: Synthetic title {number}\nSynthetic words of a summary.\n"
        "Billing Code Overview\nSynthetic overview of the service.\n"
        "Service type: Synthetic\nSite of service: Synthetic\n"
        "Clinical & Coding Specifications\nClinical Context\nSynthetic context.\nCoding Specifications\n"
        "Modifier | Description | When to Use\n---|---|---\n26 | Synthetic | Synthetic use\n\nSynthetic end.\n"
    )


def body_of(source: str, code: str, kind: str, number: int) -> str:
    if kind in ("404", "410"):
        return MISSING
    if kind == "gated":
        return GATE
    if kind == "503":
        return "Synthetic: come back later."
    whole = page(code, short=f"Synthetic {number}") if source == "codingahead" else _openpayer(code, number)
    return whole[: len(whole) // 2] if kind == "cut" else whole


ANSWERED = st.sampled_from(["good", "304", "404", "404", "410", "gated", "cut"])
ANYTHING = st.sampled_from(["good", "404", "404", "gated", "503", "failed"])


def found(kinds: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    """What a crawl of a source finds at the address of each code."""
    of = {name: st.fixed_dictionaries(dict.fromkeys(codes, kinds)) for name, codes in CODES.items()}
    return st.one_of(*(st.tuples(st.just(name), pages) for name, pages in of.items()))


# What a crawl that went through its list ends as; a server's error or no answer at all leaves it incomplete.
INCOMPLETE = {"503", "failed"}


@dataclass
class Told:
    """What the model knows of one page. ``asks``: (when, whether it was gone) of complete crawls; ``answers``: when any
    capture found something, of whatever kind."""

    last_good: datetime | None = None
    asks: list[tuple[datetime, bool]] = field(default_factory=list)
    held: str = ""
    held_is_good: bool | None = None

    answers: list[datetime] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """Two complete crawls in a row found nothing, nothing was found in between, and nothing to read since."""
        return any(
            gone and gone_again and self.last_good is not None and self.last_good < since
            and not any(since <= answer <= noticed for answer in self.answers)
            for (since, gone), (noticed, gone_again) in pairwise(sorted(self.asks))
        )  # fmt: skip


class Crawls(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.settings = Settings(home=self.home)
        self.now, self.number = BEGIN, 0
        self.versions = {"codingahead": 1, "openpayer": 1}
        self.pages = {page: Told() for page in PAGES}
        self.open: dict[str, tuple[CrawlRecord, dict[str, tuple[str, datetime, bool]]]] = {}

    def teardown(self):
        shutil.rmtree(self.home)
        registry.registered.cache_clear()

    @rule(found=found(ANSWERED))
    def crawl_that_is_answered(self, found):
        self._crawl_to_the_end(*found)

    @rule(found=found(ANSWERED))
    def another_crawl_that_is_answered(self, found):
        """The same once more: evidence takes several."""
        self._crawl_to_the_end(*found)

    @rule(found=found(ANYTHING))
    def crawl_with_trouble(self, found):
        self._crawl_to_the_end(*found)

    @rule(found=found(ANYTHING), reached=st.integers(0, 2))
    def crawl_that_is_killed(self, found, reached):
        source, pages = found
        if source not in self.open:
            self._crawl(source, dict(list(pages.items())[:reached]))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def crawl_ends_as_it_stands(self, data):
        self._finish(data.draw(st.sampled_from(sorted(self.open))), complete=False)

    @rule(page=st.sampled_from(PAGES), kind=st.sampled_from(["good", "404", "gated", "cut"]))
    def a_page_lands_from_a_folder(self, page, kind):
        source, code = page
        self.now += timedelta(days=1)
        self._land(f"{self.now:%Y%m%dT%H%M%SZ}-land", source, {code: kind}, self._note_landed)

    @rule(source=st.sampled_from(sorted(CODES)))
    def a_parser_is_upgraded(self, source):
        self.versions[source] += 1

    @invariant()
    def codes_are_deleted_on_the_evidence_and_on_nothing_less(self):
        expected = {}
        for code in {code for _, code in PAGES}:
            having = [told for (_, of), told in self.pages.items() if of == code and told.last_good]
            if having:
                expected[code] = all(told.is_lost for told in having)
        assert self._deleted() == expected

    def _crawl_to_the_end(self, source, found):
        if source not in self.open:
            self._crawl(source, found)
            self._finish(source, complete=not INCOMPLETE & set(found.values()))

    def _crawl(self, source, found):
        self.now += timedelta(days=1)
        record = CrawlRecord(f"{self.now:%Y%m%dT%H%M%SZ}-{source}", source, self.now)
        crawls_folder(self.home).mkdir(parents=True, exist_ok=True)
        write_crawl(self.home, record)
        self.open[source] = record, {}
        self._land(f"{record.crawl_id}.0001", source, found, self._note_crawled)

    def _finish(self, source, *, complete):
        """Only now what it brought counts."""
        record, came = self.open.pop(source)
        write_crawl(self.home, replace(record, finished_at=record.started_at + timedelta(hours=1), complete=complete))
        for code, (kind, when, is_good) in came.items():
            self._note_landed(source, code, kind, when, is_good)
            if complete:
                self.pages[source, code].asks.append((when, kind in ("404", "410")))

    def _note_crawled(self, source, code, kind, when, is_good):
        self.open[source][1][code] = kind, when, is_good

    def _note_landed(self, source, code, kind, when, is_good):
        if is_good:
            told = self.pages[source, code]
            told.last_good = max(when, told.last_good or when)

    def _land(self, run_id, source, found, note):
        """As a folder whose manifest tells when each page was fetched and with what status."""
        place, lines = self.home / "pages" / run_id, []
        place.mkdir(parents=True)
        for minutes, (code, kind) in enumerate(found.items()):
            if kind == "failed":
                continue
            self.number += 1
            url, when = HOSTS[source] + code, self.now + timedelta(minutes=minutes)
            told, status = self.pages[source, code], int(kind) if kind.isdigit() else 200
            body = told.held if status == 304 else body_of(source, code, kind, self.number)
            (place / f"{code}.txt").write_text(body, encoding="utf-8")
            lines.append(json.dumps({"file": f"{code}.txt", "url": url, "fetched_at": str(when), "status": status}))
            if status == 200:
                told.held, result = body, parsers.parse(body.encode(), url)
                told.held_is_good = result.outcome in ("parsed", "partial") and bool(result.covered_tables)
            if status != 304 or told.held_is_good is not None:
                if status in (200, 304):
                    told.answers.append(when)
                note(source, code, kind, when, status in (200, 304) and bool(told.held_is_good))
        (place / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
        land(self.home, run_id, [str(place)], lambda url: source)

    def _deleted(self) -> dict[str, bool]:
        self._put_parsers_in_force()
        index, live = read_captures(self.home), parsers.live()
        terms = counting.read_terms(self.home, None, self.settings)
        for batch in planning.batches_of(
            self.home, planning.unparsed(self.home, planning.pages_of(index), live), 99, 1
        ):
            parse_batch(batch)
        captures, results = counting.captures_of(self.home, index, terms), staging.read_results(self.home, live)
        counted = counting.count(begin("run", [], self.settings), captures, results, terms, [], set())
        if not counted.run_ids:
            return {}
        codes = assemble(counted.captures, self.home, live, ("codingahead", "openpayer")).tables["codes"]
        return dict(zip(codes["code"].to_pylist(), [s == "deleted" for s in codes["status"].to_pylist()], strict=True))

    def _put_parsers_in_force(self):
        ours = (codingahead.SOURCE, openpayer.SOURCE)
        registry.BUILT_IN = (*(replace(s, version=self.versions[s.name]) for s in ours), genhealth.SOURCE)
        registry.registered.cache_clear()


@pytest.fixture(autouse=True)
def parsers_as_they_were():
    before = registry.BUILT_IN
    yield
    registry.BUILT_IN = before
    registry.registered.cache_clear()


class TestLaw3Deletions(Crawls.TestCase):
    settings = settings(max_examples=6, stateful_step_count=12, deadline=None)


@pytest.mark.full
class TestLaw3DeletionsAtLength(Crawls.TestCase):
    settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
