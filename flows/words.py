"""A run's summary for people: what came in, what came out, what changed, where it is and what to type next."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from flows import changes
from flows.acceptance import FLOOR
from flows.report import PageNote, Report, report_file
from flows.terminal import Block, Grid, Line, as_text
from warehouse import snapshots
from warehouse.limits import BANDS, all_to_accept, as_options
from warehouse.tables import TABLES

SHOWN_PAGES = 10
MEANINGS = {
    "parsed": "read whole",
    "partial": "cut off or incomplete: only the tables it shows whole were taken",
    "gated": "a login or pay wall: nothing taken, earlier rows stay",
    "blocked": "a bot check or an error page: nothing taken, earlier rows stay",
    "not_found": "404 or 410: evidence towards a deletion, no more",
    "unrecognised": "no parser knows this layout: kept raw for a later one",
    "layout_changed": "the site's layout has changed: nothing taken, earlier rows stay",
    "mismatched": "the page is of another code than its address: nothing taken",
    "unidentified": "no code to be found: nothing taken",
    "rejected": "over a limit or no text: nothing taken",
    "failed": "the parser failed: nothing taken, the traceback is in the run report",
}
# Outcomes of pages that are worth a line each.
TOLD = ("layout_changed", "failed", "partial", "mismatched", "unidentified", "rejected")


def summary(report: Report) -> list[Block]:
    """The whole summary of a finished run."""
    return [
        *_headline(report),
        *_landed(report),
        *_outcomes(report),
        *_warnings(report),
        *_sources(report),
        *_pages(report),
        *_rows(report),
        *_changes(report),
        *_files(report),
        *_next(report),
    ]


def in_words(report: Report) -> str:
    """The summary as plain text."""
    return as_text(summary(report))


def fenced(text: str) -> str:
    """Words of pages in Markdown, as a block that nothing in them can end (law 10)."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def command(report: Report, *words: str) -> str:
    """A command to type, for this run's home."""
    called = Path(sys.argv[0])
    by_name = called.name != "cptflow" or shutil.which("cptflow")
    return shlex.join(["cptflow" if by_name else str(called), *words, "--home", report.address or report.home])


def _headline(report: Report) -> list[Block]:
    if report.status == "published":
        text = f"Run {report.run_id}: published snapshot {report.snapshot_id} (as of {str(report.as_of)[:10]})."
        return [Line(text, "bold green")]
    if report.status == "landed":
        return [Line(f"Run {report.run_id}: landed, and nothing else was done.", "bold green")]
    if report.status == "nothing_new" and report.captures and report.snapshot_id is None:
        text = "WARNING: none of the pages could be read, so there is no snapshot yet."
        return [Line(f"Run {report.run_id}: {text} What they are stands below.", "bold yellow")]
    if report.status == "nothing_new":
        held = f"the current snapshot stays {report.snapshot_id}" if report.snapshot_id else "there is no snapshot yet"
        why = "and nothing but volatile text differs" if report.parsed else "nothing was parsed"
        return [Line(f"Run {report.run_id}: nothing new, {why}; nothing was published, {held}.", "bold")]
    lines: list[Block] = [
        Line(f"Run {report.run_id}: expectations STOPPED publication; `current` is as it was.", "bold red")
    ]
    lines += [Line(f"  {stop['rule']} on {stop['table']}: {stop['message']}", "red") for stop in report.stopped]
    return lines


def _landed(report: Report) -> list[Block]:
    landed = report.landed
    parsed = f"parsed {report.parsed}, {report.skipped} parsed before."
    if report.status == "landed":
        parsed = f"the home holds {_count(report.captures_in_home, 'capture')}."
    if not landed:
        return [Line(f"Landed nothing; the home holds {_count(report.captures_in_home, 'capture')}; {parsed}")]
    came = f"{_count(landed['landed'], 'new page')}, {_count(landed['revisits'], 'revisit')} of pages held"
    lines: list[Block] = [Line(f"Landed {came}, {landed['already_held']} held already; {parsed}")]
    if not sum(landed[name] for name in ("landed", "revisits", "already_held")):
        lines.append(Line(f"WARNING: there is no page in {', '.join(report.inputs)}.", "bold yellow"))
    if passed_over := landed["passed_over"]:
        kinds = ", ".join(f"{kind}: {number:,}" for kind, number in passed_over.items())
        lines.append(Line(f"Passed over what is no page: {kinds}."))
    problems, not_kept = landed["problems"], landed["problems_not_kept"]
    if problems:
        lines.append(Line(f"WARNING: {_count(len(problems) + not_kept, 'problem')} while landing:", "bold yellow"))
        lines += [Line(f"  {problem['file']}: {problem['message']}") for problem in problems[:SHOWN_PAGES]]
        lines += _more(len(problems) + not_kept, len(problems))
    return lines


def _outcomes(report: Report) -> list[Block]:
    if not report.captures:
        return []
    sources = list(report.captures_by_source)
    rows = [
        (outcome, *(report.captures_by_source[source].get(outcome, 0) for source in sources), total, MEANINGS[outcome])
        for outcome, total in report.captures.items()
    ]
    return [Line(), Grid("What the pages turned out to be", ("outcome", *sources, "all", "meaning"), rows)]


def _warnings(report: Report) -> list[Block]:
    lines: list[Block] = []
    for source, outcomes in report.captures_by_source.items():
        if changed := outcomes.get("layout_changed", 0):
            text = (
                f"WARNING: {source} has changed its layout: {_count(changed, 'page')} could not be read. Earlier rows "
                "stay. The parser needs an update; the pages are kept and will be read again then."
            )
            lines.append(Line(text, "bold white on red"))
    return [*lines, *_bands(report), *_let_nothing_pass(report)]


def _bands(report: Report) -> Iterator[Block]:
    """How the snapshot is away from its parent without being stopped."""
    for rule in (rule for suite in report.suites if suite["table"] == BANDS for rule in suite["rules"]):
        if rule["accepted"]:
            yield Line(f"Let pass, {rule['rule']}: {rule['message']}.", "yellow")
        elif not rule["success"] and rule["severity"] == "warning":
            yield Line(f"WARNING: {rule['rule']}: {rule['message']}.", "bold yellow")


def _let_nothing_pass(report: Report) -> Iterator[Block]:
    """A rule that a person typed and that stopped nothing: perhaps another one was meant."""
    rules = [rule for suite in report.suites if suite["table"] == BANDS for rule in suite["rules"]]
    passed = {rule["rule"] for rule in rules if rule["accepted"]}
    passed |= {f"{FLOOR}:{fared['source']}" for fared in report.sources if fared["accepted"]}
    for rule in dict.fromkeys(report.accept):
        if rule not in passed:
            yield Line(f"WARNING: --accept {rule} let nothing pass.", "bold yellow")


def _sources(report: Report) -> list[Block]:
    """Sources that are suspect, and crawls that wait to be taken up again."""
    lines: list[Block] = []
    for fared in report.sources:
        if fared["suspect"]:
            text = (
                f"WARNING: {fared['source']} is suspect: {fared['good']} of {fared['captures']} captures could be read "
                f"({fared['share']:.0%}), and its floor is {fared['least']:.0%}. Its rows stay as they were; what came "
                "does not count. If the pages are really so, let them pass:"
            )
            others = report.accept if report.status == "stopped" else []  # those that were let pass were so in vain
            rules = dict.fromkeys([*others, f"{FLOOR}:{fared['source']}"])
            let_pass = command(report, "run", *as_options([*rules]))
            lines += [Line(text, "bold white on red"), Line(f"  {let_pass}")]
    for source, captures in report.waiting.items():
        text = f"The crawl of {source} is not finished: {_count(captures, 'capture')} of it will count when it is."
        lines.append(Line(f"{text} Go on: {command(report, 'crawl', source)}", "yellow"))
    return lines


def _pages(report: Report) -> list[Block]:
    told = sorted((note for note in report.notes if note.outcome in TOLD), key=_urgency)
    if not told:
        return []
    rows = [(note.code or changes.ABSENT, note.outcome, note.reason or "", note.url) for note in told[:SHOWN_PAGES]]
    total = sum(report.captures.get(outcome, 0) for outcome in TOLD)
    return [Line(), Grid("Pages to look at", ("code", "outcome", "why", "page"), rows), *_more(total, len(told))]


def _urgency(note: PageNote) -> tuple[int, str]:
    return TOLD.index(note.outcome), note.url


def _rows(report: Report) -> list[Block]:
    if not report.rows or report.status == "nothing_new":
        return []
    rows = [(table.name, report.rows[table.name], table.description) for table in TABLES if table.name in report.rows]
    blocks: list[Block] = [Line(), Grid("Rows", ("table", "rows", "what they are"), rows)]
    by_severity = report.quarantine.get("by_severity", {})
    if by_severity:
        told = ", ".join(f"{count} {severity}" for severity, count in by_severity.items())
        blocks.append(
            Line(f"Rows that broke a rule: {told} (critical ones are held back). See the table quarantine.", "yellow")
        )
    return blocks


def _changes(report: Report) -> list[Block]:
    if report.status != "published" or report.snapshot_id is None:
        return []
    if report.parent_snapshot_id is None:
        return [Line(), Line("This is the home's first snapshot: there is none to compare it with.")]
    home = Path(report.home)
    rows = snapshots.read_table(home, report.snapshot_id, "changes").to_pylist()
    told = changes.in_words(rows, changes.context(home, report.snapshot_id))
    return [Line(), Line(f"What changed since {report.parent_snapshot_id}:", "bold"), *told]


def _files(report: Report) -> list[Block]:
    home = Path(report.home)
    lines: list[Block] = [Line()]
    if report.snapshot_id:
        lines.append(Line(f"Tables:  {report.address or home}/warehouse/current"))
    if report.quality_page:
        lines.append(Line(f"Quality: {report.quality_page}"))
    if report.data_docs:
        lines.append(Line(f"GX docs: {report.data_docs} (it loads scripts from other hosts)"))
    if report.quality_problem:
        lines.append(Line(f"WARNING: the quality report could not be written: {report.quality_problem}", "bold yellow"))
    return [*lines, Line(f"Report:  {report_file(home, report.run_id)}")]


def _next(report: Report) -> list[Block]:
    if report.status == "landed":
        commands = [command(report, "run"), command(report, "raw", "stats")]
    elif report.status == "stopped":
        rules = all_to_accept(report.accept, report.stopped)
        commands = [command(report, "run", *as_options(rules)) if rules else command(report, "doctor")]
    elif report.snapshot_id is None:
        commands = ["cptflow parse PAGE"]
    else:
        commands = [
            command(report, "changes"),
            command(report, "query", "SELECT code, title, status FROM codes LIMIT 5"),
            *([command(report, "show", code)] if (code := _some_code(report)) else []),
        ]
    return [Line("Next:"), *(Line(f"  {line}") for line in commands)]


def _some_code(report: Report) -> str | None:
    codes = snapshots.read_table(Path(report.home), str(report.snapshot_id), "codes")["code"]
    return str(codes[0]) if len(codes) else None


def _more(total: int, kept: int) -> list[Block]:
    """``kept``: how many of them the run report names."""
    if total <= SHOWN_PAGES:
        return []
    where = "all are" if kept >= total else f"{kept} of them are"
    return [Line(f"  ... and {total - SHOWN_PAGES} more; {where} in the run report")]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
