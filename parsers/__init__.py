"""One page in, records out. No I/O, no pandas, no Prefect: a parse depends on bytes, url and parser version alone."""

from parsers.parse import live, parse, result_for_status, result_too_large
from parsers.recognise import source_of
from parsers.records import ParseResult

__all__ = ["ParseResult", "live", "parse", "result_for_status", "result_too_large", "source_of"]
