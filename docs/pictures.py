"""`make docs` draws docs/img: the end of the main job on the sample pages as a terminal shows it (run.svg), and, where
Chromium is there to open them, the top of a quality report of them (quality.png) and the alert of them (alert.png)."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from flows.alerts.outbox import open_outbox
from flows.alerts.render import render

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 150, 200
# Rich's picture of a terminal, without the fonts that it would load from another host.
TEMPLATE = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
TEMPLATE = TEMPLATE.replace("<svg ", '<svg xml:space="preserve" ', 1)


def on_a_terminal(command: list[str]) -> str:
    """What ``command`` writes to standard output when that is a terminal, colours and all."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT)
    os.close(theirs)
    parts = []
    try:
        while data := os.read(ours, 65536):
            parts.append(data)
    except OSError:  # Linux: the other end is closed
        pass
    if process.wait():
        sys.exit(f"{command} ended with {process.returncode}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def draw(text: str, title: str, path: Path) -> None:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(Text.from_ansi(text.rstrip("\n")))
    console.save_svg(str(path), title=title, unique_id="cptflow", code_format=TEMPLATE)


def photograph(place: Path, images: Path) -> None:
    """The alert, and the top of the report; the first sample pages come in three parts, so that there are trends."""
    if not (chromium := shutil.which("chromium")):
        sys.stderr.write("quality.png and alert.png stay as they are: there is no chromium to open them with.\n")
        return
    first, *later = sorted((ROOT / "raw/samples").iterdir())
    parts = [*_thirds(first, place), *later]
    command = [Path(sys.executable).with_name("cptflow"), "run", "--each", *parts, "--home", place / "data"]
    subprocess.run(command, check=True, capture_output=True)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1200, "height": 1120}, color_scheme="light")
        page.goto((place / "data/warehouse/docs/quality.html").as_uri())
        page.screenshot(path=images / "quality.png")
        page = browser.new_page(viewport={"width": 760, "height": 1000}, color_scheme="light")
        page.set_content(_alert(place / "data"))
        page.screenshot(path=images / "alert.png", full_page=True)
        browser.close()


def _alert(home: Path) -> str:
    """The newest message that the home's rules made, as HTML."""
    with open_outbox(home) as outbox:
        return render(outbox.messages(1)[0]).html


def _thirds(sample: Path, place: Path) -> list[Path]:
    """Folders with a third, two thirds and all of a folder of sample pages."""
    lines = (sample / "manifest.jsonl").read_text("utf-8").splitlines(keepends=True)
    folders = []
    for part in (1, 2, 3):
        folders.append(place / f"{sample.name}-{part}")
        folders[-1].mkdir()
        kept = lines[: len(lines) * part // 3]
        for line in kept:
            shutil.copy(sample / json.loads(line)["file"], folders[-1])
        (folders[-1] / "manifest.jsonl").write_text("".join(kept), "utf-8")
    return folders


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        samples = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "raw/samples").iterdir())]
        command = [str(Path(sys.executable).with_name("cptflow")), "run", "--each", *samples, "--home"]
        shown = on_a_terminal([*command, f"{folder}/data"]).replace(folder + "/", "").replace(f"{ROOT}/", "")
    last = shown.index("Run ", shown.index("This is the home's first snapshot"))
    (ROOT / "docs/img").mkdir(exist_ok=True)
    draw(shown[last:], "make run", ROOT / "docs/img/run.svg")
    with tempfile.TemporaryDirectory() as folder:
        photograph(Path(folder), ROOT / "docs/img")


if __name__ == "__main__":
    main()
