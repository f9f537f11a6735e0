"""A whole small run, from landing to its report, cut off at each of its writes. For a process of its own: it forks."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from flows import cli, publication, quality
from flows.alerts.outbox import existing_outbox
from raw.verify import verify as verify_raw
from tests.faulty_disk import KILL, KILLED, Outcome, run_on
from warehouse import snapshots
from warehouse.expectations import Validation


def plainly(home: Path, *inputs: Path) -> int:
    """`cptflow run`, as a person types it. What rules and report say is no matter of the disk, and takes the time."""
    quality.render = lambda *_, **__: b"A page"  # type: ignore[assignment]
    for name in ("validate", "validate_run_tables"):
        setattr(publication, name, lambda tables, *_, **__: Validation(dict(tables), [], []))
    sys.argv = ["cptflow", "run", *map(str, inputs), "--home", str(home)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def run(home: Path, news: Path, scratch: Path, faults: tuple[str, ...], first: int) -> tuple[int, list[str]]:
    """One of ``faults`` at every third call from the ``first`` on, snapshots' own files apart.

    Returns at how many calls, and what was wrong after some.
    """
    undisturbed = shutil.copytree(home, scratch / "undisturbed", symlinks=True)
    whole = run_on(undisturbed, lambda: plainly(undisturbed, news) or note_modules(scratch))
    assert whole.status == 0, whole
    import_noted(scratch)
    before, after = snapshots.current_id(home), snapshots.current_id(undisturbed)
    wrong = []
    points = [at for at, letter in enumerate(whole.trail, 1) if letter == "o"][first::3]
    for turn, at in enumerate(points):
        fault, place = faults[turn % len(faults)], scratch / f"at-{at}"
        shutil.copytree(home, place, symlinks=True)
        outcome = run_on(place, lambda place=place: plainly(place, news), fault, at)  # type: ignore[misc]
        found = _told(outcome, fault) or _harm(place, (before, after)) or _next_run(place, news, after)
        if found:
            wrong.append(f"{fault} at call {at}: {found} {outcome}")
        shutil.rmtree(place)
    return len(points), wrong


def note_modules(scratch: Path) -> None:
    (scratch / "modules").write_text("\n".join(sys.modules))


def import_noted(scratch: Path) -> None:
    """What a run imports, once, so that no child needs to. It starts no thread, as a run would."""
    for name in (scratch / "modules").read_text().splitlines():
        with suppress(ImportError):
            importlib.import_module(name)


def _told(outcome: Outcome, fault: str) -> str | None:
    if fault == KILL:
        return None if outcome.status == KILLED else "it did not end"
    if "Traceback" in outcome.told or "Unexpected" in outcome.told:
        return "the error is not in words for people"
    if outcome.status == 1 and not ("the system refused" in outcome.told and "running again" in outcome.told):
        return "the error is not told"
    return None if outcome.status in (0, 1) else f"it ended with {outcome.status}"


def _harm(home: Path, known: tuple[str | None, str | None]) -> str | None:
    if (now := snapshots.current_id(home)) not in known:
        return f"current is {now}"
    for snapshot_id in {now, known[0]}:
        if problems := snapshots.verify(home, str(snapshot_id)):
            return f"{snapshot_id}: {problems}"
    faults = verify_raw(home).faults
    return f"raw: {faults}" if faults else None


def _next_run(home: Path, news: Path, after: str | None) -> str | None:
    again = run_on(home, lambda: plainly(home, news))
    if again.status != 0 or snapshots.current_id(home) != after or snapshots.verify(home, str(after)):
        return f"the next run did not end as if nothing had happened: {again}"
    if faults := verify_raw(home).faults:
        return f"raw after the next run: {faults}"
    for report in (home / "runs").glob("2*.json"):
        json.loads(report.read_text())
    return _untold(home)


def _untold(home: Path) -> str | None:
    """Law 6: the change of the one page is told, whatever run published it; by one message."""
    with existing_outbox(home) as outbox:
        told = [item.code for message in outbox.messages() for item in message.items] if outbox else []
    return None if told == ["00100"] else f"alerts tell {told}"
