"""One page in, records out. No I/O, no pandas, no Prefect: a parse depends on bytes, url and parser version alone."""

from parsers.parse import is_answer, live, parse, result_for_status, result_too_large
from parsers.recognise import source_of
from parsers.records import ParseResult
from parsers.registry import SourceError, sources

__all__ = [
    "ParseResult",
    "SourceError",
    "is_answer",
    "live",
    "parse",
    "result_for_status",
    "result_too_large",
    "source_of",
    "sources",
]
