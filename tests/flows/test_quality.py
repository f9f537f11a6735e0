"""Each run that publishes or is stopped leaves a page for people; no page that fails undoes a publication."""

import json
import shutil

import pytest
from bs4 import BeautifulSoup

from flows import quality
from flows.commands import snapshots as commands
from flows.quality import page_file, page_of
from flows.report import report_file
from flows.restoring import restore
from flows.words import in_words
from tests.flows.pages import folder, page, run_inline, without_validation
from warehouse import snapshots

EVIL = 'Synthetic <script>alert(1)</script>"><img src=http://127.0.0.1:1/x onerror=alert(2)>'


def parsed(file):
    return BeautifulSoup(file.read_bytes(), "lxml")


def docs(home):
    return home / "warehouse" / "docs"


def test_each_snapshot_of_the_samples_has_a_page_with_the_runs_numbers(published):
    ids = [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(published)]
    second = max((published / "runs").glob("2*.json"))
    report = json.loads(second.read_text())
    file = page_file(published, ids[1])

    assert page_file(published, ids[0]).is_file()
    assert report["quality_page"] == str(file)
    assert report["quality_problem"] is None
    soup = parsed(file)
    rows = {row.strong.get_text(): row for row in soup.select("#tables tbody tr")}
    for name, count in report["rows"].items():
        if name != "snapshot":
            assert rows[name].find("td", attrs={"data-label": "rows"}).get_text() == f"{count:,}"
    told = sum(report["changes"]["by_change_type"].values())
    assert next(tile for tile in soup.select(".tile") if "Changes" in tile.get_text()).dd.get_text() == f"{told:,}"
    pages = [row.get_text(" ") for row in soup.select("#sources table tbody tr")]
    assert any("case2code.codingahead.com/cpt/codes/27447" in row and "partial" in row for row in pages)


def test_every_link_of_the_pages_leads_to_a_file(published):
    newest = snapshots.current_id(published)
    for file in (page_file(published, newest), docs(published) / "quality.html"):
        links = [str(tag["href"]) for tag in parsed(file).select("a[href]")]
        anchors = {tag["id"] for tag in parsed(file).select("[id]")}
        assert {"manifest.json", "data-dictionary.md"} <= {link.rsplit("/", 1)[-1] for link in links}
        assert all(link[1:] in anchors if link.startswith("#") else (file.parent / link).exists() for link in links), (
            links
        )
    assert newest in parsed(docs(published) / "quality.html").header.get_text()


def test_a_page_that_is_gone_is_made_again_the_same(home):
    for manifest in snapshots.list_snapshots(home):
        file = page_file(home, manifest["snapshot_id"])
        before = file.read_bytes()
        file.unlink()
        assert page_of(home, manifest["snapshot_id"]) == file
        assert file.read_bytes() == before


def test_a_page_is_made_again_without_its_run_report_too(home):
    snapshot_id = snapshots.current_id(home)
    page_file(home, snapshot_id).unlink()
    report_file(home, snapshots.read_manifest(home, snapshot_id)["run_id"]).unlink()

    assert "Published" in parsed(page_of(home, snapshot_id)).h1.get_text()


def test_the_summary_and_snapshots_show_tell_where_the_page_is(home, tmp_path, capsys):
    report = run_inline(home, folder(tmp_path / "news", {"99999": page("99999")}, day="2026-03-01"))
    file = page_file(home, report.snapshot_id)
    assert f"Quality: {file}" in in_words(report)

    shutil.rmtree(docs(home))
    commands.show(FakeContext(), report.snapshot_id, str(home))
    assert f"quality report: {file}" in capsys.readouterr().out
    assert file.is_file()
    commands.show(FakeContext(), report.snapshot_id, str(home), json=True)
    assert json.loads(capsys.readouterr().out)["quality_page"] == str(file)


class FakeContext:
    """What `cptflow snapshots` hands on to `show`."""

    obj = (None, False)


def test_snapshots_show_goes_on_where_no_page_can_be_made(home, capsys):
    shutil.rmtree(docs(home))
    docs(home).write_text("a file in the way")

    commands.show(FakeContext(), snapshots.current_id(home), str(home))

    out = capsys.readouterr().out
    assert "WARNING: its quality report is missing and could not be made" in out
    assert "codes" in out


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("Synthetic fault")])
def test_law_4_a_page_that_cannot_be_written_undoes_no_publication(home, tmp_path, monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(quality, "render", fails)
    report = run_inline(home, folder(tmp_path / "news", {"99999": page("99999")}, day="2026-03-01"))

    assert (report.status, report.exit_status) == ("published", 0)
    assert snapshots.current_id(home) == report.snapshot_id
    assert report.quality_page is None
    assert f"WARNING: the quality report could not be written: {error}" in in_words(report)
    assert [step.step for step in run_inline(home).steps] == ["alerts"], "the run counts as done"


def test_a_stopped_run_leaves_a_page_and_the_snapshots_own_ones_stay(home, tmp_path):
    before = snapshots.current_id(home)
    own = page_file(home, before).read_bytes()
    codes = [f"{number:05}" for number in range(10000, 10040)]
    bad = folder(tmp_path / "bad", {code: page(code, added="2199-01-01") for code in codes}, day="2026-02-01")

    report = run_inline(home, bad)

    assert report.quality_page == str(docs(home) / "quality" / f"stopped-{report.run_id}.html")
    soup = parsed(docs(home) / "quality" / f"stopped-{report.run_id}.html")
    assert soup.h1.get_text() == "Stopped: nothing was published"
    assert report.stopped[0]["message"][:60] in soup.select_one("#stopped").get_text()
    card = soup.select_one("#broken article").get_text(" ")
    assert "40 rows" in card
    assert "https://www.codingahead.com/cpt/codes/10000" in card
    assert before in soup.header.get_text()
    assert page_file(home, before).read_bytes() == own
    assert parsed(docs(home) / "quality.html").h1.get_text() == soup.h1.get_text()


def test_data_docs_are_written_where_they_are_wanted_and_take_no_markup_of_pages(published, tmp_path):
    home = tmp_path / "home"
    pages = {f"{10000 + number}": page(f"{10000 + number}") for number in range(10)}
    pages["10001"] = page("10001", short=EVIL * 200)  # longer than a descriptor may be
    report = run_inline(home, folder(tmp_path / "pages", pages), data_docs=True)

    assert not (docs(published) / "gx").exists()
    assert report.data_docs == str(docs(home) / "gx" / "index.html")
    (descriptors,) = docs(home).glob("gx/validations/descriptors/*/*/*.html")
    soup = parsed(descriptors)
    assert "alert(1)" in soup.get_text(), "it is the real result, with its rows"
    assert not [tag for tag in soup.find_all(["script", "img"]) if "alert" in str(tag)]
    failed = [suite["table"] for suite in report.suites if not suite["success"]]
    assert failed == ["descriptors"]
    assert f"GX docs: {report.data_docs}" in in_words(report)


def newest(home):
    return parsed(docs(home) / "quality.html")


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A home with one page, whose runs do without Great Expectations."""
    without_validation(monkeypatch)
    report = run_inline(tmp_path / "home", folder(tmp_path / "pages", {"99213": page("99213")}))
    assert report.snapshot_id in newest(tmp_path / "home").header.get_text()
    return tmp_path / "home"


def test_the_newest_page_is_the_current_snapshots_again_once_a_stop_is_over(quick, monkeypatch):
    current = snapshots.current_id(quick)
    own = (docs(quick) / "quality.html").read_bytes()
    (docs(quick) / "quality.html").write_bytes(b"Synthetic: Stopped<!-- of stopped-x -->\n")

    report = run_inline(quick)
    assert (report.status, [step.step for step in report.steps]) == ("nothing_new", ["alerts"])
    assert report.quality_page == str(page_file(quick, current))
    assert (docs(quick) / "quality.html").read_bytes() == own

    monkeypatch.setattr(quality, "render", lambda *_, **__: pytest.fail("all is well"))
    again = run_inline(quick)
    assert (again.quality_page, again.quality_problem) == (None, None)


def test_a_run_that_was_killed_before_its_page_has_it_made_by_the_next(quick):
    current = snapshots.current_id(quick)
    shutil.rmtree(docs(quick))
    run_inline(quick)
    assert page_file(quick, current).is_file()
    assert current in newest(quick).header.get_text()


def test_a_restored_snapshot_has_its_page_and_the_newest_is_of_it(quick, tmp_path):
    first = snapshots.current_id(quick)
    run_inline(quick, folder(tmp_path / "news", {"99213": page("99213", short="News")}, day="2026-02-01"))
    done = restore(quick, first, "20260301T120000000000Z-3f9a")
    assert done.quality_problem is None
    assert page_file(quick, done.snapshot_id).is_file()
    assert done.snapshot_id in newest(quick).header.get_text()


def test_law_4_a_page_that_cannot_be_written_undoes_no_restoring(quick, tmp_path, monkeypatch):
    first = snapshots.current_id(quick)
    run_inline(quick, folder(tmp_path / "news", {"99213": page("99213", short="News")}, day="2026-02-01"))

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quality, "render", fails)
    done = restore(quick, first, "20260301T120000000000Z-3f9a")
    assert snapshots.current_id(quick) == done.snapshot_id
    assert "No space left" in done.quality_problem
    assert "No space left" in run_inline(quick).quality_problem


def test_of_stopped_runs_the_last_ones_page_stays(home, tmp_path):
    codes = [f"{number:05}" for number in range(10000, 10040)]
    bad = folder(tmp_path / "bad", {code: page(code, added="2199-01-01") for code in codes}, day="2026-02-01")
    before = sorted(path.name for path in (docs(home) / "quality").iterdir())
    (docs(home) / "quality" / "stopped-20250101T000000000000Z-0000.html").write_text("Synthetic page")
    report = run_inline(home, bad)
    after = {path.name for path in (docs(home) / "quality").iterdir()}
    assert after == {*before, f"stopped-{report.run_id}.html"}
