"""Runs over 2,000 pages, killed by SIGKILL at random moments. For a process of its own: it forks."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flows import pipeline, publication
from flows.engine import InProcess
from flows.settings import Settings
from raw.verify import verify as verify_raw
from tests.faulty_disk import run_on
from tests.flows.fault_points import import_noted, note_modules
from tests.flows.pages import folder, let_pass, page
from warehouse import snapshots

PAGES = 2000
STEPS = (
    *("land", "parse", "count", "freshness", "assemble", "validate", "compare", "bands", "publish", "quality"),
    "alerts",
)
# Where the kills of one round are aimed: the steps in which a run spends its time or changes what readers see. Pages
# that were parsed before a kill are not parsed again.
FIRST = (*["land"] * 4, *["parse"] * 50, "assemble", *["publish"] * 6)
SECOND = (*["land"] * 5, *["parse"] * 5, *["assemble"] * 2, *["compare"] * 2, *["publish"] * 10)


def rounds(scratch: Path, kills: int, seed: int) -> tuple[Counter[str], list[str]]:
    """A first run, and a second one that brings changes, each killed again and again and at last let through.

    Returns how many kills came in which step, and what was wrong after some.
    """
    moment = random.Random(seed)
    codes = [f"{number:05d}" for number in range(100, 100 + PAGES)]
    first = folder(scratch / "first", {code: page(code) for code in codes})
    changed = {code: page(code, short="Synthetic NEW") if code.endswith("7") else page(code) for code in codes}
    second = folder(scratch / "second", changed, day="2026-02-01")
    empty, one, two = (scratch / name for name in ("empty", "one", "two"))
    empty.mkdir()
    _warm_up(scratch)
    steps = [_undisturbed(empty, one, first), _undisturbed(one, two, second)]
    killed: Counter[str] = Counter()
    wrong: list[str] = []
    turn = 0
    while killed.total() < kills and not wrong:
        before, after, news, aims = [(empty, one, first, FIRST), (one, two, second, SECOND)][turn % 2]
        place = shutil.copytree(before, scratch / "place", symlinks=True)
        for aim in aims:
            seconds = steps[turn % 2][aim] / (aims.count(aim) ** 0.5 if aim == "parse" else 1)
            step = _killed(place, news, aim, moment.random() * 1.2 * seconds)
            killed[step] += step != "ended"
            if found := _harm(place, (before, after), thorough=aim == "land"):
                wrong.append(f"seed {seed}, killed in {step} (kill {killed.total()}): {found}")
            if killed.total() >= kills or snapshots.current_id(place) == snapshots.current_id(after):
                break
        _run(place, news)
        if found := _harm(place, (after,), thorough=True) or _differs(place, after):
            wrong.append(f"seed {seed}, at the end of round {turn}: {found}")
        shutil.rmtree(place)
        turn += 1
    del killed["ended"]
    return killed, wrong


def _warm_up(scratch: Path) -> None:
    """Import what runs import, so that no child needs to."""
    for day in ("2026-01-01", "2026-02-01"):
        news = folder(scratch / day, {"00100": page("00100", short=f"Synthetic {day}")}, day=day)
        work = partial(pipeline.run, [str(news)], Settings(home=scratch / "warm"), InProcess(), lambda *_: None)
        run_on(scratch, partial(_noting, work, scratch))
        import_noted(scratch)


def _noting(work: Callable[[], object], scratch: Path) -> None:
    work()
    note_modules(scratch)


def _work(home: Path, news: Path, told: Callable[[str], object]) -> None:
    """A run as from the command line, but for the rules, which have nothing on the disk and take most of the time."""
    publication.validate = publication.validate_run_tables = let_pass  # type: ignore[assignment]
    landed = len(list((home / "raw/captures").glob("*.parquet")))
    inputs = [] if landed == (2 if news.name == "second" else 1) else [str(news)]
    last = [""]

    def progress(step: str, done: int, total: int | None) -> None:
        if step != last[0]:
            last[0] = step
            told(step)

    pipeline.run(inputs, Settings(home=home, batch_pages=25), InProcess(), progress)


def _forked(home: Path, news: Path) -> tuple[int, int]:
    """A child at work on the home, and a pipe in which it names each step as it begins."""
    listen, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(listen)
            _work(home, news, lambda step: os.write(tell, f"{step}\n".encode()))
            os._exit(0)
        finally:
            os._exit(70)
    os.close(tell)
    return child, listen


def _undisturbed(before: Path, home: Path, news: Path) -> dict[str, float]:
    """Make ``home`` of ``before`` and ``news``; returns the seconds of each step."""
    shutil.copytree(before, home, symlinks=True)
    child, listen = _forked(home, news)
    begun: list[tuple[str, float]] = []
    with os.fdopen(listen) as steps:
        begun += [(step.strip(), time.monotonic()) for step in steps]
    assert os.waitpid(child, 0)[1] == 0
    ends = [*(when for _, when in begun[1:]), time.monotonic()]
    return {step: end - start for (step, start), end in zip(begun, ends, strict=True)}


def _run(home: Path, news: Path) -> None:
    child, listen = _forked(home, news)
    with os.fdopen(listen) as steps:
        steps.read()
    assert os.waitpid(child, 0)[1] == 0


def _killed(home: Path, news: Path, aim: str, after: float) -> str:
    """Kill a run ``after`` seconds of the step ``aim``; returns the step that it was in, or "ended"."""
    child, listen = _forked(home, news)
    step = "before land"
    with os.fdopen(listen) as steps:
        for line in steps:
            step = line.strip()
            if STEPS.index(step) >= STEPS.index(aim):
                break
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        for line in steps:
            step = line.strip()
    return step if os.WIFSIGNALED(status) else "ended"


def _harm(home: Path, allowed: tuple[Path, ...], *, thorough: bool) -> str | None:
    now = snapshots.current_id(home)
    if now not in [snapshots.current_id(place) for place in allowed]:
        return f"current is {now}"
    if now and (problems := snapshots.verify(home, now)):
        return f"{now}: {problems}"
    faults = verify_raw(home).faults if thorough else None
    return f"raw: {faults}" if faults else None


def _differs(home: Path, undisturbed: Path) -> str | None:
    """Whether any table is another than without the kills; ``snapshot`` tells the time of its making."""
    files = sorted(path.name for path in (undisturbed / "warehouse/current").glob("*.parquet"))
    other = [
        name
        for name in files
        if name != "snapshot.parquet"
        and (home / "warehouse/current" / name).read_bytes() != (undisturbed / "warehouse/current" / name).read_bytes()
    ]
    return f"{other} are others than without the kills" if other else None
