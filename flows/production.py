"""Commands for production: serve, score, watch, retrain, release, and move the champion by hand."""

import os
from pathlib import Path
from typing import Annotated

import typer

from components.errors import ConfigError
from flows.place import refuse_taken, refuse_without_prefect

LOCAL = "127.0.0.1"
MOST_SHOWN = 400  # characters of a correction

production = typer.Typer(add_completion=False)

Workload = Annotated[str, typer.Argument(help="Name of a workload under params/workloads/.")]
Profile = Annotated[str, typer.Option(help="Name of a profile under params/profiles/.")]
LadderName = Annotated[
    str | None,
    typer.Option("--ladder", help="Name of a ladder under params/ladders/; else the run's own, usually `standard`."),
]


def prefect_home() -> None:
    """Make Prefect's folder, which it needs when it is imported.

    Raises:
        ConfigError: The folder cannot be made.
        ServiceError: PREFECT_API_URL names a server that does not answer, or refuses the login.
    """
    home = Path(os.environ["PREFECT_HOME"])
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"expected a folder for Prefect at PREFECT_HOME, found {error.strerror} ({home})") from error
    if address := os.environ.get("PREFECT_API_URL"):
        refuse_without_prefect(address)


@production.command("serve", epilog="Example: [bold]gradus serve triage --port 8000[/]")
def serve_champion(
    workload: Workload,
    profile: Profile = "nano",
    host: Annotated[
        str, typer.Option(help="Address to listen on; addresses other than this machine's need API keys.")
    ] = LOCAL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Serve a workload's champion by OpenAI's API, and follow the registry to new ones.

    A single user message is put into the champion's own prompt; other conversations are asked as they are. API keys
    are read as SHA-256 hashes from GRADUS_API_KEYS or the file GRADUS_API_KEYS_FILE; [bold]gradus key[/] makes one.
    """
    os.environ["TQDM_DISABLE"] = "1"  # no bar for every batch; tqdm reads it once
    import uvicorn

    from components.serving import LOOPBACK, Keys, bind, config
    from components.stages.run import Run
    from flows.serve import application

    run, keys = Run.of(workload, profile), Keys.read()
    if host not in LOOPBACK and not keys.hashes:
        raise ConfigError(f"--host {host}: expected API keys in GRADUS_API_KEYS or GRADUS_API_KEYS_FILE, found none")
    refuse_taken(host, port)
    with bind(host, port) as listening:
        served = application(run, keys, host)
        typer.echo(f"{workload} on http://{host}:{port}/v1")
        settings = config(served, run.workload.serving, host=host, port=port, log_level="warning")
        uvicorn.Server(settings).run(sockets=[listening])


@production.command("score", epilog="Example: [bold]gradus score triage --hours 24[/]")
def score_traces(
    workload: Workload,
    profile: Profile = "nano",
    hours: Annotated[float, typer.Option(min=0, help="Traces of the last HOURS hours.")] = 168,
) -> None:
    """Score traces by people's feedback: against their corrected answers, or with the scores that they gave.

    With `serving.judge_share` in the workload's YAML, its judge also scores that share. Scores go to the lake and, as
    assessments, to MLflow's traces. A trace is not scored twice.
    """
    prefect_home()
    from flows.score import score

    score(workload, profile, hours)


@production.command("watch", epilog="Example: [bold]gradus watch triage[/]")
def watch_production(workload: Workload, profile: Profile = "nano") -> None:
    """Compare production's newest window with the champion's usual answers: what moved, how far, and where.

    Looks at inputs (texts, the model's embeddings of them), outputs (labels, validity, length, confidence) and scores;
    of an agent at its conversations: turns, calls of each tool, failures, schemas, results and scores.
    Limits come from resamples of the reference (params/pipeline.yaml, `watch`). Drift becomes the event drift.detected.
    """
    prefect_home()
    from rich.console import Console

    from components.stages.run import STATE
    from flows.watch import watch
    from monitoring.watch import sentence, table

    look = watch(workload, profile)
    typer.echo(sentence(look))
    if look.drifted:
        Console(width=max(120, Console().width)).print(table(look))
    if look.judged:
        typer.echo(f"Page: {(STATE / 'watch' / workload / 'drift.html').resolve()}")


@production.command("retrain", epilog="Example: [bold]gradus retrain triage[/]")
def retrain_champion(workload: Workload, profile: Profile = "nano") -> None:
    """Climb the ladder with production's answers, and let the winner replace the champion if the gate agrees.

    Corrected answers and those scored as right join the data as a new version: added by DVC and committed on a branch,
    which is checked out under state/retrain/. The project's own files stay as they are.
    """
    prefect_home()
    from flows.retrain import retrain

    retrained = retrain(workload, profile)
    typer.echo(retrained.outcome)
    if retrained.branch:
        typer.echo(f"Branch: {retrained.branch} ({retrained.examples:,} answers of production)")


@production.command("release", epilog="Example: [bold]gradus release triage[/]")
def release_canary(workload: Workload, profile: Profile = "nano") -> None:
    """Compare a retraining's winner with the champion: promote it, withdraw it, or say what it waits for.

    The version with the alias `candidate` becomes the canary, after a person's approval if that is required: in
    Prefect's pages or, without PREFECT_API_URL, on this terminal. Without a candidate the release goes on with the
    version with the alias `canary`. Waits for the canary's answers (params/pipeline.yaml, `retraining.release`).
    """
    prefect_home()
    from flows.release import release

    released = release(workload, profile)
    for reason in released.reasons:
        typer.echo(f"{released.decision}: {reason}")


@production.command("promote", epilog="Example: [bold]gradus promote triage 3[/]")
def promote_version(
    workload: Workload,
    version_number: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version to become champion.")],
) -> None:
    """Make a registered version the champion by hand; the former champion becomes `previous`."""
    from components.registry import promote

    promoted = promote(workload, version_number)
    typer.echo(f"{workload}: {promoted.label} is champion")


@production.command("rollback", epilog="Example: [bold]gradus rollback triage[/]")
def roll_back(
    workload: Workload,
) -> None:
    """Make the previous champion the champion again; a running server follows within seconds."""
    from components.registry import rollback

    restored = rollback(workload)
    typer.echo(f"{workload}: {restored.label} is champion")


@production.command("review", epilog="Example: [bold]gradus review triage --hours 48[/]")
def show_conflicts(
    workload: Workload,
    hours: Annotated[float, typer.Option(min=0, help="Feedback of the last HOURS hours.")] = 168,
) -> None:
    """Show answers whose corrections contradict each other: none counts until a reviewer corrects the answer."""
    import time

    from components.data.texts import visible
    from components.records import Feedback, request_id
    from components.stages.run import STATE
    from monitoring.lake import Lake
    from monitoring.voices import voices
    from monitoring.windows import HOUR_S

    lake, since = Lake.of(STATE / "lake"), time.time() - hours * HOUR_S
    feedback = lake.read(Feedback, workload, since)
    traces, _ = lake.about(workload, {request_id(word.trace_id) for word in feedback}, (since, float("inf")))
    accepted = voices(feedback, traces)
    for name, words in accepted.conflicts.items():
        typer.echo(name)
        for word in words:
            said = "right as it is" if word.corrected is None else visible(word.corrected[:MOST_SHOWN])
            typer.echo(f"  {word.sender or 'anonymous'}: {said}")
    typer.echo(
        f"{len(accepted.conflicts):,} answers wait for a reviewer, "
        f"{accepted.refused:,} words were not their sender's to say."
    )


@production.command("key")
def make_key(
    reviewer: Annotated[
        bool, typer.Option("--reviewer", help="It may correct any answer, and its corrections are trusted.")
    ] = False,
) -> None:
    """Make an API key for [bold]gradus serve[/]: the key, for clients, and its hash, for the server.

    With [bold]--reviewer[/] the hash is followed by its role; copy both into GRADUS_API_KEYS.
    """
    from components.serving import REVIEWER, new_key

    key, its_hash = new_key()
    typer.echo(f"key   {key}\nhash  {its_hash}{f' {REVIEWER}' if reviewer else ''}")
