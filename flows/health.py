"""The health of a machine's services: each is asked over HTTP, the worker through its server."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from components.errors import DataError
from components.records import Record
from flows.logins import USER, saved_logins

LOCAL = "127.0.0.1"
POOL = "gradus"
_ANSWER_S = 3.0


class Services(Record):
    """The running services: the served workload and profile, and each server's port."""

    workload: str
    profile: str
    prefect_port: int
    mlflow_port: int
    serve_port: int

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each service, in the order in which they start; the worker does not listen."""
        return {
            "prefect": f"http://{LOCAL}:{self.prefect_port}",
            "mlflow": f"http://{LOCAL}:{self.mlflow_port}",
            "worker": "",
            "serve": f"http://{LOCAL}:{self.serve_port}",
        }


@dataclass(frozen=True)
class Health:
    """A service's health. "not ready" is a healthy server that has no champion to serve yet."""

    name: str
    address: str
    state: Literal["healthy", "not ready", "not healthy"]
    says: str


def ask(name: str, services: Services, process: str) -> Health:
    """Ask a service; `process` is its state according to supervisord."""
    import httpx

    address = services.addresses[name]
    if process != "RUNNING":
        return Health(name, address, "not healthy", process.lower())
    try:
        state, says = _QUESTIONS[name](services)
    except (httpx.HTTPError, DataError, ValueError) as error:
        state, says = "not healthy", str(error) or type(error).__name__
    return Health(name, address, state, says)


Answer = tuple[Literal["healthy", "not ready", "not healthy"], str]


def _prefect(services: Services) -> Answer:
    _get(f"{services.addresses['prefect']}/api/health")
    return "healthy", "flows and their schedules"


def _mlflow(services: Services) -> Answer:
    _get(f"{services.addresses['mlflow']}/health")
    return "healthy", "runs, models, traces"


def _worker(services: Services) -> Answer:
    import httpx

    api = f"{services.addresses['prefect']}/api"
    client = str(uuid.uuid4())
    with httpx.Client(auth=(USER, saved_logins().prefect), timeout=_ANSWER_S, trust_env=False) as prefect:
        token: Any = prefect.get(f"{api}/csrf-token", params={"client": client}).raise_for_status().json()["token"]
        headers = {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token}
        answer = prefect.post(f"{api}/work_pools/{POOL}/workers/filter", json={}, headers=headers)
    workers: Any = answer.raise_for_status().json()
    online = any(worker["name"] == services.workload and worker["status"] == "ONLINE" for worker in workers)
    return ("healthy", f"takes runs of the pool {POOL}") if online else ("not healthy", "its server does not know it")


def _serve(services: Services) -> Answer:
    import httpx

    address = services.addresses["serve"]
    _get(f"{address}/healthz")
    answer = httpx.get(f"{address}/readyz", timeout=_ANSWER_S, trust_env=False)
    ready: Any = answer.json()
    if answer.is_success:
        return "healthy", f"{ready['model']}, version {ready['version']} ({ready['method']})"
    return "not ready", str(ready["error"]["message"])


def _get(url: str) -> None:
    import httpx

    httpx.get(url, timeout=_ANSWER_S, trust_env=False).raise_for_status()


_QUESTIONS: dict[str, Callable[[Services], Answer]] = {
    "prefect": _prefect, "mlflow": _mlflow, "worker": _worker, "serve": _serve,
}  # fmt: skip
