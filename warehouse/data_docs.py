"""Great Expectations' own Data Docs, as an option beside the quality report: a site of the results of one run.

Its pages load scripts and styles from other hosts. They also put values of rows into their markup as they are, so
here every text is escaped before they are made (law 10).
"""

from __future__ import annotations

import datetime as dt
import html
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.gx import Results, open_context

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.data_context.types.resource_identifiers import ValidationResultIdentifier

# Of a result, what the pages show: the places of all rows are not among it, and may be many.
_SHOWN = (
    "observed_value",
    "element_count",
    "missing_count",
    "missing_percent",
    "unexpected_count",
    "unexpected_percent",
    "partial_unexpected_list",
)
_EXAMPLES = 20


def write_data_docs(folder: Path, results: Results, run_id: str, at: dt.datetime) -> Path:
    """Replace ``folder`` with the site of ``results``; returns its first page. Raises OSError."""
    for leftover in folder.parent.glob(f".{folder.name}-*"):  # of a killed run
        shutil.rmtree(leftover)
    making = folder.with_name(f".{folder.name}-{run_id}")
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(making.resolve())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
    }
    context = open_context({"cptflow": site})
    for table, by_rule in results.items():
        key, result = _stored(table, by_rule, run_id, at)
        context.validation_results_store.set(key=key, value=result)
    context.build_data_docs()
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)
    return folder / "index.html"


def _stored(
    table: str, by_rule: Mapping[str, Any], run_id: str, at: dt.datetime
) -> tuple[ValidationResultIdentifier, ExpectationSuiteValidationResult]:
    """The results of a table, under the key that Great Expectations looks them up by."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(run_name=run_id, run_time=at)
    shown = [_harmless(result) for result in by_rule.values()]
    good = sum(bool(result.success) for result in shown)
    result = ExpectationSuiteValidationResult(
        success=good == len(shown),
        results=shown,
        suite_name=table,
        statistics={
            "evaluated_expectations": len(shown),
            "successful_expectations": good,
            "unsuccessful_expectations": len(shown) - good,
            "success_percent": 100 * good / len(shown) if shown else None,
        },
        meta={"run_id": run, "active_batch_definition": {"data_asset_name": table, "batch_identifiers": {}}},
    )
    suite = ExpectationSuiteIdentifier(table)
    return ValidationResultIdentifier(expectation_suite_identifier=suite, run_id=run, batch_identifier=table), result


def _harmless(result: ExpectationValidationResult) -> ExpectationValidationResult:
    """A copy of one rule's result, cut to what is shown, with every text of a row escaped."""
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

    return ExpectationValidationResult(
        success=result.success,
        expectation_config=result.expectation_config,
        result={name: _escaped(value) for name, value in result.result.items() if name in _SHOWN},
        meta={},
        exception_info=result.exception_info,
    )


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(one) for one in value[:_EXAMPLES]]
    return value
