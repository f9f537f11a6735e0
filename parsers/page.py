"""A page as blocks, and the account of what became of each block (law 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from parsers.limits import MAX_RECORDS, Deadline, LimitExceeded
from parsers.records import ParseWarning, Record, Unmapped

_FIRST_CELL = 12  # characters at most of a date or a code, the first cells of tables
Kind = Literal["heading", "paragraph", "item", "pair", "row"]


@dataclass(frozen=True, slots=True)
class Block:
    """What a reader sees as one thing. ``cells``: the parts of a pair (key, value) or of a table row.

    ``table`` numbers the tables of a page from 1 (0: not in a table). ``chrome``: in the page's navigation, header or
    footer. ``cut``: the page ends inside this block.
    """

    index: int
    kind: Kind
    text: str
    cells: tuple[str, ...] = ()
    table: int = 0
    chrome: bool = False
    cut: bool = False

    @property
    def may_begin_row(self) -> bool:
        """Whether a text may have been cut inside a row before its first bar. Ex: "2023-01", "2"; not "Contact us"."""
        return not self.cells and len(self.text) <= _FIRST_CELL and " " not in self.text

    @property
    def parts(self) -> tuple[str, ...]:
        """The block's texts in reading order: its cells, or its one text."""
        return self.cells or (self.text,)


@dataclass(frozen=True, slots=True)
class Page:
    """A page read into blocks. ``truncated``: its form shows that it was cut off. ``open_item``: it ends with a bullet
    that has no text yet, which a source whose pages end in prose takes for the same."""

    url: str
    form: Literal["html", "text"]
    blocks: tuple[Block, ...]
    truncated: bool = False
    title: str = ""
    open_item: bool = False

    @property
    def ending(self) -> Block | None:
        """The last block of the content: where the page ends inside it, it was cut off there."""
        return next((block for block in reversed(self.blocks) if not block.chrome), None)


@dataclass(frozen=True, slots=True)
class _Claim:
    blocks: tuple[Block, ...]
    tables: frozenset[str]
    records: tuple[Record, ...]
    warnings: tuple[ParseWarning, ...]


@dataclass(slots=True)
class Reading:
    """One parser's account of one page: every block is claimed, set aside by a named rule, or left unmapped.

    Claims are settled at the end: those on a table that the page did not show whole are given back, and their blocks
    are unmapped. A block may be claimed more than once (a paragraph that is a narrative and names payers).
    """

    page: Page
    code: str
    deadline: Deadline = field(default_factory=Deadline)
    _claims: list[_Claim] = field(default_factory=list)
    _set_aside: dict[int, str] = field(default_factory=dict)
    _unmapped: set[int] = field(default_factory=set)

    def claim(
        self,
        blocks: Block | Sequence[Block],
        records: Record | Iterable[Record] = (),
        *,
        table: str | None = None,
        warnings: Iterable[ParseWarning] = (),
    ) -> None:
        """Make ``records`` of ``blocks``. ``table`` names the table of a claim that holds no record."""
        blocks = (blocks,) if isinstance(blocks, Block) else tuple(blocks)
        records = tuple(records) if isinstance(records, Iterable) else (records,)
        tables = frozenset(r.table for r in records) | ({table} if table else frozenset())
        self._claims.append(_Claim(blocks, tables, records, tuple(warnings)))

    def set_aside(self, block: Block, rule: str) -> None:
        """Leave ``block`` out of the records, for a reason with a name."""
        self._set_aside[block.index] = rule

    def tells(self, table: str) -> bool:
        """Whether a claim makes a row of ``table``, or warns of one."""
        return any(table in claim.tables and (claim.records or claim.warnings) for claim in self._claims)

    def leave_unmapped(self, block: Block) -> None:
        """List ``block`` as unmapped whatever else claims it: a record does not hold all of its words."""
        self._unmapped.add(block.index)

    def settle(self, covered: Iterable[str]) -> Settled:
        """The page's account, where only the tables in ``covered`` were seen whole.

        Raises `LimitExceeded` where the page makes more records than a page can have.
        """
        whole = frozenset(covered)
        records: list[Record] = []
        warnings: list[ParseWarning] = []
        claimed: set[int] = set()
        given_back = set(self._unmapped)
        self.deadline.check()
        for claim in self._claims:
            if claim.tables <= whole:
                records += claim.records
                warnings += claim.warnings
                claimed.update(b.index for b in claim.blocks)
            else:
                given_back.update(b.index for b in claim.blocks)
        claimed -= given_back
        if len(records) > MAX_RECORDS:
            raise LimitExceeded("records", MAX_RECORDS, len(records))
        rules = Counter[str]()
        unmapped = []
        for block in self.page.blocks:
            if block.index in claimed:
                continue
            rule = self._set_aside.get(block.index, "site_chrome" if block.chrome else "")
            if not rule or block.index in given_back:
                unmapped.append(Unmapped(block.index, block.kind, block.text))
            else:
                rules[rule] += 1
        return Settled(tuple(records), tuple(warnings), len(claimed), tuple(sorted(rules.items())), tuple(unmapped))


@dataclass(frozen=True, slots=True)
class Settled:
    """The account closed: ``claimed`` + the counts of ``rules`` + ``unmapped`` is the number of blocks."""

    records: tuple[Record, ...]
    warnings: tuple[ParseWarning, ...]
    claimed: int
    rules: tuple[tuple[str, int], ...]
    unmapped: tuple[Unmapped, ...]
