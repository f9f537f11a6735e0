"""`make docs` draws docs/img/prefect.png: the alert of the sample pages in Prefect's UI, as `make serve` shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parent.parent
T = TypeVar("T")


def photograph(place: Path, target: Path, chromium: str) -> None:
    cptflow = Path(sys.executable).with_name("cptflow")
    for sample in sorted((ROOT / "raw/samples").iterdir()):
        subprocess.run([cptflow, "run", sample, "--home", place / "data"], check=True, capture_output=True)
    command, said = [cptflow, "serve", "--now", "--home", place / "data"], place / "said"
    with said.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as serving:
        try:
            address = wait_for(lambda: re.search(r"Prefect UI: (\S+)", said.read_text()))[1]
            artifact = wait_for(lambda: latest_alert(address))
            open_and_draw(f"{address}/artifacts/artifact/{artifact}", target, chromium)
        finally:
            serving.terminate()


def latest_alert(address: str) -> str | None:
    wanted = json.dumps({"artifacts": {"key": {"any_": ["alerts"]}}}).encode()
    request = urllib.request.Request(f"{address}/api/artifacts/latest/filter", wanted)
    request.add_header("Content-Type", "application/json")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        found = json.load(answer)
    return str(found[0]["latest_id"]) if found else None


def open_and_draw(address: str, target: Path, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(address)
        for text in ("Alerts for users", "State Message"):
            page.get_by_text(text).first.wait_for(timeout=60_000)
        page.screenshot(path=target)
        browser.close()


def wait_for(found: Callable[[], T | None], seconds: float = 240) -> T:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (value := found()) is not None:
            return value
        time.sleep(1)
    sys.exit(f"Prefect showed nothing within {seconds} s.")


def main() -> None:
    if not (chromium := shutil.which("chromium")):
        sys.stderr.write("prefect.png stays as it is: there is no chromium to open the page with.\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        photograph(Path(folder), ROOT / "docs/img/prefect.png", chromium)


if __name__ == "__main__":
    main()
