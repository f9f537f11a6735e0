"""Point 3 of the crawler's contract: killed with SIGKILL at random moments, and gone on with."""

from __future__ import annotations

import base64
import errno
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from raw.captures import index_folder
from raw.crawl.records import read_crawls
from raw.verify import verify
from tests.raw.crawl.crawling import captures, definition, names_left
from tests.raw.crawl.server import Site, answer, page, serving

pytestmark = pytest.mark.full

PAGES = [f"/{n}" for n in range(150)]
KILLS = 20
DELAY = 0.03
# Runs of a few captures each, so that some kills come in the midst of a commit.
CHILD = """
import raw.crawl.journal
raw.crawl.journal.CAPTURES_PER_RUN = 7
from raw.crawl.__main__ import main
main()
"""
# As on a full disk: no file grows over this size.
FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
from raw.crawl.__main__ import main
main()
"""
PARENT = """
import json, sys
from pathlib import Path
from raw.crawl.crawl import crawl
from raw.crawl.definition import Definition
told = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(sys.argv[2]).items()}
crawl(Path(sys.argv[1]), Definition(**told), lambda _: None)
"""


def start(
    home: Path, site: Site, pages: list[str] = PAGES, code: str = CHILD, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """The crawl's own process; a group of its own."""
    told = asdict(definition(site, pages, delay=DELAY))
    job = {"home": str(home), "definition": told, "restart": False, "parent": os.getpid()}
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=stdout, start_new_session=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps(job).encode())
    child.stdin.close()
    return child


def wait_for(site: Site, requests: int, *processes: subprocess.Popen[bytes]) -> None:
    """Until the site was asked so often, or the process has ended."""
    until = time.monotonic() + 120
    while len(site.log) < requests and all(process.poll() is None for process in processes):
        assert time.monotonic() < until, "the crawl asks for nothing"
        time.sleep(0.005)


def test_a_crawl_killed_20_times_holds_every_page_once_and_is_never_damaged(tmp_path: Path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    with serving({path: page(f"Synthetic {path}") for path in PAGES}) as site:
        for _ in range(KILLS):
            before = len(site.log)
            child = start(tmp_path, site)
            wait_for(site, before + 1, child)
            time.sleep(moments.uniform(0, 0.2))
            assert child.poll() is None, "the crawl ended before it was killed"
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            assert verify(tmp_path).faults == []
            captures(tmp_path)
        assert start(tmp_path, site).wait() == 0

        rows = captures(tmp_path)
        asked = Counter(path for path in site.paths() if path != "/robots.txt")
    assert Counter(row["url"] for row in rows) == Counter(site.url(path) for path in PAGES)
    assert asked.keys() == set(PAGES)
    assert sum(asked.values()) <= len(PAGES) + KILLS, "only what was under way is asked for again"
    (record,) = read_crawls(tmp_path)
    assert (record.complete, record.asked, record.captured) == (True, 150, 150)
    assert set(record.run_ids) == {row["run_id"] for row in rows}
    assert names_left(tmp_path) == []
    assert verify(tmp_path).waiting == ()


def test_the_crawl_stops_in_good_order_when_the_process_that_asked_for_it_is_killed(tmp_path: Path):
    with serving({path: page(f"Synthetic {path}") for path in PAGES}) as site:
        told = json.dumps(asdict(definition(site, PAGES, delay=DELAY)))
        parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), told])
        wait_for(site, 10, parent)
        (child,) = psutil.Process(parent.pid).children()
        assert not [socket for socket in child.net_connections("inet") if socket.status == psutil.CONN_LISTEN]
        parent.kill()
        parent.wait()
        child.wait(60)
        asked = len(site.log)

        rows = captures(tmp_path)
        assert len(rows) >= 8
        assert asked - 1 - len(rows) <= 1
        assert names_left(tmp_path) == []
        (record,) = read_crawls(tmp_path)
        assert (record.finished_at, record.captured) == (None, len(rows))
        assert len(list(index_folder(tmp_path).iterdir())) == 1


def test_a_full_disk_ends_the_crawl_with_its_own_error_and_what_came_before_is_kept(tmp_path: Path):
    pages = PAGES[:25]
    noise = random.Random(1)
    with serving({path: answer(200, noise.randbytes(3000)) for path in pages}) as site:
        child = start(tmp_path, site, pages, FULL_DISK, subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout as stdout:
            said = stdout.read()
        child.wait()
        error = pickle.loads(base64.b64decode(json.loads(said.splitlines()[-1])["error"]))
        asked = len(site.log) - 1

        assert isinstance(error, OSError)
        assert error.errno == errno.EFBIG
        assert verify(tmp_path).faults == []
        assert start(tmp_path, site, pages).wait() == 0
        assert len(site.log) - 2 - asked == len(pages) - (asked - 1)
    assert Counter(row["url"] for row in captures(tmp_path)) == Counter(site.url(path) for path in pages)
    assert names_left(tmp_path) == []
