"""No acknowledged request is lost: a server is killed repeatedly while clients ask, and the lake is checked.

A real server process (uvicorn, HTTP over loopback, spools, lake, MLflow in SQLite) answers with recorded completions.
It is killed with SIGKILL at random moments and restarted; for a fifth of the requests the lake's disk is unavailable.
The clients, in a separate process, repeat requests without an answer, and record the id of every answer. In the end
each of these ids must be in the lake exactly once, with the client's answer, and in MLflow if it is in its share.

    python -m benchmarks.traces --requests 100000 --kills 10
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORKLOAD = "recorded"
OUTAGE = (0.4, 0.6)  # of the requests, between which the lake's disk is unavailable
PAUSE_S = 0.05  # before a request without an answer is repeated
QUIET_S = 600  # until the spools must be empty
MOST_DELAY_S = 1.0  # between a kill's trigger and the kill
STORE_S = 0.5  # a tenth of the default, so that kills coincide with stores


def main() -> None:
    """Measure, print, and write the record; or run one of the two other processes."""
    options = parse()
    if options.role == "serve":
        serve(options)
    elif options.role == "ask":
        asyncio.run(ask(options))
    else:
        from benchmarks.engine_speed import machine, write

        record = measure(options)
        show(record)
        where = {**machine(), "command": " ".join(["python -m benchmarks.traces", *sys.argv[1:]])}
        write(options.output, record | where)
        if (
            record["lost"]
            or record["twice"]
            or record["wrong"]
            or record["mlflow"]["lost"]
            or record["mlflow"]["twice"]
        ):
            raise SystemExit("traces were lost, doubled or changed")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--mlflow-share", type=float, default=0.05, help="of the requests, recorded in MLflow too")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "traces.json")
    parser.add_argument("--role", choices=["measure", "serve", "ask"], default="measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything in a temporary folder; return the figures."""
    folder = Path(tempfile.mkdtemp(prefix="gradus-traces-"))
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            trial = Trial(options, folder, free.getsockname()[1])
        return trial.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Trial:
    """The processes, and the events that happen to them."""

    options: argparse.Namespace
    folder: Path
    port: int

    def run(self) -> dict[str, Any]:
        """Ask and kill, then count."""
        away = Disk(self.folder)
        events = self._events(away)
        server, clients = self._start("serve"), self._start("ask", stdout=subprocess.PIPE)
        assert clients.stdout is not None
        started = time.perf_counter()
        try:
            for line in clients.stdout:  # the number of answers so far
                while events and int(line) >= events[0][0]:
                    _, delay_s, event = events.pop(0)
                    time.sleep(delay_s)
                    server = event(server)
            assert clients.wait() == 0, f"the clients failed, see {self.folder}"
            seconds = time.perf_counter() - started
            server = self._kill(server)  # the last answers are still in the spool
            self._await_empty_spools()
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) in (0, -signal.SIGTERM)
        finally:
            clients.stdout.close()
            for process in (server, clients):
                process.kill()
                process.wait()
        return self._figures(seconds)

    def _events(self, disk: "Disk") -> list[tuple[int, float, Any]]:
        """(number of answers, seconds afterwards, event), in order."""
        drawn, most = random.Random(self.options.seed), self.options.requests
        moments = [(drawn.randint(1, most), drawn.uniform(0, MOST_DELAY_S)) for _ in range(self.options.kills - 1)]
        kills = [(*moment, self._kill) for moment in moments]  # and another at the end
        outage = [(int(most * OUTAGE[0]), 0.0, disk.leave), (int(most * OUTAGE[1]), 0.0, disk.come_back)]
        return sorted([*kills, *outage], key=lambda event: event[0])

    def _kill(self, server: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
        """Kill the server, and start another."""
        server.kill()
        server.wait()
        return self._start("serve")

    def _start(self, role: str, **pipes: Any) -> "subprocess.Popen[str]":
        options = self.options
        command = [
            sys.executable, "-m", "benchmarks.traces", "--role", role, "--folder", str(self.folder), "--port",
            str(self.port), "--requests", str(options.requests), "--connections", str(options.connections),
            "--mlflow-share", str(options.mlflow_share),
        ]  # fmt: skip
        record = f"sqlite:///{self.folder}/mlflow.db"
        environment = {**os.environ, "MLFLOW_TRACKING_URI": record, "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / f"{role}.log").open("a") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log, text=True, **pipes)

    def _await_empty_spools(self) -> None:
        """Wait until only the open segments are left."""
        ends = time.monotonic() + QUIET_S
        while any(len(list((self.folder / "spool" / name).glob("*.jsonl"))) > 1 for name in ("lake", "mlflow")):
            assert time.monotonic() < ends, f"the spools were not emptied within {QUIET_S} s"
            time.sleep(0.2)
        time.sleep(4 * STORE_S)

    def _figures(self, seconds: float) -> dict[str, Any]:
        """What was acknowledged, compared with what is stored."""
        acknowledged: dict[str, str] = json.loads((self.folder / "acknowledged.json").read_text())
        clients: dict[str, int] = json.loads((self.folder / "clients.json").read_text())
        stored = in_lake(self.folder / "lake")
        times = Counter(name for name, _ in stored)
        texts = dict(stored)
        return {
            "requests": self.options.requests,
            "kills": self.options.kills,
            "acknowledged": len(acknowledged),
            "attempts_without_answer": clients["without_answer"],
            "refused": clients["refused"],
            "in_lake": len(times),
            "never_acknowledged_in_lake": len(times.keys() - acknowledged.keys()),
            "lost": len(acknowledged.keys() - times.keys()),
            "twice": sum(count > 1 for count in times.values()),
            "wrong": sum(texts.get(name, text) != text for name, text in acknowledged.items()),
            "segments_set_aside": len(list(self.folder.glob("spool/*/*.corrupt"))),
            "mlflow": self._mlflow(acknowledged),
            "connections": self.options.connections,
            "seconds": seconds,
            "requests_per_second": self.options.requests / seconds,
            "seed": self.options.seed,
        }

    def _mlflow(self, acknowledged: dict[str, str]) -> dict[str, Any]:
        """The same for MLflow's share."""
        from components.serving.routing import falls_in

        share = self.options.mlflow_share
        expected = {name for name in acknowledged if falls_in(share, "store", name)}
        times = Counter(in_mlflow(self.folder / "mlflow.db"))
        return {
            "share": share,
            "expected": len(expected),
            "lost": len(expected - times.keys()),
            "twice": sum(count > 1 for count in times.values()),
        }


class Disk:
    """The lake's disk: a link that is dangling while the disk is unavailable."""

    def __init__(self, folder: Path) -> None:
        self._link, self._real = folder / "disk", folder / "lake"
        self._real.mkdir()
        self._link.symlink_to(self._real)

    def leave(self, server: Any) -> Any:
        """Make writes fail from now on."""
        self._point(self._real.with_name("nowhere"))
        return server

    def come_back(self, server: Any) -> Any:
        """Make writes succeed again."""
        self._point(self._real)
        return server

    def _point(self, to: Path) -> None:
        part = self._link.with_name("disk.part")
        part.symlink_to(to)
        part.replace(self._link)


class Recorded:
    """An engine with recorded answers: the number at the end of the question."""

    def generate(self, requests: list[Any], sampling: Any) -> list[Any]:
        """An answer to each prompt."""
        from components.records import Completion, Usage

        usage = Usage(input_tokens=40, output_tokens=12)
        return [
            Completion(
                example_id=request.example_id, text=answer(request.messages[-1].content), usage=usage, latency_ms=1.0
            )
            for request in requests
        ]


def answer(question: str) -> str:
    """The recorded answer."""
    return json.dumps({"number": int(question.rpartition(" ")[2])})


def serve(options: argparse.Namespace) -> None:
    """The server's process."""
    import uvicorn

    from components.params import ServingParams
    from components.registry import Version, store_traces
    from components.serving import Follower, Journal, Outlet, Served, Server, create_app
    from monitoring.lake import Lake

    served = Served(1, "sft", Recorded(), None, 32)
    follower = Follower(lambda: Version(1, "sft", "model", "", Path()), lambda _: served, 3600.0)
    follower.served = served
    spools, lake = options.folder / "spool", Lake(options.folder / "disk")
    journal = Journal(
        WORKLOAD,
        {"type": "object"},
        Outlet(spools / "lake", lake.store, STORE_S),
        Outlet(spools / "mlflow", store_traces, STORE_S, options.mlflow_share),
    )
    app = create_app(Server(WORKLOAD, follower, ServingParams(), journal=journal))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


async def ask(options: argparse.Namespace) -> None:
    """The clients' process: prints the number of answers, and writes the answers to files."""
    import httpx

    acknowledged: dict[str, str] = {}
    counts = {"without_answer": 0, "refused": 0}
    numbers = iter(range(options.requests))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{options.port}", timeout=30) as client:

        async def one(number: int) -> None:
            body = {"model": WORKLOAD, "messages": [{"role": "user", "content": f"My order is late, ticket {number}"}]}
            while True:
                try:
                    response = await client.post("/v1/chat/completions", json=body)
                except httpx.TransportError:  # the server is down or went down: nothing was acknowledged
                    counts["without_answer"] += 1
                    await asyncio.sleep(PAUSE_S)
                    continue
                if response.is_success:
                    answer_body = response.json()
                    acknowledged[answer_body["id"]] = answer_body["choices"][0]["message"]["content"]
                else:
                    counts["refused"] += 1
                return

        async def many() -> None:
            for number in numbers:
                await one(number)
                if len(acknowledged) % 20 == 0:
                    print(len(acknowledged), flush=True)

        await asyncio.gather(*(many() for _ in range(options.connections)))
    (options.folder / "acknowledged.json").write_text(json.dumps(acknowledged))
    (options.folder / "clients.json").write_text(json.dumps(counts))


def in_lake(folder: Path) -> list[tuple[str, str]]:
    """(id, text) of all traces, with duplicates."""
    import pyarrow.dataset as ds

    rows = ds.dataset(sorted(map(str, folder.glob("traces/**/*.parquet")))).to_table(["id", "text"]).to_pylist()
    return [(row["id"], row["text"]) for row in rows]


def in_mlflow(database: Path) -> list[str]:
    """The request ids of all traces, from MLflow's own search."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{database}"
    from components.registry.store import connect

    client, token, ids = connect(), None, list[str]()
    experiment = client.get_experiment_by_name(WORKLOAD)
    while experiment is not None:
        page = client.search_traces(
            locations=[experiment.experiment_id], max_results=500, page_token=token, include_spans=False
        )
        ids += [trace.info.client_request_id for trace in page]
        token = page.token
        if not token:
            break
    return ids


def show(record: dict[str, Any]) -> None:
    """Print the figures."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "number", title=f"{record['requests']:,} requests, {record['kills']} kills")
    for name, value in record.items():
        for key, number in value.items() if isinstance(value, dict) else [("", value)]:
            shown = f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"
            table.add_row(f"{name} {key}".replace("_", " ").strip(), shown)
    Console().print(table)


if __name__ == "__main__":
    main()
