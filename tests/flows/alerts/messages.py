"""Messages for tests: items as a run makes them, of invented codes and words, and hostile words to put into them."""

import datetime as dt
import hashlib

from flows.alerts.message import Condition, Item, Message

SEEN = dt.datetime(2026, 1, 12, 6, 0, tzinfo=dt.UTC)
MADE = dt.datetime(2026, 1, 12, 6, 5, tzinfo=dt.UTC)
BEFORE, AFTER = "20260105T071040Z-07d11ba9", "20260112T060000Z-bcd80f3c"
SEVERITY = {"code_added": "critical", "code_deleted": "critical", "code_reinstated": "critical"}
SEVERITY |= {"descriptor_changed": "warning", "indicator_changed": "warning"}

# What a page may hold to become more than text, in any of the formats.
HOSTILE = (
    "<script>alert(1)</script>", "</td></tr></table>", "<img src=x onerror=alert(2)>", "<style>*{color:red}</style>",
    '"><a href="javascript:alert(3)">x</a>', "<!--", "-->", "]]>", "&lt;b&gt;", "&#x3c;b&#x3e;", "&", "<", ">", "'",
    '"', "**", "__", "_x_", "~~", "`", "```", "[x](javascript:alert(4))", "![x](http://127.0.0.1:1/x)",
    "<http://a.example>", "http://a.example/x", "www.a.example", "[x]: http://a.example", "|", "| - |", "---", "===",
    "# x", "> x", "- x", "* x", "+ x", "1. x", "1) x", "    x", "\\", "\\\\", "\\*", "@here", "@everyone",
    "<!channel>", "<!here|x>", "<@U123>", ":boom:", "a@b.example", "{{ 7 * 7 }}", "{% raw %}", "{#", "[-x-]", "{+x+}",
    "\n", "\r\n", "\n\n", "\n--\nmessage x", "\t", "\x00", "\x1b[31m", "\x9b2J", "\u202e", "\u2066", "\u200b",
    "\ufeff", "\u2028", "\u0085", "\xad", "\U000e0041", "\ufffe", "\ud800", "W" * 300, "é", "א", "漢", "😀", " ", "x",
)  # fmt: skip


def item(code: str = "20610", change_type: str = "indicator_changed", **values: object) -> Item:
    event_id = hashlib.md5(repr((code, change_type, sorted(values.items()))).encode("utf-8", "replace")).hexdigest()
    usual = {
        "event_id": event_id,
        "event_ids": (event_id,),
        "change_type": change_type,
        "cause": "source",
        "severity": SEVERITY.get(change_type, "info"),
        "code": code,
        "category": "I",
        "title": None,
        "sources": ("codingahead",),
        "column": None,
        "what": "code" if change_type.startswith("code_") else "indicator mue",
        "before": None,
        "after": None,
        "withheld_text": False,
        "effective_on": None,
        "seen_at": SEEN,
        "url": f"https://www.codingahead.com/cpt/codes/{code}",
        "document_id": hashlib.sha256(code.encode()).hexdigest(),
        "replaced_by": (),
        "snapshot_id": AFTER,
        "parent_snapshot_id": BEFORE,
    }
    return Item(**(usual | values))  # type: ignore[arg-type]


def users(*items: Item, **values: object) -> Message:
    usual = {"audience": "users", "rule": "default", "made_at": MADE, "as_of": SEEN, "snapshot_ids": (AFTER,)}
    message_id = "msg_" + hashlib.md5("".join(one.event_id for one in items).encode()).hexdigest()
    return Message(**({"message_id": message_id, "items": items} | usual | values))  # type: ignore[arg-type]


def condition(kind: str = "suspect", subject: str | None = "openpayer", **values: object) -> Condition:
    usual = {
        "name": f"{kind}:{subject}" if subject else kind,
        "severity": "warning",
        "began_at": SEEN,
        "ended_at": None,
        "what": f"Source {subject} is suspect: 12 of 40 pages could be read (30%; 80% are needed).",
        "advice": f"Fetch them again, or let it pass: cptflow run --accept floor:{subject}.",
        "run_id": "20260112T060000Z-ab12",
    }
    return Condition(**({"kind": kind, "subject": subject} | usual | values))  # type: ignore[arg-type]


def operators(*conditions: Condition, **values: object) -> Message:
    usual = {"audience": "operators", "rule": "operators", "made_at": MADE, "as_of": None, "snapshot_ids": ()}
    return Message(**({"message_id": "msg_of_operators", "conditions": conditions} | usual | values))  # type: ignore[arg-type]


def openpayer(code: str) -> dict[str, object]:
    return {"sources": ("openpayer",), "url": f"https://openpayer.com/codes/{code}"}


def realistic() -> Message:
    """A message as a billing team may get it on a Monday."""
    injection, tracing = "Synthetic Injection Into a Large Joint", "Synthetic Heart Tracing With Report and Signature"
    long = "Synthetic descriptor for a test joint step, as this sample invents it"
    revised = "Synthetic descriptor for a test joint step, revised: with a synthetic reading and a record of it"
    return users(
        item("20610", what="indicator mue", column="mue", before="2", after="1", title=injection),
        item("20610", "descriptor_changed", what="descriptor long", before=long, after=revised, title=injection),
        item(
            "0714T",
            "code_deleted",
            effective_on=dt.date(2026, 1, 1),
            replaced_by=("0738T",),
            title="Synthetic beam of a test field",
        ),
        item("0738T", "code_added", effective_on=dt.date(2026, 1, 1), title="Synthetic plan of a test field"),
        item(
            "29881",
            "code_added",
            effective_on=dt.date(2005, 1, 1),
            title="Synthetic Knee Arthroscopy",
            **openpayer("29881"),
        ),
        item(
            "93000",
            "descriptor_changed",
            what="descriptor title",
            before="Synthetic Tracing With Report",
            after=tracing,
            title=tracing,
            **openpayer("93000"),
        ),
        more={"indicator_changed": 20, "descriptor_changed": 3},
        more_at=f"cptflow changes {BEFORE} {AFTER}",
    )
