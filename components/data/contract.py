"""The data contract, as a Great Expectations suite.

Decides which rows fail and why, and what is only a warning. Works on the table of `components.data.checks`, not on
files; the only module that imports great_expectations.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from components.data.checks import SIDES, label_sets, nullable, optional
from components.data.pages import BODY, page, shielded
from components.data.texts import listed
from components.data.tokens import TokenLimit
from components.errors import DataError
from components.params import Workload

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

LISTED_LABELS = 10
REPEATED = "input is repeated"


@dataclass(frozen=True)
class Failure:
    """Why a row is refused: reports count by `rule`; `reason` has the value."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """The result of validation: failures by index, warnings as sentences, Data Docs as an HTML page."""

    failures: dict[int, tuple[Failure, ...]]
    warnings: tuple[str, ...]
    page: str


def validate(table: pd.DataFrame, workload: Workload, limits: Sequence[TokenLimit] = ()) -> Findings:
    """Validate a table of `checks.tabulate`, made with the same limits, against the workload's contract.

    Raises:
        DataError: A check failed to run; no row passes unchecked.
    """
    sides = _of_answers(table, workload) if workload.agent is None else _of_tries()
    expectations = [*_of_rows(table, workload), *_of_tokens(limits), *sides]
    result = _run(table, [*expectations, *_of_balance(table, workload)])
    failures: dict[int, dict[Failure, None]] = {}
    warnings: list[str] = []
    for outcome in result.results:
        meta: dict[str, str] = outcome.expectation_config.meta
        if outcome.success:
            continue
        if "warning" in meta:
            warnings.append(_warning(meta["warning"], table, workload))
            continue
        for place, value in _unexpected(outcome):
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            reason = meta["reason"].replace("{value}", shown).replace("{length}", f"{len(str(value)):,}")
            failures.setdefault(place, {})[Failure(meta["rule"], reason)] = None
    ordered = {place: tuple(failures[place]) for place in sorted(failures)}
    return Findings(ordered, tuple(sorted(warnings)), _render(result))


def _of_rows(table: pd.DataFrame, workload: Workload) -> Iterator["Expectation"]:
    """Checks of columns, ids, inputs, repetitions and leaks."""
    from great_expectations import expectations as gxe

    longest = workload.validation.max_input_characters
    needed = [name for name in table.columns if name in ("id", "input") or name.startswith("input.")]
    yield gxe.ExpectTableColumnsToMatchSet(column_set=needed, exact_match=False, meta={"rule": "column is missing"})
    yield gxe.ExpectColumnValuesToNotBeNull(column="id", meta=_meta("id is empty", "id is empty"))
    yield gxe.ExpectColumnValuesToBeUnique(column="id", meta=_meta("id is repeated", "id {value} is repeated"))
    yield gxe.ExpectColumnValuesToNotBeNull(column="input", meta=_meta("input is empty", "input is empty"))
    yield gxe.ExpectColumnValueLengthsToBeBetween(
        column="input",
        max_value=longest,
        meta=_meta("input is too long", f"input has {{length}} characters, more than {longest:,}"),
    )
    yield gxe.ExpectColumnValuesToBeNull(
        column="repeats",
        description="No row repeats the input of another.",
        meta=_meta(REPEATED, "input {value}"),
    )
    yield gxe.ExpectColumnValuesToBeNull(
        column="straddles",
        description="No row is a near-duplicate, or of the group, of a row in a stricter split.",
        meta=_meta("leaks into an evaluation split", "{value}"),
    )


def _of_tokens(limits: Sequence[TokenLimit]) -> Iterator["Expectation"]:
    """Checks of prompt and answer against token limits."""
    from great_expectations import expectations as gxe

    for limit in limits:
        reason = f"prompt and answer have {{value}} tokens, more than {limit.most:,} ({limit.name})"
        yield gxe.ExpectColumnValuesToBeBetween(
            column=f"tokens.{limit.name}",
            max_value=limit.most,
            meta=_meta(f"prompt and answer are too long ({limit.name})", reason),
        )


def _of_answers(table: pd.DataFrame, workload: Workload) -> Iterator["Expectation"]:
    """Checks of both sides' answers against the JSON Schema: labels directly, the rest by a validator's findings."""
    from great_expectations import expectations as gxe

    labels = label_sets(workload)
    for side in SIDES:
        suffix = "" if side == "demonstration" else " (reference)"
        for field in workload.fields:
            rule = f"{field} does not match the schema{suffix}"
            column = f"{side}.{field}"
            if column in table:
                unknown = f"{field} is '{{value}}', not one of the {len(labels[field])} labels{suffix}"
                yield gxe.ExpectColumnValuesToBeInSet(column=column, value_set=labels[field], meta=_meta(rule, unknown))
                if not nullable(workload, field) and not optional(workload, field):
                    meta = _meta(rule, f"{field} is empty{suffix}")
                    yield gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta)
            elif f"problem.{side}.{field}" in table:
                yield gxe.ExpectColumnValuesToBeNull(
                    column=f"problem.{side}.{field}",
                    description=f"{field} matches the JSON Schema.",
                    meta=_meta(rule, f"{field}: {{value}}{suffix}"),
                )
        if f"problem.{side}" in table:
            yield gxe.ExpectColumnValuesToBeNull(
                column=f"problem.{side}",
                description="The answer as a whole matches the JSON Schema.",
                meta=_meta(f"answer does not match the schema{suffix}", f"answer: {{value}}{suffix}"),
            )


def _of_tries() -> Iterator["Expectation"]:
    """The demonstrations of an agent's tasks."""
    from great_expectations import expectations as gxe

    yield gxe.ExpectColumnValuesToBeNull(
        column="problem.demonstration",
        description="The demonstration is a try with turns of the assistant and the schemas of the tools it calls.",
        meta=_meta("demonstration is not a try", "demonstration: {value}"),
    )


def _of_balance(table: pd.DataFrame, workload: Workload) -> Iterator["Expectation"]:
    """Warnings about partly empty inputs and rare or absent labels."""
    from great_expectations import expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    warning = FailureSeverity.WARNING
    inputs = [name for name in table.columns if name.startswith("input.")]
    for name in inputs if len(inputs) > 1 else ():
        meta = {"warning": name}
        yield gxe.ExpectColumnValuesToNotBeNull(column=name, severity=warning, meta=meta)
    for field, labels in label_sets(workload).items():
        column = f"demonstration.{field}"
        rarest, meta = workload.validation.rare_label_share, {"warning": column}
        yield gxe.ExpectColumnDistinctValuesToContainSet(
            column=column, value_set=labels, severity=warning, meta={"warning": f"{column}.absent"}
        )
        yield gxe.ExpectColumnValuesToBeBetween(column=f"{column}.share", min_value=rarest, severity=warning, meta=meta)


def _meta(rule: str, reason: str) -> dict[str, str]:
    """An expectation's rule and reason for failing rows; {value} and {length} are filled in from the cell."""
    return {"rule": rule, "reason": reason}


def _run(table: pd.DataFrame, expectations: list["Expectation"]) -> Any:
    """The suite's validation result, with the indices of failing rows."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read on import
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # It logs each temporary folder; the module sets its own level on import.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite("contract", expectations=expectations))
    definition: Any = gx.ValidationDefinition(name="contract", data=batch, suite=suite)
    complete = {"result_format": "COMPLETE", "unexpected_index_column_names": ["row", "where"]}
    return context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table}, result_format=complete
    )


def _unexpected(outcome: Any) -> Iterator[tuple[int, Any]]:
    """The index and value of each row that failed an expectation."""
    rows = outcome.result.get("unexpected_index_list")
    if not rows:
        check = f"{outcome.expectation_config.type} {outcome.expectation_config.kwargs.get('column', '')}"
        raise DataError(f"expected the check {check} to name failing rows, found none: {outcome.exception_info}")
    for row in rows:
        yield int(row["row"]), next((value for name, value in row.items() if name not in ("row", "where")), None)


def _warning(subject: str, table: pd.DataFrame, workload: Workload) -> str:
    """A sentence about partly empty inputs, absent labels or rare labels."""
    n = len(table)
    if subject.startswith("input."):
        return f"{subject.removeprefix('input.')}: empty in {int(table[subject].isna().sum()):,} of {n:,} rows"
    column = subject.removesuffix(".absent")
    field = column.removeprefix("demonstration.")
    counts: dict[str, int] = table[column].value_counts().to_dict()
    labels = label_sets(workload)[field]
    if subject.endswith(".absent"):
        return f"{field}: no row has {listed([label for label in labels if label not in counts], LISTED_LABELS)}"
    rarest = workload.validation.rare_label_share
    rare = [f"{label} ({counts[label]})" for label in labels if 0 < counts.get(label, 0) < rarest * n]
    return f"{field}: fewer than {rarest:.2%} of {n:,} rows have {listed(rare, LISTED_LABELS)}"


def _render(result: Any) -> str:
    """The Data Docs page of a validation result, readable offline; the result cannot be used afterwards."""
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import ChoiceLoader, DictLoader

    for outcome in result.results:
        outcome.result = shielded(outcome.result)
        outcome.exception_info = shielded(outcome.exception_info)
        outcome.expectation_config.kwargs = shielded(outcome.expectation_config.kwargs)
        outcome.expectation_config.description = shielded(outcome.expectation_config.description)
    view: Any = DefaultJinjaPageView()
    view.env.loader = ChoiceLoader([DictLoader({"page.j2": BODY}), view.env.loader])
    return page(view.render(ValidationResultsPageRenderer().render(result)))
