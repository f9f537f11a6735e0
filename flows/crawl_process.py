"""A crawl in a process of its own, as ``cptflow crawl`` does it: Scrapy's loop can run once in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from flows.errors import CptflowError
from flows.home import Address
from flows.server import end_with_parent
from flows.settings import Settings

SAID = 2000
COMMAND = "from flows.cli import main; main()"


class CrawlFailed(CptflowError):
    """The command ended without a record of the crawl. ``exit_code``: its; ``said``: the end of what it said."""

    def __init__(self, source: str, exit_code: int, said: str) -> None:
        self.source, self.exit_code, self.said = source, exit_code, said
        self.retry_helps = exit_code != 2  # bad usage or settings
        told = said.strip().splitlines()[-1][:500] if said.strip() else "it said nothing."
        super().__init__(
            f"The crawl of {source} failed (exit code {exit_code}): {told} What came is kept, and the next crawl of "
            f"{source} goes on from there."
        )


def crawl(source: str, settings: Settings, log: Callable[[str], None]) -> str:
    """Crawl ``source``; each line that the command says goes to ``log``. Returns how it went, in a line.

    A crawl that its own limit ended (``max_seconds``) goes on at the next call, and is no failure. Raises CrawlFailed.
    """
    home = settings.home.given if isinstance(settings.home, Address) else str(settings.home.resolve())
    said = ""
    with tempfile.TemporaryFile("w+") as answer:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "crawl", source, "--json"],
            env=os.environ | {"CPTFLOW_HOME": home},  # an address may hold a password, and arguments are seen by all
            stdout=answer,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=end_with_parent(),
        )
        try:
            for line in process.stderr or ():
                said = (said + line)[-SAID:]
                log(line.rstrip())
            process.wait()
        finally:
            process.terminate()
            process.wait()
        answer.seek(0)
        record = _record(answer.read())
    if record is None:
        raise CrawlFailed(source, process.returncode, said)
    how = (
        "complete" if record["complete"] else "finished" if record["finished_at"] else "not finished, goes on next time"
    )
    return (
        f"{source}: {how}; {record['asked']} addresses asked for, {record['captured']} captures, "
        f"{sum(record['errors'].values())} without a good answer"
    )


def _record(text: str) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "crawl_id" in record else None
