"""Commands to run everything on one machine: up, down, status, the record's UI, and simulated traffic."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flows.logins import how_to_log_in
from flows.place import refuse_taken
from flows.production import Profile, Workload

if TYPE_CHECKING:
    from flows.health import Health

PrefectPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's server.")]
MlflowPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's server.")]
ServePort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the champion.")]

machine = typer.Typer(add_completion=False)


@machine.command("up", epilog="Example: [bold]gradus up triage --serve-port 8000[/]")
def bring_up(
    workload: Workload,
    profile: Profile = "nano",
    prefect_port: PrefectPort = 4200,
    mlflow_port: MlflowPort = 5000,
    serve_port: ServePort = 8000,
) -> None:
    """Start everything on this machine, in the background: Prefect's server and worker, MLflow's server, the champion.

    All listen on loopback; logs are in state/logs/. Services that already run are left alone.
    """
    from components.stages.run import Run
    from flows.health import Services
    from flows.services import up

    Run.of(workload, profile)
    services = Services(
        workload=workload, profile=profile, prefect_port=prefect_port, mlflow_port=mlflow_port, serve_port=serve_port
    )
    _show(up(services, lambda line: typer.echo(line, err=True)))
    typer.echo(how_to_log_in())


@machine.command("down")
def take_down() -> None:
    """Stop everything that `up` started; nothing is left behind."""
    from flows.services import down

    typer.echo("Everything is down." if down() else "Nothing was up.")


@machine.command("status")
def show_status() -> None:
    """Show the state of each service of `up`; ends with code 1 if one is not healthy."""
    from flows.services import status

    services = status()
    if not services:
        typer.echo("Nothing is up; gradus up WORKLOAD starts it.")
    else:
        healthy = _show(services)
        typer.echo(how_to_log_in())
        if not healthy:
            raise typer.Exit(1)


@machine.command("ui", epilog="Example: [bold]gradus ui --port 5000[/]")
def open_record(port: MlflowPort = 5000) -> None:
    """Open the record of runs, models and traces in MLflow's pages, until Ctrl-C; asks for a login, which it prints."""
    from flows.logins import USER, mlflow_settings, new_logins
    from flows.servers import LOCAL, listen, mlflow

    refuse_taken(LOCAL, port)
    os.environ.update(mlflow_settings(password := new_logins().mlflow))
    address = f"http://{LOCAL}:{port}"
    served = mlflow(address)
    typer.echo(f"The record: {address}\nIt asks for the user {USER} and the password {password}")
    listen(served, port)


@machine.command("demo-drift", epilog="Example: [bold]gradus demo-drift triage --drift new-product[/]")
def demonstrate_drift(
    workload: Workload = "triage",
    profile: Profile = "nano",
    drift: Annotated[str, typer.Option(help="new-wording, new-product or broken-field.")] = "new-product",
    before: Annotated[int, typer.Option(min=300, help="Number of usual tickets before the drift.")] = 600,
    after: Annotated[int, typer.Option(min=300, help="Number of drifted tickets before the watch looks.")] = 1500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the tickets.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Let the services run on afterwards.")] = False,
    prefect_port: PrefectPort = 4200,
    mlflow_port: MlflowPort = 5000,
    serve_port: ServePort = 8000,
) -> None:
    """Play the whole loop: serve, traffic, drift, event, retraining, gate, release, new champion. Prints the timeline.

    Climbs the ladder first if there is no champion. Half of the answers are corrected by simulated people, who have
    a reviewer's key. Services that already run are used, and run on afterwards.
    """
    from rich.console import Console

    from components.records import write_record
    from components.stages.run import STATE, Run
    from flows.demo import Story, endings, ensure_champion, play, reviewing
    from flows.health import Services
    from flows.services import down, is_up, up

    run = Run.of(workload, profile)
    os.environ.update(reviewing(os.environ))
    ensure_champion(run)
    services = Services(
        workload=workload, profile=profile, prefect_port=prefect_port, mlflow_port=mlflow_port, serve_port=serve_port
    )
    ran_before = is_up(services)
    up(services, typer.echo)
    try:
        ending = play(run, services, Story(drift, before, after, 0.5, seed), typer.echo)
    finally:
        if not (keep or ran_before):
            down()
    write_record(STATE / "demo-drift.json", ending)
    Console(width=120).print(endings(ending))


def _show(services: "Sequence[Health]") -> bool:
    """Print the services as a table; returns whether none is unhealthy."""
    from rich.console import Console
    from rich.table import Table

    table = Table("service", "address", "state", "", "log")
    for service in services:
        table.add_row(service.name, service.address, service.state, service.says, f"state/logs/{service.name}.log")
    Console(width=max(120, Console().width)).print(table)
    return all(service.state != "not healthy" for service in services)


@machine.command("simulate", epilog="Example: [bold]gradus simulate triage --drift new-product --drift-at 1000[/]")
def simulate_traffic(
    workload: Workload,
    profile: Profile = "nano",
    drift: Annotated[str, typer.Option(help="new-wording, new-product, shifted-mix, broken-field or none.")] = "none",
    requests: Annotated[int, typer.Option(min=1, help="Number of tickets to send.")] = 2000,
    drift_at: Annotated[int, typer.Option(min=0, help="Number of the ticket that the drift begins with.")] = 1000,
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000/v1",
    clients: Annotated[int, typer.Option(min=1, max=256, help="Clients that ask at once.")] = 8,
    feedback_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the answers that people look at and correct.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the tickets.")] = 1,
) -> None:
    """Send simulated tickets to a running server, with a drift from a known ticket on, and say how many it got right.

    For a share of the answers, the right one is sent as feedback. The server's key is read from OPENAI_API_KEY.
    """
    from components.stages.run import Run
    from monitoring.traffic import Plan, Target, replay, summary

    run = Run.of(workload, profile)
    plan = Plan(requests, drift, drift_at, feedback_share, seed)
    target = Target(url, workload, run.trained_prompt.placeholders, clients)
    for line in summary(plan, replay(run.workload, plan, target)):
        typer.echo(line)
