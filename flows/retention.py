"""Commands that delete: by age and number, or because somebody asks to be forgotten."""

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from components.records import RouteName, choices_id
from flows.production import Workload

if TYPE_CHECKING:
    from components.params import RetentionParams

retention = typer.Typer(add_completion=False)
DAY_S = 86_400.0
MOST_SHORT = 20  # least characters of an id, and of a text that files are searched for
MOST_COMPLETIONS = 16  # of one request
# Folders of state/ with examples' ids, beside spools, lake and record: an advice's trials, answers of versions and at
# the gate, branches that are checked out, the watch's pages.
DERIVED = ("advice", "compare", "gate", "reproduce", "retrain", "watch")
PIECE = 16_000_000  # bytes of a file that are searched at once
_ID = re.compile(r"(chatcmpl-|resp_)[\w-]+")


@dataclass(frozen=True)
class Going:
    """Something to delete: its kind and name, how to remove it, and its size in bytes."""

    what: str
    which: str
    remove: Callable[[], object]
    size: int = 0


@retention.command("prune", epilog="Example: [bold]gradus prune triage --dry-run[/]")
def prune(
    workload: Workload,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
) -> None:
    """Delete what is older than the settings keep it, and merge the lake's files (params/pipeline.yaml, `retention`).

    Deletes days of the lake, traces in MLflow, files that were set aside, answers kept for comparisons, branches of
    retrainings, versions that no alias needs, and unused files in DVC's cache.
    """
    from rich.console import Console
    from rich.table import Table

    from components.params import Pipeline, load
    from components.stages.run import STATE
    from monitoring.lake import Lake
    from monitoring.upkeep import compact

    params = load(Path("params/pipeline.yaml"), Pipeline).retention
    going = list(all_going(workload, params, time.time()))
    table = Table("what", "which", "MB")
    for item in going:
        table.add_row(item.what, item.which, f"{item.size / 1e6:,.1f}" if item.size else "")
    Console(width=max(120, Console().width)).print(table)
    if dry_run:
        typer.echo(f"{len(going):,} would go; nothing was changed.")
        return
    for item in going:
        item.remove()
    merged = compact(Lake.of(STATE / "lake"), time.time())
    typer.echo(f"{len(going):,} went; {merged:,} files of the lake were merged into others.")


def all_going(workload: str, params: "RetentionParams", now: float) -> Iterator[Going]:
    """What the settings delete, in a safe order: a branch after the versions that were made from it."""
    from components.data.branches import drop_unnamed, old_branches, remove_branch
    from components.registry import commits, idle_versions, old_traces, remove_old_traces, remove_version
    from components.stages.run import STATE
    from monitoring.lake import Lake
    from monitoring.upkeep import old_days, remove_day

    lake = Lake.of(STATE / "lake")
    if params.lake_days is not None:
        for folder in old_days(lake, now - params.lake_days * DAY_S, workload):
            yield Going("day of the lake", str(folder), lambda folder=folder: remove_day(lake, folder), _size(folder))
    if params.trace_days is not None and (count := old_traces(workload, before := now - params.trace_days * DAY_S)):
        yield Going("traces in MLflow", f"{count:,} of {workload}", lambda: remove_old_traces(workload, before))
    aside = [*lake.broken, *(STATE / "spool" / workload).glob("*/*.corrupt")]
    yield from _files("set aside", aside, params.broken_days, now)
    compared = [path for path in (STATE / "compare").glob(f"{workload}-*/*/*.jsonl") if path.is_file()]
    yield from _files("kept answers", compared, params.compared_days, now)
    idle = [] if params.versions is None else idle_versions(workload, params.versions)
    for version in idle:
        size = _size(version.folder) if version.folder else 0
        yield Going("version", f"{workload}/{version.number}", lambda version=version: remove_version(version), size)
    if params.branches is not None:
        gone = {version.number for version in idle}
        needed = {commit for number, commit in commits(workload).items() if number not in gone}
        for branch in old_branches(Path.cwd(), workload, params.branches, needed):
            yield Going("branch", branch, lambda branch=branch: remove_branch(Path.cwd(), branch))
    if params.dvc_cache:
        yield Going("DVC's cache", "what no branch or tag names", lambda: drop_unnamed(Path.cwd()))


@retention.command("forget", epilog="Example: [bold]gradus forget triage chatcmpl-0123[/]")
def forget_request(
    workload: Workload,
    request: Annotated[str, typer.Argument(metavar="ID", help="The id that the answer had.")],
) -> None:
    """Remove a request with all its feedback and scores; reports what it could not remove. Safe to repeat.

    All answers to it are removed, whichever of them ID names, and earlier and later turns of its conversation, because
    they contain its text. Removes from spools, lake and MLflow's traces at once; from harvests too, as a change that
    you commit. A version of the data that was committed or sent to a remote is not changed.
    """
    from components.data.forgetting import without
    from components.data.harvest import HARVESTED
    from components.errors import ConfigError
    from components.registry import forget_rows, forget_traces
    from components.serving import forget_waiting, note
    from components.stages.run import STATE
    from flows.serve import FORGOTTEN
    from monitoring.lake import Lake
    from monitoring.upkeep import conversation, forget

    if not _ID.fullmatch(request) or len(request) < MOST_SHORT:
        raise ConfigError(f"expected the id of an answer, such as chatcmpl-…, found {request[:80]!r}")
    request, lake = choices_id(request), Lake.of(STATE / "lake")
    requests = sorted(conversation(lake, workload, request))
    if len(requests) > 1:
        typer.echo(f"conversation: {len(requests)} requests, {', '.join(requests)}")
    for turn in requests:
        note(FORGOTTEN, turn)
    folders = [folder for folder in (STATE / "spool" / workload).glob("*") if folder.is_dir()]
    waiting = [forget_waiting(folder, turn) for folder in folders for turn in requests]
    harvests = {path: gone for path in _harvests(workload) if (gone := without(path, lambda name: _of(name, requests)))}
    recorded = forget_traces(workload, {name for turn in requests for name in _names(turn)})
    rows = sum(forget_rows(workload, f"{HARVESTED}{turn}") for turn in requests)
    # The lake last, and the request itself last there: if this is interrupted, its conversation can still be found.
    traces = [*forget(lake, [turn for turn in requests if turn != request]), *forget(lake, [request])]
    typer.echo(
        f"spool: {sum(gone for gone, _ in waiting)} lines; lake: {len(traces)} traces; "
        f"MLflow: {recorded} traces, {rows} rows of evaluations"
    )
    for path in harvests:
        typer.echo(f"harvest: {path} (run dvc add on it and commit; {_pointer(path)} names the old one)")
    if held := sum(held for _, held in waiting):
        typer.echo(f"Not yet: {held} lines in a segment that a server writes; its next drain leaves them out.")
    for path in lake.broken:
        typer.echo(f"Not removed: {path}")
    for line in _left(workload, requests, _texts(chain(*harvests.values()))):
        typer.echo(line)
    if harvests:
        typer.echo("Not removed: what DVC's remote and other clones have of earlier data versions.")


def _names(request: str) -> set[str]:
    """The ids that a request's traces may have, for all completions and routes; once the route stood first."""
    numbers = ["", *(f"-{number}" for number in range(1, MOST_COMPLETIONS))]
    routes = ["", *(f"~{route}" for route in get_args(RouteName))]
    ends = [(number, route) for number in numbers for route in routes]
    return {f"{request}{end}" for number, route in ends for end in (number + route, route + number)}


def _files(what: str, paths: list[Path], days: float | None, now: float) -> Iterator[Going]:
    for path in paths:
        if days is not None and path.stat().st_mtime < now - days * DAY_S:
            yield Going(what, str(path), path.unlink, path.stat().st_size)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _harvests(workload: str) -> list[Path]:
    """Harvests that are checked out in this project."""
    from components.data.harvest import HARVEST
    from components.stages.run import STATE

    homes = (Path(), STATE / "retrain" / workload)
    return [path for home in homes for path in sorted((home / "data" / workload / HARVEST).glob("*.jsonl"))]


def _pointer(path: Path) -> Path:
    return path.with_name(f"{path.name}.dvc")


def _of(trace_id: str, requests: Collection[str]) -> bool:
    """Whether a trace belongs to one of these requests."""
    from monitoring.upkeep import belongs

    return any(belongs(trace_id, request) for request in requests)


def _texts(inputs: Iterable[Mapping[str, str]]) -> set[str]:
    """The texts of inputs, as they are and as JSON has them; short ones stand in many files."""
    texts = {text for given in inputs for text in given.values() if len(text) >= MOST_SHORT}
    return texts | {json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}


def _left(workload: str, requests: Collection[str], texts: Collection[str]) -> Iterator[str]:
    """Lines about files that still have a request's id or text, or that may have it and cannot be searched for it.

    These are derived files, which the next run makes again, and those of MLflow's runs, which stay. There an id may be
    missing: in an evaluation near-duplicates have the group of the first of them.
    """
    from components.data.versions import cache_folder
    from components.registry import REFERENCE, run_files
    from components.stages.run import STATE

    words = [word.encode() for word in sorted({*requests, *texts})]
    homes = (Path("artifacts"), cache_folder(Path()), *(STATE / name for name in DERIVED))
    found = (path for home in homes for path in sorted(home.rglob("*")) if path.is_file() and not path.is_symlink())
    for address, path in chain(((str(path), path) for path in found), run_files(workload)):
        try:
            if _holds(path, words):
                yield f"Not removed: {address}"
            elif not texts and path.name == REFERENCE and not _holds(path, [b'"customer":']):
                yield f"Not searched: {address} (of an earlier version, without ids; no harvest has the text any more)"
        except OSError as error:
            yield f"Not searched: {address} ({error.strerror})"


def _holds(path: Path, words: Collection[bytes]) -> bool:
    """Whether a file of any size has one of these words."""
    longest, before = max(map(len, words)), b""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            part = before + piece
            if any(word in part for word in words):
                return True
            before = part[-longest:]  # a word may begin in one piece and end in the next
    return False
