"""An invented site: a title, and one paragraph below the line that every page has."""

from __future__ import annotations

from parsers.page import Reading
from parsers.records import Descriptor, Narrative
from parsers.source import Coverage, Source


def read(reading: Reading) -> Coverage:
    """Title, `Synthetic facts`, one paragraph, `Synthetic end`."""
    texts = {block.text: block for block in reading.page.blocks}
    whole = "Synthetic end" in texts
    for block in reading.page.blocks:
        if block.text in ("Synthetic facts", "Synthetic end"):
            reading.set_aside(block, "section_heading")
        elif block.index == 0:
            reading.claim(block, Descriptor("title", block.text))
        else:
            reading.claim(block, Narrative("summary", 1, block.text))
    return Coverage(("descriptors", "narratives") if whole else (), () if whole else ("narratives cut off",), not whole)


SOURCE = Source(
    name="syntheticcodes",
    version=3,
    hosts=("codes.synthetic.example",),
    marks=(r"synthetic facts$", r"synthetic end$"),
    read=read,
    never_empty=("descriptors",),
)
