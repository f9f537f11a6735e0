"""`cptflow raw`: what is held, whether it is whole, and a way out, in words and as JSON."""

import json
import re

import pytest

import parsers
from raw.captures import read_captures
from raw.landing import land
from tests.flows.pages import run_inline

FACTS = ["url", "fetched_at", "status", "digest"]


def facts(home):
    return sorted(read_captures(home).select(FACTS).to_pylist(), key=str)


def test_stats_tells_sources_and_days(cptflow, published):
    status, out, _ = cptflow("raw", "stats", "--home", published)
    told = json.loads(cptflow("raw", "stats", "--home", published, "--json")[1])

    captures = read_captures(published).num_rows
    assert status == 0
    assert f"holds {captures:,} captures of" in out
    assert re.search(rf"^  all +{captures} ", out, re.MULTILINE)
    assert re.search(r"^  codingahead +2025-12-01 +\d+ ", out, re.MULTILINE)
    assert re.search(r"^  404 +1$", out, re.MULTILINE)
    assert told["total"]["captures"] == captures == sum(count["captures"] for count in told["by_day"])
    assert told["by_day"][0]["day"] == told["first_day"]


def test_verify_ends_with_0_for_a_home_that_is_whole(cptflow, published):
    status, out, err = cptflow("raw", "verify", "--home", published)
    told = json.loads(cptflow("raw", "verify", "--home", published, "--json")[1])

    assert status == 0
    assert "every one is as it was written, and the index names them all" in out
    assert re.search(r"verifying: (\d+) of \1 pages", err)
    assert (told["clean"], told["faults"], told["captures"]) == (True, [], read_captures(published).num_rows)


def test_verify_ends_with_1_and_names_file_offset_and_what_to_do(cptflow, home):
    row = read_captures(home).to_pylist()[3]
    file = home / row["file"]
    data = bytearray(file.read_bytes())
    data[row["offset"] + row["length"] // 2] ^= 0xFF
    file.write_bytes(data)
    waiting = home / "raw" / "captures" / "20990101T000000Z-crawl.0001.crawling.jsonl"
    waiting.write_bytes(b"")
    status, out, _ = cptflow("raw", "verify", "--home", home)
    json_status, text, _ = cptflow("raw", "verify", "--home", home, "--json")
    told = json.loads(text)

    assert (status, json_status, told["clean"]) == (1, 1, False)
    assert f"WRONG {row['file']}, offset {row['offset']}: {row['url']}: bytes that cannot be unpacked" in out
    assert "what to do: restore the file from a copy of the home" in out
    assert "Wrong: 1 damaged" in out
    assert f"{waiting.relative_to(home)}: waiting for the next crawl" in out
    [fault] = told["faults"]
    assert (fault["file"], fault["offset"], fault["kind"]) == (row["file"], row["offset"], "damaged")


@pytest.mark.parametrize("target", ["out", "out.warc.gz"])
def test_an_export_runs_as_an_input_of_another_home(cptflow, published, tmp_path, target):
    status, out, _ = cptflow("raw", "export", target, "--home", published)
    report = run_inline(tmp_path / "other", tmp_path / target)

    assert status == 0
    assert f"{target} holds {read_captures(published).num_rows:,} captures" in out
    assert f"cptflow run {target} --home ANOTHER" in out
    assert report.status == "published"
    assert facts(tmp_path / "other") == facts(published)


def test_export_takes_filters_by_source_address_and_day(cptflow, published, tmp_path):
    told = json.loads(cptflow("raw", "export", "a", "--source", "openpayer", "--home", published, "--json")[1])
    days = ["--since", "2026-01-05", "--until", "2026-01-05"]
    cptflow("raw", "export", "b", *days, "--url", "https://case2code.", "--home", published)
    for home, folder in (("first", "a"), ("second", "b")):
        land(tmp_path / home, "20260401T120000Z-0001", [folder], parsers.source_of)

    every = facts(published)
    assert told["captures"] == len([fact for fact in every if "openpayer" in fact["url"]])
    assert facts(tmp_path / "first") == [fact for fact in every if "openpayer" in fact["url"]]
    assert facts(tmp_path / "second") == [
        fact
        for fact in every
        if fact["url"].startswith("https://case2code.") and str(fact["fetched_at"]).startswith("2026-01-05")
    ]


def test_export_tells_what_it_left_out_and_ends_with_1(cptflow, home):
    row = read_captures(home).to_pylist()[-1]
    (home / row["file"]).write_bytes((home / row["file"]).read_bytes()[:-5])
    status, out, _ = cptflow("raw", "export", "out", "--home", home)

    assert status == 1
    assert f"LEFT OUT {row['url']}, fetched " in out
    assert "1 were left out. `cptflow raw verify` tells what to do" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "there"], "it is there already"),
        (["export", "out", "--since", "2026-13-01"], "--since must be a day such as 2026-01-31, and is '2026-13-01'"),
        (["export", "out", "--source", "nobody"], "none of the"),
        (["stats", "--home", "nowhere"], "There are no pages in nowhere yet"),
        (["verify", "--home", "nowhere"], "There are no pages in nowhere yet"),
    ],
)
def test_wrong_words_end_with_2(cptflow, published, tmp_path, words, told):
    (tmp_path / "there").mkdir()
    home = [] if "--home" in words else ["--home", published]
    status, out, err = cptflow("raw", *words, *home)

    assert (status, out) == (2, "")
    assert told in err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "nowhere").exists()
