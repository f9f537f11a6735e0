"""Invented text extracts of the third source: "Synthetic ..." words under its headings."""

from __future__ import annotations

from random import Random

from benchmarks.content import prose

_SECTIONS = (
    "Purpose|Indications|Preparation|Procedure Description|Duration|Setting|Personnel|"
    "Risks and Complications|Benefits|Recovery"
).split("|")


def genhealth_text(code: str, rng: Random, *, revised: bool) -> str:
    """``revised``: another technical term."""
    kind = "HCPCS" if code[0].isalpha() else "CPT4"
    lines = [
        f"Synthetic genhealth descriptor of {code}, step {rng.randint(1, 999)}",
        f"{kind} code",
        "Name of the Procedure:",
        f"- Common Name: Synthetic name {rng.randint(1, 999)}",
        f"- Technical Term: Synthetic term {rng.randint(1, 999)}{', revised' if revised else ''}",
        "Summary",
        prose(rng, 3),
    ]
    for heading in _SECTIONS:
        lines += [heading, *(f"- {prose(rng, 1)}" for _ in range(rng.randint(1, 3)))]
    return "\n".join(lines) + "\n"


def genhealth_url(code: str) -> str:
    return f"https://genhealth.ai/code/{'hcpcs' if code[0].isalpha() else 'cpt4'}/{code}-synthetic-page"
