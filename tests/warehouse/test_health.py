"""The floor: a landing in which a source fared much worse than in its last good one does not count."""

from __future__ import annotations

import pyarrow as pa

from tests.warehouse.invented import CAPTURES_SCHEMA, capture, day, page
from warehouse.health import Health, counts, health, let_pass
from warehouse.staging import read_results, stage

LANDED_SCHEMA = CAPTURES_SCHEMA.append(pa.field("source", pa.string())).append(pa.field("landing", pa.string()))


class Home:
    """Landings of a source, each a number of pages by outcome."""

    def __init__(self, home):
        self.home, self.rows, self.staged = home, [], []

    def lands(self, landing, source="codingahead", **outcomes):
        """Pages at the source's addresses, numbered through: landing again lands the same addresses."""
        number = 0
        for outcome, count in outcomes.items():
            for _ in range(count):
                number += 1
                staged = page(f"{number:04}T", outcome=outcome, source=source, content=f"{landing} {source} {number}")
                status = {"not_found": 404, "blocked": 503}.get(outcome, 200)
                row = capture(staged, day(int(landing)), status) | {"source": source, "landing": landing}
                self.staged.append(staged)
                self.rows.append(row)
        return self

    def fared(self, floors=None, settled=()):
        stage(self.home, self.staged)
        self.results = read_results(self.home, ("codingahead@1", "openpayer@1", "none@1"))
        self.captures = pa.Table.from_pylist(self.rows, schema=LANDED_SCHEMA)
        return health(self.captures, self.results, floors or {}, settled)

    def suspects(self, **terms):
        return [(h.source, h.landing) for h in self.fared(**terms) if h.suspect]


def test_what_falls_below_four_fifths_of_the_last_good_share_is_suspect(tmp_path):
    home = Home(tmp_path).lands("1", parsed=8, gated=2).lands("2", parsed=7, gated=4).lands("3", parsed=16, gated=9)

    assert home.suspects() == [("codingahead", "2")]
    assert home.fared()[1] == Health("codingahead", "2", 11, 7, 0.8 * 0.8, True)


def test_a_suspect_landing_is_no_measure_for_the_next(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=7, blocked=3).lands("3", parsed=7, blocked=3)

    assert home.suspects() == [("codingahead", "2"), ("codingahead", "3")]


def test_a_first_landing_is_compared_with_nothing(tmp_path):
    assert Home(tmp_path).lands("1", gated=10).suspects() == []


def test_the_floor_is_the_settings(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=7, gated=3)

    assert home.suspects(floors={"codingahead": 0.7}) == []
    assert home.suspects(floors={"codingahead": 0.71}) == [("codingahead", "2")]
    assert home.suspects(floors={"openpayer": 0.1}) == [("codingahead", "2")]


def test_a_source_answers_for_itself_alone(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("1", "openpayer", parsed=10)
    home.lands("2", parsed=10).lands("2", "openpayer", gated=10)

    assert home.suspects() == [("openpayer", "2")]


def test_of_four_captures_one_bad_one_tells_nothing(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=3, gated=1).lands("3", parsed=3, gated=2)

    assert home.suspects() == [("codingahead", "3")]


def test_a_few_good_pages_do_not_raise_the_bar(tmp_path):
    home = Home(tmp_path).lands("1", parsed=6, gated=4).lands("2", parsed=4).lands("3", parsed=6, gated=4)

    assert home.suspects() == []


def test_a_404_where_no_page_ever_was_is_left_out_and_one_where_a_page_was_is_not(tmp_path):
    never = Home(tmp_path / "a").lands("1", parsed=10).lands("2", parsed=10, not_found=10)
    lost = Home(tmp_path / "b").lands("1", parsed=10).lands("2", not_found=4, parsed=6)

    assert never.suspects() == []
    assert lost.suspects() == [("codingahead", "2")]


def test_what_was_published_is_not_judged_again_and_is_the_new_measure(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=7, gated=3).lands("3", parsed=7, gated=3)

    assert home.suspects(settled={("codingahead", "2")}) == []


def test_a_person_lets_the_latest_landing_of_a_source_pass_and_no_other(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("1", "openpayer", parsed=10)
    for landing in ("2", "3"):
        home.lands(landing, parsed=5, gated=5).lands(landing, "openpayer", parsed=5, gated=5)

    found = let_pass(home.fared(), ["codingahead"])

    assert [(h.source, h.landing) for h in found if h.accepted] == [("codingahead", "3")]
    assert [(h.source, h.landing) for h in found if h.suspect] == [
        ("codingahead", "2"),
        ("openpayer", "2"),
        ("openpayer", "3"),
    ]


def test_what_a_suspect_landing_brought_does_not_count_and_all_else_does(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("1", "openpayer", parsed=6)
    home.lands("2", parsed=5, gated=5).lands("2", "openpayer", parsed=6)
    suspect = [(h.source, h.landing) for h in home.fared() if h.suspect]

    counted = counts(home.captures, home.results, suspect).to_pylist()

    assert suspect == [("codingahead", "2")]
    assert counted == [(row["source"], row["landing"]) != ("codingahead", "2") for row in home.captures.to_pylist()]


def test_what_has_no_landing_yet_waits(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=2)
    for row in home.rows[10:]:
        row["landing"] = None

    assert [h.landing for h in home.fared()] == ["1"]
    assert counts(home.captures, home.results, []).to_pylist() == [True] * 10 + [False] * 2


def test_the_source_is_what_the_content_tells(tmp_path):
    """Pages of a folder without addresses are of the site that they show."""
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=5, gated=5)
    for row in home.rows:
        row["source"] = "local"

    assert home.suspects() == [("codingahead", "2")]


def test_a_gate_in_the_place_of_a_local_file_is_of_the_site_that_the_file_was(tmp_path):
    home = Home(tmp_path).lands("1", parsed=10).lands("2", parsed=5, unrecognised=5)
    for row in home.rows:
        row["source"] = "local"

    assert home.suspects() == [("codingahead", "2")]
