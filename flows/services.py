"""The services of one machine, up and down together: Prefect's server and worker, MLflow's server, and the champion.

Decides ports, paths and order; supervisord (infra/supervisord.conf) starts, restarts and stops the processes.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from components.errors import ConfigError, GradusError, RegistryError, ServiceError
from components.params import Pipeline, RetentionParams, load
from components.records import read_record, write_record
from components.stages.storage import FLOWS, TRACKING, refuse_absent, storage
from flows.health import LOCAL, Health, Services, ask
from flows.logins import FILE as LOGINS
from flows.logins import Logins, mlflow_settings, new_logins, prefect_settings, save_logins, saved_logins
from flows.place import refuse_taken
from flows.supervisor import MARK, control, is_running, processes, socket_path, sweep

CONFIGURATION = Path("infra/supervisord.conf")
UP, LOGS = Path("state/up"), Path("state/logs")
RECORD, PID = UP / "services.json", UP / "supervisord.pid"
SERVERS, CLIENTS = ("prefect", "mlflow"), ("worker", "serve")  # these start when those are healthy
MOST_START_S, MOST_LOAD_S, MOST_STOP_S = 300.0, 60.0, 120.0
_LOOK_S = 0.5
_MOST_TOLD = 300  # characters of a log
_ENDED = ("BACKOFF", "EXITED", "FATAL")  # as supervisord calls a process that ended by itself


def up(services: Services, report: Callable[[str], None]) -> list[Health]:
    """Start the services and wait until they are healthy; those that already run are left alone.

    `report` is called with a line for each service. After an error, or Ctrl-C, what this call brought up is taken down.

    Raises:
        ConfigError: Others run here already, or a port is taken: nothing was started. Or Prefect refuses a deployment.
        ServiceError: A service does not become healthy.
    """
    folder, running = Path.cwd(), is_up(services)
    logins = saved_logins() if running else new_logins()
    if not running:  # MLflow's server keeps its record where the settings say, whatever its clients ask
        refuse_absent(storage(folder), {name: value for name, value in os.environ.items() if name != TRACKING})
    retention = prefect_retention(load(Path("params/pipeline.yaml"), Pipeline).retention)
    os.environ.update(environment(services, folder, logins) | retention)
    if not running:
        sweep(folder)
        _refuse_taken(services)
        save_logins(logins)
        _supervise(services, folder)
    try:
        _bring(services, SERVERS, report)
        from flows.deploy import close_lost_runs, deploy  # imports Prefect, which reads the environment then

        if processes().get("worker") != "RUNNING":
            close_lost_runs()
        deploy(services.workload)
        report("deployments: known to Prefect")
        _bring(services, CLIENTS, report)
        _let_load(services)
    except (GradusError, KeyboardInterrupt):
        if not running:
            down()
        raise
    return status()


def down() -> bool:
    """Stop all services and whatever they started; returns whether there was anything to stop.

    Raises:
        ServiceError: A process does not end.
    """
    pid = control("getPID")
    if pid is not None:
        control("shutdown")
        ends = time.monotonic() + MOST_STOP_S
        while is_running(pid) and time.monotonic() < ends:
            time.sleep(_LOOK_S)
    swept = sweep(Path.cwd())
    for path in (socket_path(Path.cwd()), PID, RECORD, LOGINS):
        path.unlink(missing_ok=True)
    return pid is not None or swept


def status() -> list[Health]:
    """The health of each service; empty if nothing was started."""
    if not RECORD.is_file():
        return []
    services, running = read_record(RECORD, Services), processes()
    return [ask(name, services, running.get(name, "gone")) for name in services.addresses]


def is_up(services: Services) -> bool:
    """Whether these services run here.

    Raises:
        ConfigError: Others do.
    """
    if control("getPID") is None:
        return False
    running = read_record(RECORD, Services)
    if running != services:
        said = ", ".join(f"{name}={value}" for name, value in running.model_dump().items())
        raise ConfigError(f"expected nothing else to run here, found {said}; `gradus down` stops it")
    return True


def environment(services: Services, folder: Path, logins: Logins) -> dict[str, str]:
    """The environment of every service: the others' addresses, the logins, and what infra/ asks for."""
    own = {f"GRADUS_{name.upper()}": str(value) for name, value in services.model_dump().items()}
    return own | {
        MARK: str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))),  # own scorers
        "GRADUS_PYTHON": sys.executable,
        "GRADUS_SOCKET": str(socket_path(folder)),
        "MLFLOW_TRACKING_URI": services.addresses["mlflow"],
        **mlflow_settings(logins.mlflow),
        "PREFECT_API_URL": f"{services.addresses['prefect']}/api",
        **prefect_settings(logins.texts["prefect"], services.addresses["prefect"]),
        # Its own home: `gradus run` without a server uses another database than a running server.
        "PREFECT_HOME": str(folder / UP / "prefect"),
        **_databases(os.environ),
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "components,flows,monitoring",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait would slow all the others
    }


def prefect_retention(retention: RetentionParams) -> dict[str, str]:
    """How long Prefect's server keeps flow runs: its own service deletes older ones, hour by hour."""
    days, service = retention.flow_run_days, "PREFECT_SERVER_SERVICES_DB_VACUUM"
    if days is None:
        return {}
    return {f"{service}_ENABLED": "events,flow_runs", f"{service}_RETENTION_PERIOD": str(int(days * 86400))}


def _databases(environment: Mapping[str, str]) -> dict[str, str]:
    """Prefect's database, if the storage settings name one; a temporary server keeps its own file."""
    shared = environment.get(FLOWS)
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": shared} if shared else {}


def _refuse_taken(services: Services) -> None:
    """Refuse ports that others listen on, before anything is started."""
    for name in (*SERVERS, "serve"):
        port = int(services.addresses[name].rpartition(":")[2])
        try:
            refuse_taken(LOCAL, port)
        except ConfigError as error:
            raise ConfigError(
                f"expected a free port for {name}, found {port} taken; "
                f"choose another: gradus up {services.workload} --{name}-port {port + 1}"
            ) from error


def _supervise(services: Services, folder: Path) -> None:
    """Start supervisord, which starts the servers."""
    for path in (UP / "prefect", LOGS, socket_path(folder).parent):
        path.mkdir(parents=True, exist_ok=True)
    write_record(RECORD, services)
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(CONFIGURATION)]
    started = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if started.returncode:
        RECORD.unlink()
        LOGINS.unlink()
        raise ServiceError(f"expected supervisord to start, found {' '.join(started.stderr.split())}")


def _bring(services: Services, names: Sequence[str], report: Callable[[str], None]) -> None:
    """Start some services and wait until they are healthy."""
    for name in names:
        if processes().get(name) not in ("RUNNING", "STARTING"):
            control("startProcess", name, False)
    ends = time.monotonic() + MOST_START_S
    for name in names:
        while (health := ask(name, services, processes().get(name, "gone"))).state == "not healthy":
            if health.says.upper() in _ENDED or time.monotonic() > ends:
                raise ServiceError(f"expected {name} to become healthy, found {health.says}; {_log_end(name)}")
            time.sleep(_LOOK_S)
        report(f"{name}: {health.state}, {health.says}")


def _let_load(services: Services) -> None:
    """If there is a champion, give its server time to open it."""
    from components.registry import registered

    try:
        registered(services.workload)
    except RegistryError:
        return
    ends = time.monotonic() + MOST_LOAD_S
    while time.monotonic() < ends and any(health.state == "not ready" for health in status()):
        time.sleep(_LOOK_S)


def _log_end(name: str) -> str:
    """The end of a service's log, and where the rest is."""
    log = LOGS / f"{name}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    last = " ".join(line.strip() for line in lines if line.strip())[-_MOST_TOLD:]
    return f"its log ends with {last!r} ({log})" if last else f"its log is empty ({log})"
