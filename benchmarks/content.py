"""What generated pages say: a code's true indicators among invented ("Synthetic ...") words, in no form yet."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from random import Random

from benchmarks.cms import indicators_by_code, words_by_value

REVISED_ON = dt.date(2026, 1, 1)

_SUBJECTS = (
    "The synthetic marker|A second synthetic reader|The synthetic fluid|Each synthetic sample|The synthetic record|"
    "A folded synthetic sheet|The synthetic instrument|One synthetic reader|The synthetic light|Every synthetic card|"
    "The small synthetic pump|A synthetic timer of five invented minutes"
).split("|")
_VERBS = (
    "is placed beside|is compared with|passes through|is held against|rests upon|is counted together with|"
    "is turned towards|is set apart from|follows|is moved along|is kept near|is read again after"
).split("|")
_OBJECTS = (
    "the test channel|the invented frame|the left test region|the numbered rack|the upper test card|the quiet room|"
    "the test bench|the second invented mark|the folded test paper|the short test line|the outer ring|the test shelf"
).split("|")
_TAILS = (
    "so that the pattern can be read again later|with a pause of one invented minute|and the count is written down|"
    "until both invented values agree|before the next test step begins|while the first reader waits|"
    "in two equal parts|where the invented pattern is incomplete|and is labelled with an invented number|"
    "at an equal distance from the next|as the test plan asks|and then returns to its place"
).split("|")
_TERMS = "marking|rest|count|repeat|sample|reading|channel|balance|pattern|delay".split("|")

_LABELS = {
    "status": "Status Code",
    "global_days": "Global Days",
    "pctc": "PC/TC Indicator (26, TC)",
    "multiple_procedures": "Multiple Procedures (51)",
    "bilateral_surgery": "Bilateral Surgery (50)",
    "physician_supervision": "Physician Supervisions",
    "assistant_surgeon": "Assistant Surgeon (80, 82)",
    "co_surgeons": "Co-Surgeons (62)",
    "team_surgery": "Team Surgery (66)",
    "diagnostic_imaging_family": "Diagnostic Imaging Family",
}
_MODIFIERS = "22 24 25 26 50 51 52 53 57 58 59 62 66 76 77 78 79 80 81 82 LT RT TC XS".split()
_TAXONOMIES = "207R00000X 207Q00000X 208600000X 207RG0100X 207X00000X 208D00000X 261QA1903X 282N00000X".split()
_PAYERS = "Aetna, Blue Cross Blue Shield, Cigna Health, UnitedHealthcare, and Medicare"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a paragraph, and list items (term, text)."""

    heading: str
    intro: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CodingAhead:
    """The parts of a Coding Ahead page in their order. ``history``: date, action, note; newest first."""

    name: str
    official: str
    description: str
    sections: tuple[Section, ...]
    pairs: tuple[tuple[str, str], ...]
    history: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class OpenPayer:
    """The parts of an OpenPayer page in their order. ``tables``: heading and rows, the first of them the header."""

    name: str
    title: str
    summary: tuple[str, ...]
    overview: str
    service_type: str
    site_of_service: str
    context: tuple[str, ...]
    tables: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]


def coding_ahead(code: str, rng: Random, *, revised: bool) -> CodingAhead:
    """``revised``: another long descriptor and MUE, and the history event that says so."""
    name = _name(code)
    subject = f"{rng.choice(_TERMS)} of {rng.choice(_OBJECTS)}, step {rng.randint(1, 999)}"
    long = f"Synthetic descriptor for the {subject} (eg, {rng.choice(_TERMS)}, {rng.choice(_TERMS)})"
    years = sorted(rng.sample(range(1991, 2025), rng.randint(1, 4)), reverse=True)
    history = [(f"{year}-01-01", "Changed", rng.choice(("Description Changed", "Code changed."))) for year in years]
    history[-1] = (history[-1][0], "Added", "Code added.")
    mue = rng.randint(1, 4)
    if revised:
        long, mue = f"{long}, synthetic revision", mue + 1
        history.insert(0, (REVISED_ON.isoformat(), "Changed", "Long description changed."))
    return CodingAhead(
        name=name,
        official=f"{long} as the official words would give it",
        description=f"The procedure described by {name} involves the synthetic {subject}. {prose(rng, 7)}",
        sections=(
            Section("1. Indications", f"The procedure is for a synthetic need. {prose(rng, 3)}", _items(rng)),
            Section("2. Procedure", f"The procedure begins with a synthetic step. {prose(rng, 4)}", _items(rng)),
            Section("3. Post-Procedure", f"Post-procedure care is a synthetic rest. {prose(rng, 3)}", _items(rng)),
        ),
        pairs=(
            ("Short Descr", f"Synthetic TST {code}"),
            ("Medium Descr", f"Synthetic TEST {subject.upper()}"),
            ("Long Descr", long),
            *_indicator_pairs(code),
            ("APC Status Indicator", "Non-Covered Service, not paid under OPPS"),
            ("Berenson-Eggers TOS (BETOS)", "none"),
            ("MUE", str(mue)),
        ),
        history=tuple(history),
    )


def openpayer(code: str, rng: Random, *, revised: bool) -> OpenPayer:
    """``revised``: another title and another advice for the first modifier."""
    name = f"{_name(code)}".replace("® Code", "")
    what = f"{rng.choice(_TERMS).title()} of {rng.choice(_OBJECTS)[4:].title()}"
    modifiers = [(m, _phrase(rng, "wording"), _phrase(rng, "advice")) for m in sorted(rng.sample(_MODIFIERS, 6))]
    if revised:
        modifiers[0] = (*modifiers[0][:2], f"{modifiers[0][2]}, since the synthetic revision")
    related = sorted(set(rng.sample(list(indicators_by_code()), 5)) - {code})
    diagnoses = sorted({f"M{rng.randint(10, 99)}.{rng.randint(0, 9)}" for _ in range(6)})
    return OpenPayer(
        name=name,
        title=f"Synthetic {what}{', Revised' if revised else ''}",
        summary=(
            f"{name} represents a synthetic {what.lower()}. {prose(rng, 4)}",
            f"This synthetic review looks at payers including {_PAYERS}. {prose(rng, 3)}",
        ),
        overview=f"{name} describes a synthetic {what.lower()} on one test bench. {prose(rng, 2)}",
        service_type=f"Synthetic {rng.choice(_TERMS)} service",
        site_of_service=f"Synthetic {rng.choice(_TERMS)} clinic",
        context=(prose(rng, 6), f"Procedure workflow: {prose(rng, 5)}"),
        tables=(
            ("Modifiers", (("Modifier", "Description", "When to Use"), *modifiers)),
            ("Provider Taxonomies", _table("Taxonomy Code", sorted(rng.sample(_TAXONOMIES, 3)), rng)),
            ("ICD-10 Diagnoses", _table("ICD-10 Code", diagnoses, rng)),
            ("Related CPT Codes", _table("Related Code", related, rng)),
        ),
    )


def _name(code: str) -> str:
    return f"HCPCS Code {code}" if code[0].isalpha() else f"CPT® Code {code}"


def _indicator_pairs(code: str) -> list[tuple[str, str]]:
    """Each as the site writes it: the status in words alone, all others as ``CODE - words``."""
    words = words_by_value()
    return [
        (_LABELS[name], words[name, value] if name == "status" else f"{value} - {words[name, value]}")
        for name, value in indicators_by_code()[code].items()
    ]


def prose(rng: Random, count: int) -> str:
    return " ".join(_sentence(rng) for _ in range(count))


def _sentence(rng: Random) -> str:
    return f"{rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)} {rng.choice(_TAILS)}."


def _phrase(rng: Random, kind: str) -> str:
    return f"Synthetic {kind}: {rng.choice(_TERMS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)}"


def _items(rng: Random) -> tuple[tuple[str, str], ...]:
    return tuple((f"Synthetic {term.title()}", _sentence(rng)) for term in rng.sample(_TERMS, rng.randint(2, 4)))


def _table(key: str, values: list[str], rng: Random) -> tuple[tuple[str, ...], ...]:
    return ((key, "Description"), *((value, _phrase(rng, "words")) for value in values))
