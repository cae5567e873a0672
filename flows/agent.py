"""Commands of agents: tries from elsewhere taken in, and how reliably tasks are solved."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.evaluation.trials import Trials
    from components.records import Trajectory

agent = typer.Typer(
    help="Agents: tries at tasks with tools, taken in, counted and watched.", no_args_is_help=True, add_completion=False
)
File = Annotated[
    Path,
    typer.Argument(
        help="Tries in tau-bench's published form, OpenAI's messages with tools, OpenTelemetry's GenAI spans, MLflow's "
        "traces, or what `gradus agent import` wrote; JSON or a line each."
    ),
]


@agent.command("import", epilog="Example: [bold]gradus agent import gpt-4o-airline.json --to airline.jsonl[/]")
def import_trajectories(
    file: File,
    to: Annotated[Path | None, typer.Option("--to", help="File to write; else FILE with .trajectories.jsonl.")] = None,
) -> None:
    """Take in tries of an agent: one trajectory a line, with its reward as it was.

    A trace, or a conversation that calls tools, whose tools' schemas are missing is refused by its name.
    """
    from components.records import write_jsonl

    found = _read(file)
    target = to or file.with_name(f"{file.name.partition('.')[0]}.trajectories.jsonl")
    write_jsonl(target, found)
    tasks = len({one.example_id for one in found})
    without = sum(one.reward is None for one in found)
    typer.echo(f"{len(found):,} trajectories of {tasks:,} tasks, {without:,} without a reward: {target}")


@agent.command("pass", epilog="Example: [bold]gradus agent pass gpt-4o-airline.json[/]")
def pass_shares(file: File) -> None:
    """How reliably tasks are solved: pass^k (in all of k tries) and pass@k (in one of k), with 95 % intervals.

    A try is solved where its reward is 1. Each task counts once, however often it was tried: C(c, k) / C(n, k) of n
    tries with c solved; a task with fewer than k tries is left out of that line.
    """
    from components.evaluation.trials import pass_by_k

    _show(pass_by_k(_read(file)))


def _read(file: Path) -> "list[Trajectory]":
    from components.data.trajectories import read_trajectories
    from components.registry.translation import translated

    return read_trajectories(file, translated)


def _show(found: "Trials") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("k", "pass^k", "95 % interval", "pass@k", "95 % interval", "tasks")
    for one in found.by_k:
        every, some = one.every, one.some
        table.add_row(
            str(one.k), f"{every.value:.3f}", f"{every.low:.3f} to {every.high:.3f}",
            f"{some.value:.3f}", f"{some.low:.3f} to {some.high:.3f}", f"{one.tasks:,}",
        )  # fmt: skip
    Console(width=max(100, Console().width)).print(table)
    without = f"; {found.undecided:,} without a reward say nothing" if found.undecided else ""
    typer.echo(f"{found.trials:,} tries at {found.tasks:,} tasks{without}.")
