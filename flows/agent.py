"""Commands of agents: tries from elsewhere taken in, and how reliably tasks are solved."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.conversations import harvest
from flows.production import watch_production

if TYPE_CHECKING:
    from components.evaluation.trials import Trials
    from components.records import Trajectory
    from components.stages.agents import Played

agent = typer.Typer(
    help="Agents: tries at tasks with tools, imported, counted and watched.", no_args_is_help=True, add_completion=False
)
Workload = Annotated[str, typer.Argument(help="Name of a workload of agents, such as desk.")]
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
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="File to write; by default FILE with the ending .trajectories.jsonl, unless that has other tries.",
        ),
    ] = None,
) -> None:
    """Take in tries of an agent: one trajectory a line, with its reward as it was.

    A trace, or a conversation that calls tools, whose tools' schemas are missing is refused by its name.
    """
    from components.data.trajectories import beside, holds
    from components.errors import ConfigError
    from components.records import write_jsonl

    tries, target = _read(file), to or beside(file)
    if to is None and target.exists() and not holds(target, tries):
        raise ConfigError(f"expected these tries or no file at {target}, found others: name the file to write by --to")
    write_jsonl(target, tries)
    tasks = len({trajectory.example_id for trajectory in tries})
    without = sum(trajectory.reward is None for trajectory in tries)
    typer.echo(f"{len(tries):,} trajectories of {tasks:,} tasks, {without:,} without a reward: {target}")


@agent.command("pass", epilog="Example: [bold]gradus agent pass gpt-4o-airline.json[/]")
def pass_shares(file: File) -> None:
    """How reliably tasks are solved: pass^k (in all of k tries) and pass@k (in one of k), with 95 % intervals.

    A try is solved where its reward is 1. Each task counts once, however often it was tried: C(c, k) / C(n, k) of n
    tries with c solved; a task with fewer than k tries is left out of that line.
    """
    from components.evaluation.trials import pass_by_k

    _show(pass_by_k(_read(file)))


@agent.command("play", epilog="Example: [bold]gradus agent play desk --case 3 --policy demonstration[/]")
def play(
    workload: Workload,
    policy: Annotated[
        Literal["model", "demonstration"], typer.Option(help="Who acts: a model, or the case's demonstration.")
    ] = "model",
    model: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("models/nano"),
    case: Annotated[int, typer.Option(min=0, help="Number of the case.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cases.")] = 0,
) -> None:
    """Show a try at one case step by step: what is said, what is called, what comes back, and how it is judged."""
    from components.stages.agents import played

    _tell(played(workload, case, seed, None if policy == "demonstration" else model))


@agent.command("certify", epilog="Example: [bold]gradus agent certify desk[/]")
def certify(
    workload: Workload,
    cases: Annotated[int, typer.Option(min=1, help="How many cases are tried.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cases.")] = 0,
) -> None:
    """Try the scorer of an agent's work with agents that do none: one does nothing, one hands over, one calls all.

    Ends with code 1 where one of them passes more than one case in twenty.
    """
    from components.evaluation.agent_exploits import MOST_PASSED
    from components.stages.agents import certified

    earned = {name: trick.passed for name, trick in certified(workload, cases, seed).items()}
    for name, share in earned.items():
        agent_name = name.replace("_", " ")
        typer.echo(f"{agent_name}: {share.value:.1%} of {share.n:,} cases pass ({share.low:.1%} to {share.high:.1%})")
    if any(share.value > MOST_PASSED for share in earned.values()):
        raise typer.Exit(1)


agent.command("harvest", epilog="Example: [bold]gradus agent harvest desk --to tries.jsonl --least 1[/]")(harvest)
agent.command("watch", epilog="Example: [bold]gradus agent watch desk[/], which is [bold]gradus watch desk[/]")(
    watch_production
)


def _tell(played: "Played") -> None:
    from rich.console import Console
    from rich.markup import escape

    from components.data.texts import visible

    console = Console()
    for message in played.trajectory.messages:
        if message.content or not message.tool_calls:
            console.print(f"[bold]{message.role}[/]  {escape(visible(message.content))}")
        for call in message.tool_calls:
            called = visible(f"{call.name or '(unreadable)'} {call.arguments}")
            console.print(f"[bold]{message.role}[/]  calls {escape(called)}")
    trajectory, score = played.trajectory, played.score
    verdict = "not decided" if score is None else f"{'right' if score.passed else 'wrong'}, {score.value:.2f}"
    calls = f"{trajectory.tool_calls} calls ({trajectory.tool_errors} failed, {trajectory.invalid_calls} invalid)"
    console.print(
        f"Ended by {trajectory.stop_reason} after {trajectory.turns} turns, {calls}, "
        f"{trajectory.usage.output_tokens} tokens. Judged: {verdict}."
    )
    if reason := played.failure or (score.reason if score else ""):
        console.print(escape(visible(reason)))


def _read(file: Path) -> "list[Trajectory]":
    from components.data.trajectories import read_trajectories
    from components.registry.translation import translated

    return read_trajectories(file, translated)


def _show(tries: "Trials") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("k", "pass^k", "95 % interval", "pass@k", "95 % interval", "tasks")
    for share in tries.by_k:
        every, some = share.every, share.some
        table.add_row(
            str(share.k), f"{every.value:.3f}", f"{every.low:.3f} to {every.high:.3f}",
            f"{some.value:.3f}", f"{some.low:.3f} to {some.high:.3f}", f"{share.tasks:,}",
        )  # fmt: skip
    Console(width=max(100, Console().width)).print(table)
    without = f"; {tries.undecided:,} without a reward say nothing" if tries.undecided else ""
    typer.echo(f"{tries.trials:,} tries at {tries.tasks:,} tasks{without}.")
