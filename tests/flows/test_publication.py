"""What a run compares with: the parent's own captures, read as they would be read today (law 7)."""

import json

import pytest

from flows import publication
from flows.publication import CapturesLost
from tests.flows.pages import folder, page, run_inline, without_validation
from warehouse import snapshots

FIRST = {"99213": page("99213", short="Synthetic ONE"), "99214": page("99214")}


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    without_validation(monkeypatch)


@pytest.fixture
def home(tmp_path):
    """A home with one snapshot."""
    assert run_inline(tmp_path / "home", folder(tmp_path / "first", FIRST)).status == "published"
    return tmp_path / "home"


@pytest.fixture
def news(tmp_path):
    """A folder in which the site changed a descriptor."""
    return folder(tmp_path / "news", {"99213": page("99213", short="Synthetic TWO")}, day="2026-01-02")


@pytest.fixture
def rebases(monkeypatch):
    """How often the parent's captures were assembled again."""
    asked = []
    rebased = publication._rebased
    monkeypatch.setattr(publication, "_rebased", lambda *given: asked.append(given) or rebased(*given))
    return asked


def test_law_7_the_sources_news_stay_the_sources_when_we_changed_as_well(home, news, monkeypatch, rebases):
    """The parent is read again from its own runs' captures alone; with all of them, its news would be told as ours."""
    monkeypatch.setattr(publication, "version", lambda name: "99")

    report = run_inline(home, news)

    assert len(rebases) == 1
    assert report.changes["by_cause"] == {"source": 2}
    assert snapshots.read_manifest(home, report.snapshot_id)["cptflow_version"] == "99"


def test_what_was_made_alike_is_not_assembled_again(home, news, rebases):
    assert run_inline(home, news).status == "published"
    assert rebases == []


def test_another_order_of_trust_is_known_from_the_snapshot_itself(home, news, rebases):
    for report in (home / "runs").glob("2*.json"):
        report.unlink()
    run_inline(home, news)
    assert rebases == []
    run_inline(home, trust=("openpayer", "codingahead"))
    assert len(rebases) == 1


def test_a_snapshot_that_does_not_tell_its_trust_is_compared_with_care(home, news, rebases):
    file = home / "warehouse/current/manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["trust"]
    file.write_text(json.dumps(manifest))
    assert run_inline(home, news).status == "published"
    assert len(rebases) == 1


def test_law_3_lost_captures_publish_nothing(home, news):
    """Else every code of theirs would be told as gone."""
    before = snapshots.current_id(home)
    (lost,) = snapshots.read_manifest(home, before)["run_ids"]
    for index in (home / "raw/captures").iterdir():
        index.rename(home / index.name)

    with pytest.raises(CapturesLost, match="Restore raw/captures and raw/warc from a backup") as told:
        run_inline(home, news)

    assert (told.value.run_ids, told.value.exit_status) == ([lost], 1)
    assert lost in str(told.value)
    assert snapshots.current_id(home) == before
    report = json.loads(max((home / "runs").glob("2*.json")).read_text())
    assert (report["status"], report["error"]["type"]) == ("failed", "CapturesLost")
