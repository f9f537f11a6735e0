"""A small world of codes, and the sites that show it: what is true comes first, pages follow from it.

Pages are those of the benchmarks' generator (Coding Ahead, OpenPayer) and a page in GenHealth's manner, as text
extracts: real codes with their CMS indicators, and "Synthetic ..." words. A code's page has the same bytes for as long
as what it shows is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from benchmarks import pages
from benchmarks.content import CodingAhead, OpenPayer, coding_ahead, openpayer

SEED = 5
OK = 200


@dataclass(frozen=True)
class Code:
    """What is true of a code. ``history``: day, action, note; newest first. ``modifiers``: modifier, words, advice."""

    code: str
    short: str
    long: str
    mue: int
    global_days: str
    history: tuple[tuple[str, str, str], ...]
    title: str
    modifiers: tuple[tuple[str, str, str], ...]
    replaced_by: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a site answers for a code's address."""

    status: int
    body: str


Answers = dict[str, Answer]
"""By code; one that is missing was not asked for, or did not answer at all."""
Trouble = Callable[[Answers], Answers]


def real_codes(count: int) -> list[str]:
    return pages.codes_of(SEED)[:count]


@cache
def _coding_ahead(code: str) -> CodingAhead:
    return coding_ahead(code, Random(f"{SEED}|a|{code}"), revised=False)


@cache
def _openpayer(code: str) -> OpenPayer:
    return openpayer(code, Random(f"{SEED}|b|{code}"), revised=False)


def as_it_began(code: str) -> Code:
    first, second = _coding_ahead(code), _openpayer(code)
    values = dict(first.pairs)
    return Code(
        code,
        values["Short Descr"],
        values["Long Descr"],
        int(values["MUE"]),
        values["Global Days"].partition(" - ")[0],
        first.history,
        second.title,
        tuple((row[0], row[1], row[2]) for row in second.tables[0][1][1:]),
    )


# What each site shows of a code


def coding_ahead_page(code: Code) -> str:
    base = _coding_ahead(code.code)
    words = {"Short Descr": code.short, "Long Descr": code.long, "MUE": str(code.mue)}
    days = dict(base.pairs)["Global Days"]
    if not days.startswith(f"{code.global_days} - "):
        words["Global Days"] = f"{code.global_days} - Synthetic days"
    shown = tuple((label, words.get(label, value)) for label, value in base.pairs)
    banner = f"Code deleted, see {code.replaced_by}\n" if code.replaced_by else ""
    return banner + pages._coding_ahead_text(replace(base, pairs=shown, history=code.history))


def openpayer_page(code: Code) -> str:
    base = _openpayer(code.code)
    (heading, rows), *others = base.tables
    return pages._openpayer_text(
        replace(base, title=code.title, tables=((heading, (rows[0], *code.modifiers)), *others))
    )


def genhealth_page(code: Code) -> str:
    return (
        f"Synthetic words of {code.code}, each unit\nCPT4 code\nSynthetic name of {code.code}\nName of the Procedure:\n"
        "Common Name: Synthetic step\nSummary\nA Synthetic summary.\nRisks\nA Synthetic risk.\n"
    )


SITES: Mapping[str, tuple[Callable[[Code], str], Callable[[str], str]]] = {
    "codingahead": (coding_ahead_page, lambda code: f"https://www.codingahead.com/cpt/codes/{code}"),
    "openpayer": (openpayer_page, lambda code: f"https://www.openpayer.com/billing-codes/cpt-{code.lower()}-synthetic"),
    "genhealth": (genhealth_page, lambda code: f"https://genhealth.ai/code/cpt4/{code}-synthetic"),
}


# What can happen to answers


def all_of(change: Callable[[Answer], Answer]) -> Trouble:
    return lambda answers: {code: change(answer) for code, answer in answers.items()}


def some(codes: list[str], change: Callable[[Answer], Answer]) -> Trouble:
    return lambda answers: answers | {code: change(answers[code]) for code in codes if code in answers}


def silent(codes: list[str]) -> Trouble:
    """No answer, whatever was tried."""
    return lambda answers: {code: answer for code, answer in answers.items() if code not in codes}


def missing(answer: Answer) -> Answer:
    return Answer(404, "Synthetic: there is no such page.")


def unwell(answer: Answer) -> Answer:
    return Answer(503, "Synthetic: come back later.")


def gated(answer: Answer) -> Answer:
    return Answer(OK, "Synthetic site\nCreate a free account to unlock this content\n")


def robot_check(answer: Answer) -> Answer:
    return Answer(OK, "Just a moment...\nSynthetic site\n")


def another_layout(answer: Answer) -> Answer:
    return Answer(OK, "Synthetic words of another layout\nWith nothing that a reader knows\n")


def cut_in_table(answer: Answer) -> Answer:
    """An OpenPayer page that ends in the middle of a row of its modifiers."""
    _, _, _, second, *_ = answer.body[answer.body.index("| Modifier | ") :].splitlines()
    end = answer.body.index(second) + len(second) // 2
    return replace(answer, body=answer.body[:end])


def nonsense(answer: Answer) -> Answer:
    """A Coding Ahead page whose site forgot what it says."""
    lines = answer.body.splitlines()
    said = {"Short Descr": "Synthetic ERROR", "MUE": "99"}
    return replace(answer, body="\n".join(_said(line, said) for line in lines) + "\n")


def unknown_days(answer: Answer) -> Answer:
    """Global days that CMS does not know: a critical rule holds the row back."""
    lines = [_said(line, {"Global Days": "ABC - Synthetic days"}) for line in answer.body.splitlines()]
    return replace(answer, body="\n".join(lines) + "\n")


def twice_the_modifier(answer: Answer) -> Answer:
    """An OpenPayer page that tells its first modifier twice, in other words: the rows with this key are held back."""
    lines = answer.body.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("| Modifier | ")) + 2
    modifier = lines[at].split("|")[1].strip()
    lines.insert(at, f"| {modifier} | Synthetic other words | Synthetic other advice |")
    return replace(answer, body="\n".join(lines) + "\n")


def _said(line: str, said: Mapping[str, str]) -> str:
    label = line.partition(" | ")[0]
    return f"{label} | {said[label]} |" if label in said else line


# How it is captured


def answers_of(source: str, world: Mapping[str, Code], shown: list[str]) -> Answers:
    page, _ = SITES[source]
    return {code: Answer(OK, page(world[code])) for code in shown}


def write_folder(place: Path, source: str, answers: Answers, fetched_at: str) -> Path:
    """As a scraper leaves them: pages, and the manifest that tells address, time and status."""
    place.mkdir(parents=True)
    _, address = SITES[source]
    lines = []
    for code, answer in answers.items():
        (place / f"{code}.txt").write_text(answer.body, encoding="utf-8")
        told = {"file": f"{code}.txt", "url": address(code), "fetched_at": fetched_at, "status": answer.status}
        lines.append(json.dumps(told))
    (place / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place
