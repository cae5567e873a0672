"""The stage `data`: turns a workload's source into four files of examples, quarantined rows and a report.

Decides the order of the steps and when a source is refused as a whole; each step has its own module. Everything is
written to a temporary folder first, so that a failure leaves the old output intact.
"""

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.data.checks import (
    OTHER_ANSWER,
    known_already,
    read_answers,
    repeated_inputs,
    similar_rows,
    tabulate,
    wrongly_answered,
)
from components.data.contract import REPEATED, Failure, Findings, validate
from components.data.labels import with_mended_labels
from components.data.remarks import of_known, of_labels, of_leaks, of_repeats
from components.data.report import DataReport
from components.data.sources import Row, read
from components.data.split import Places, TooFewRowsError, assign, joined, leaked
from components.data.tokens import TokenLimit
from components.errors import ConfigError, DataError
from components.params import SPLITS, GeneratedSource, SplitName, Workload
from components.records import DataSummary, Example, Record, write_jsonl, write_record
from components.tracking import Tracker

# Rows drawn from a generator, as a multiple of its sizes, to allow for groups and refused rows.
SURPLUSES = (1.05, 1.5, 4.0)
logger = logging.getLogger(__name__)
Draw = Callable[[SplitName, Sequence[Example]], Sequence[int]]


class Quarantined(Record):
    """A refused row; `where` is its file and line."""

    where: str
    example: Example
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Taken:
    """The part of a source to use: rows within the limits and, from each split, the indices from `draw`.

    The whole source is split before drawing; None takes all.
    """

    limits: Sequence[TokenLimit] = ()
    draw: Draw | None = None


ALL = Taken()


@dataclass(frozen=True)
class Prepared:
    """A validated and split source; splits are indices into `rows`, `known` are harvested ones that it has by now."""

    rows: Sequence[Row]
    findings: Findings
    repeats: Mapping[int, str]
    known: Mapping[int, str]
    alike: Sequence[int]
    splits: Places
    leaked: dict[SplitName, int]


def prepare(workload: Workload, folder: Path, out: Path, tracker: Tracker, taken: Taken = ALL) -> DataReport:
    """Read, validate and split a workload's data; `folder` is data/<workload>/.

    Writes to `out`: {train,dev,test,sealed}.jsonl, quarantine.jsonl, report.json and data_docs/index.html.

    Raises:
        ConfigError: The source's settings do not match its data, or contradict each other.
        DataError: The source cannot be read, too many rows are refused, or a split is empty. Nothing is written then.
    """
    _refuse_contradiction(workload)
    prepared = _prepare(workload, folder, taken.limits)
    if taken.draw is not None:
        prepared = replace(prepared, splits=_drawn(prepared, taken.draw))
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)  # left by a killed run
    try:
        report = _write(prepared, workload, part)
        _replace(out, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _tell(report, out, tracker)
    return report


def _refuse_contradiction(workload: Workload) -> None:
    """Refuse to leave out conflicting rows where all rows are kept."""
    conflicts = workload.validation.conflicting_inputs
    if workload.validation.leakage == "report" and conflicts != "first":
        raise ConfigError(
            f"expected no validation.conflicting_inputs beside `leakage: report`, which keeps rows that repeat inputs, "
            f"found `{conflicts}` (workload {workload.name})"
        )


def _drawn(prepared: Prepared, draw: Draw) -> Places:
    """The drawn part of each split."""
    rows = prepared.rows
    return {
        split: [indices[number] for number in draw(split, [rows[index].example for index in indices])]
        for split, indices in prepared.splits.items()
    }


def _prepare(workload: Workload, folder: Path, limits: Sequence[TokenLimit]) -> Prepared:
    """Read, validate and split; from a generator, draw as many rows as the sizes need."""
    if not isinstance(workload.source, GeneratedSource):
        return _check_and_split(read(workload, folder), workload, folder, limits)
    for surplus in SURPLUSES[:-1]:
        try:
            return _check_and_split(read(workload, folder, surplus), workload, folder, limits)
        except TooFewRowsError as error:
            logger.info("Generating more rows: %s.", error)
    return _check_and_split(read(workload, folder, SURPLUSES[-1]), workload, folder, limits)


def _check_and_split(rows: Sequence[Row], workload: Workload, folder: Path, limits: Sequence[TokenLimit]) -> Prepared:
    if workload.validation.mend_labels:
        rows = with_mended_labels(rows, workload)
    removed = workload.validation.leakage == "remove"
    answers = read_answers(rows, workload)
    wrong = wrongly_answered(rows, answers)
    repeats = repeated_inputs(rows, workload.validation.conflicting_inputs, wrong) if removed else {}
    left_out, threshold = wrong | repeats.keys(), workload.validation.near_duplicate_similarity
    known = known_already(rows, left_out, threshold)
    left_out |= known.keys()
    alike = similar_rows(rows, left_out, threshold)
    findings = validate(tabulate(rows, {**known, **repeats}, alike, workload, limits, answers), workload, limits)
    _refuse_too_many(findings, rows, _counted_repeats(rows, repeats, wrong, workload), workload, folder)
    passed = [index for index in range(len(rows)) if index not in findings.failures]
    splits = _assign(rows, passed, _without_harvest(rows, left_out, alike, workload), workload)
    return Prepared(rows, findings, repeats, known, alike, splits, {} if removed else leaked(rows, alike))


def _without_harvest(
    rows: Sequence[Row], left_out: Collection[int], alike: Sequence[int], workload: Workload
) -> Sequence[int]:
    """Similarity among only the source's own rows, so that harvests do not affect their splits."""
    own = _own(rows)
    if own == len(rows):
        return alike
    return similar_rows(rows[:own], left_out, workload.validation.near_duplicate_similarity)


def _own(rows: Sequence[Row]) -> int:
    """The number of the source's own rows, which come before harvests."""
    return next((place for place, row in enumerate(rows) if row.harvested), len(rows))


def _assign(rows: Sequence[Row], passed: Sequence[int], alike: Sequence[int], workload: Workload) -> Places:
    """Split the source's own rows as if there were no harvests; harvested rows have their split already."""
    end = _own(rows)
    own = [index for index in passed if index < end]
    splits = assign([rows[index] for index in own], [alike[index] for index in own], workload)
    added = {split: [index for index in passed[len(own) :] if rows[index].part == split] for split in SPLITS}
    return {split: [*(own[number] for number in splits[split]), *added[split]] for split in SPLITS}


def _counted_repeats(
    rows: Sequence[Row], repeats: Mapping[int, str], wrong: Collection[int], workload: Workload
) -> set[int]:
    """Rows that count as refused for their input, on request: the source's own that repeat each other, and conflicts.

    That production was asked and answered the same is nobody's fault.
    """
    if workload.validation.conflicting_inputs != "refuse":
        return set()
    conflicts = {place for place, reason in repeats.items() if reason.endswith(OTHER_ANSWER)}
    return conflicts | repeated_inputs(rows[: _own(rows)], wrong=wrong).keys()


def _refuse_too_many(
    findings: Findings, rows: Sequence[Row], repeats: Collection[int], workload: Workload, folder: Path
) -> None:
    """Refuse the whole source if too large a share of its rows is refused.

    Rows that only repeat another's input are left out and reported; of them only `repeats` count.
    """
    counted = {
        index: why
        for index, why in findings.failures.items()
        if index in repeats or {failure.rule for failure in why} != {REPEATED}
    }
    most, n = workload.validation.max_quarantined_share, len(counted)
    if n <= most * len(rows):
        return
    first: dict[str, str] = {}
    for place, failures in counted.items():
        for failure in failures:
            first.setdefault(failure.rule, f"{failure.reason} at {rows[place].where}")
    counts = ", ".join(f"{rule}: {count:,} ({first[rule]})" for rule, count in _counts(counted).items())
    raise DataError(
        f"expected at most {most:.1%} of the rows to be refused (validation.max_quarantined_share), "
        f"found {n:,} of {len(rows):,}: {counts} ({folder})"
    )


def _counts(refused: Mapping[int, Sequence[Failure]]) -> dict[str, int]:
    """The number of refused rows by rule, the most frequent first."""
    rules = Counter(rule for failures in refused.values() for rule in {failure.rule for failure in failures})
    return dict(sorted(rules.items(), key=lambda item: (-item[1], item[0])))


def _write(prepared: Prepared, workload: Workload, folder: Path) -> DataReport:
    """Write all outputs to a new folder."""
    rows, findings = prepared.rows, prepared.findings
    for split, indices in prepared.splits.items():
        write_jsonl(folder / f"{split}.jsonl", joined(rows, prepared.alike, indices, split))
    write_jsonl(folder / "quarantine.jsonl", _quarantined(rows, findings.failures))
    (folder / "data_docs").mkdir()
    (folder / "data_docs" / "index.html").write_text(findings.page, encoding="utf-8")
    report = DataReport(
        workload=workload.name,
        rows=len(rows),
        summary=_summary(prepared, folder, compared=workload.agent is None),
        quarantined=_counts(findings.failures),
        near_duplicates=sum(first != place for place, first in enumerate(prepared.alike)),
        warnings=(*findings.warnings, *remarks(prepared, workload)),
        leaked=prepared.leaked,
    )
    write_record(folder / "report.json", report)
    return report


def remarks(prepared: Prepared, workload: Workload) -> list[str]:
    """Remarks about the data, besides the contract's warnings."""
    rows, conflicts = prepared.rows, workload.validation.conflicting_inputs
    return [
        *of_repeats(rows, prepared.repeats, conflicts),
        *of_known(prepared.known),
        *of_labels(rows, prepared.splits, workload),
        *of_leaks(rows, prepared.leaked),
    ]


def _quarantined(rows: Sequence[Row], failures: dict[int, tuple[Failure, ...]]) -> list[Quarantined]:
    return [
        Quarantined(where=rows[place].where, example=rows[place].example, reasons=tuple(f.reason for f in reasons))
        for place, reasons in failures.items()
    ]


def _summary(prepared: Prepared, folder: Path, *, compared: bool) -> DataSummary:
    """Sizes and version; `compared` says whether demonstrations can be compared with references."""
    examples = [prepared.rows[index].example for indices in prepared.splits.values() for index in indices]
    right = [example.demonstration == example.reference for example in examples]
    sizes = {split: len(indices) for split, indices in prepared.splits.items()}
    return DataSummary(
        version=_version(folder / f"{split}.jsonl" for split in SPLITS),
        **sizes,
        quarantined=len(prepared.findings.failures),
        demonstration_accuracy=sum(right) / len(right) if compared else None,
    )


def _version(files: Iterable[Path]) -> str:
    """A hash of the names and contents of the files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()};".encode())
    return digest.hexdigest()[:16]


def _replace(out: Path, part: Path) -> None:
    """Replace an older folder by a finished one."""
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.replace(old)
    part.replace(out)
    shutil.rmtree(old, ignore_errors=True)


def _tell(report: DataReport, out: Path, tracker: Tracker) -> None:
    """Log a summary and the warnings, and record the numbers."""
    summary = report.summary
    sizes = {split: int(getattr(summary, split)) for split in SPLITS}
    listed = ", ".join(f"{n:,} {split}" for split, n in sizes.items())
    logger.info("%s: %s; %s rows refused (%s).", report.workload, listed, summary.quarantined, out / "quarantine.jsonl")
    for warning in report.warnings:
        logger.warning("%s: %s.", report.workload, warning)
    numbers = {**sizes, "rows": report.rows, "quarantined": summary.quarantined}
    tracker.params({"data.version": summary.version})
    tracker.metrics({f"data/{name}": float(n) for name, n in numbers.items()})
    if summary.demonstration_accuracy is not None:
        tracker.metrics({"data/demonstration_accuracy": summary.demonstration_accuracy})
    tracker.artifact(out / "report.json", "data")
    tracker.artifact(out / "data_docs", "data")
