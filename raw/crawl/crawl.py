"""Crawling a source, in a process of its own."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from raw.crawl.definition import Definition, check
from raw.crawl.errors import CrawlFailed
from raw.crawl.records import CrawlRecord, Progress, read_crawl

STOP_SECONDS = 30.0
_LAST_WORDS = 2000


def crawl(
    home: Path, definition: Definition, on_progress: Callable[[Progress], None], *, restart: bool = False
) -> CrawlRecord:
    """Crawl the source, or go on where its unfinished crawl stopped, and tell how it went.

    ``restart`` ends an unfinished crawl as it stands, and begins another one. ``on_progress`` is told about
    twice a second. On KeyboardInterrupt, or whatever else is raised while it waits, the crawl stops in good order:
    what came is kept, and a later call goes on. Raises BadDefinition, CrawlHeld, CrawlFailed, CrawlUnreadable,
    IndexUnreadable, and OSError where the home cannot be written.
    """
    check(definition)
    job = {
        "home": str(home.resolve()),
        "definition": asdict(definition),
        "restart": restart,
        "parent": os.getpid(),
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "raw.crawl"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        try:
            end = _follow(process, json.dumps(job), on_progress)
        except BaseException:
            process.terminate()
            raise
        finally:
            _wait(process)
        if "error" in end:
            raise pickle.loads(base64.b64decode(end["error"]))  # written by our own child
        if "crawl_id" not in end:
            raise CrawlFailed(definition.source, process.returncode, _tail(log))
    return read_crawl(home, end["crawl_id"])


def _follow(process: subprocess.Popen[bytes], job: str, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
    """The last line that the process says, the others being progress; empty where it says none."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(job.encode())
        process.stdin.close()
    except BrokenPipeError:
        return {}
    for line in process.stdout:
        told: dict[str, Any] = json.loads(line)
        if "progress" not in told:
            return told
        on_progress(Progress(**told["progress"]))
    return {}


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until the process has ended by itself; made to, where it takes too long."""
    assert process.stdout is not None
    process.stdout.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LAST_WORDS))
    return log.read().decode("utf-8", "replace").strip()
