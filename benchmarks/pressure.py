"""A running server under pressure: a thousand silent connections, and ten times its capacity in requests.

`gradus serve` runs as a separate process with the nano model. A caller (127.0.0.1) applies pressure, from another
process; four others (127.0.0.2) keep asking as usual, and /healthz is requested over a new connection each time.
Reported are the 99th percentile of /healthz, the answered share of the others' requests, and the server's peak memory.

    python -m benchmarks.pressure
"""

import argparse
import asyncio
import multiprocessing
import shutil
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.engine_speed import machine, write
from benchmarks.serving import ROOT, WORK, WORKLOAD, free_ports, prepare, serving, tickets
from components.prompts import load_prompt

PRESSER, OTHERS = "127.0.0.1", "127.0.0.2"
OTHER_CLIENTS = 4
SPAWN = multiprocessing.get_context("spawn")  # this process has threads
START_S = 60
TIMES = 10  # the server's capacity
MOST_HEALTHZ_MS, LEAST_SERVED = 100.0, 0.99
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@dataclass
class Watched:
    """Observations of a server under pressure."""

    healthz_ms: list[float] = field(default_factory=list[float])
    statuses: Counter[int] = field(default_factory=Counter[int])
    waited_ms: list[float] = field(default_factory=list[float])

    @property
    def figures(self) -> dict[str, Any]:
        """The figures for the record; a request without an answer has status 0."""
        asked = self.statuses.total()
        return {
            "healthz_ms_p99": percentile(self.healthz_ms, 99),
            "healthz_ms_max": max(self.healthz_ms),
            "healthz_asked": len(self.healthz_ms),
            "others_asked": asked,
            "served_share": self.statuses[200] / asked,
            "others_ms_p95": percentile(self.waited_ms, 95),
        }


def main() -> None:
    """Measure, print, write the record."""
    options = parse()
    with started("pressure") as (port, server), largest_memory(server) as memory:
        idle = watched(port, options.seconds / 4)
        capacity = answered_a_second(port, options.seconds / 4)
        with half_open(port, options.connections):
            silent = watched(port, options.seconds)
        with flood(port, capacity * TIMES) as sent:
            pressed = watched(port, options.seconds)
        flooded = {str(status): n for status, n in sorted(sent.items())}
    both = [silent.figures, pressed.figures]
    record: dict[str, Any] = {
        "half_open": options.connections,
        "healthz_ms_p99": max(figures["healthz_ms_p99"] for figures in both),
        "served_share": min(figures["served_share"] for figures in both),
        "rss_mb_max": max(memory),
        "rss_mb_idle": memory[0],
        "capacity_per_second": capacity,
        "flood_times": TIMES,
        "flood_answers": flooded,
        "idle": idle.figures,
        "under_half_open": silent.figures,
        "under_flood": pressed.figures,
    }
    record["met"] = {
        "healthz": record["healthz_ms_p99"] <= MOST_HEALTHZ_MS,
        "served": record["served_share"] >= LEAST_SERVED,
    }
    for name, value in record.items():
        print(f"{name}: {value}")
    command_line = " ".join(["python -m benchmarks.pressure", *sys.argv[1:]])
    write(options.output, record | machine() | {"command": command_line})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000, help="that say nothing")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each kind of pressure")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "pressure.json")
    return parser.parse_args()


@contextmanager
def started(name: str) -> Generator[tuple[int, psutil.Process]]:
    """A running `gradus serve` with the nano model: its port and its process."""
    folder = nano()
    prepare(folder, load_prompt(folder, "prompt", ("message", "channel")))
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "flows.cli", "serve", WORKLOAD, "--port", str(port)]
    with serving(name, command, port, "readyz"):
        [server] = [child for child in psutil.Process().children() if "serve" in child.cmdline()]
        yield port, server


def nano() -> Path:
    """The base model with its training prompt, in the form of a trained rung's folder."""
    folder = WORK.parent / "pressure" / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "models" / "nano", folder)
    shutil.copyfile(ROOT / "params" / "prompts" / WORKLOAD / "short.md", folder / "prompt.md")
    return folder


def watched(port: int, seconds: float) -> Watched:
    """Observe a server's service to others for so long."""
    seen, ends = Watched(), time.monotonic() + seconds
    with ThreadPoolExecutor(OTHER_CLIENTS + 1) as pool:
        waiting = [pool.submit(ask_on, port, ends, seen) for _ in range(OTHER_CLIENTS)]
        waiting.append(pool.submit(look_on, port, ends, seen))
        for future in waiting:
            future.result()
    return seen


def look_on(port: int, ends: float, seen: Watched) -> None:
    """Request /healthz twenty times a second, each time over a new connection."""
    while time.monotonic() < ends:
        started = time.perf_counter()
        connection = HTTPConnection(PRESSER, port, timeout=20)
        try:
            connection.request("GET", "/healthz")
            ok = connection.getresponse().status == 200
        except OSError:
            ok = False
        finally:
            connection.close()
        seen.healthz_ms.append((time.perf_counter() - started) * 1e3 if ok else float("inf"))
        time.sleep(0.05)


def ask_on(port: int, ends: float, seen: Watched) -> None:
    """Request answers, one after another, as an ordinary caller."""
    transport = httpx.HTTPTransport(local_address=OTHERS)
    with httpx.Client(transport=transport, timeout=60) as client:
        for message in cycle(messages()):
            if time.monotonic() > ends:
                return
            started = time.perf_counter()
            try:
                status = client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body(message)).status_code
            except httpx.TransportError:
                status = 0
            seen.statuses[status] += 1
            seen.waited_ms.append((time.perf_counter() - started) * 1e3)


def answered_a_second(port: int, seconds: float) -> float:
    """The server's capacity, with 16 clients."""
    seen, ends = Watched(), time.monotonic() + seconds
    with ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(ask_on, port, ends, seen) for _ in range(16)]:
            future.result()
    return seen.statuses[200] / seconds


@contextmanager
def half_open(port: int, n: int) -> Generator[None]:
    """Keep so many connections that have sent half of their headers, reopening those that the server closes."""
    begun, stop = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(port, n, begun, stop))
    process.start()
    begun.wait(START_S)
    try:
        yield
    finally:
        stop.set()
        process.join()


def hold(port: int, n: int, begun: Any, stop: Any) -> None:
    """Keep connections half open until told to stop."""
    connections: list[socket.socket] = []
    while not stop.is_set():
        alive: list[socket.socket] = []
        for connection in connections:
            try:
                connection.sendall(b"X-More: x\r\n")
                alive.append(connection)
            except OSError:
                connection.close()
        connections = alive
        while len(connections) < n and not stop.is_set():
            try:
                connections.append(socket.create_connection((PRESSER, port), timeout=5))
                connections[-1].sendall(HEAD)
            except OSError:
                break
        begun.set()
        time.sleep(0.25)
    for connection in connections:
        connection.close()


@contextmanager
def flood(port: int, per_second: float) -> Generator[dict[int, int]]:
    """Send requests at a fixed pace, without waiting for answers; the yielded dict finally has their statuses."""
    begun, stop, results = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    process = SPAWN.Process(target=press, args=(port, per_second, begun, stop, results))
    process.start()
    begun.wait(START_S)
    statuses: dict[int, int] = {}
    try:
        yield statuses
    finally:
        stop.set()
        statuses |= results.get(timeout=120)
        process.join()


def press(port: int, per_second: float, begun: Any, stop: Any, results: Any) -> None:
    """Send requests until told to stop."""
    begun.set()
    results.put(dict(asyncio.run(pressed(port, per_second, stop))))


async def pressed(port: int, per_second: float, stop: Any) -> Counter[int]:
    """The statuses of requests sent at this pace; 0 if there was no answer."""
    statuses, running, sent, began = Counter[int](), set[Any](), 0, time.monotonic()
    texts = messages()

    async def one(message: str) -> None:
        try:
            reply = await client.post(f"http://{PRESSER}:{port}/v1/chat/completions", json=body(message))
            statuses[reply.status_code] += 1
        except httpx.TransportError:
            statuses[0] += 1

    limits = httpx.Limits(max_connections=2000, max_keepalive_connections=200)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        while not stop.is_set():
            while sent < (time.monotonic() - began) * per_second and len(running) < 2000:
                task = asyncio.ensure_future(one(texts[sent % len(texts)]))
                running.add(task)
                task.add_done_callback(running.discard)
                sent += 1
            await asyncio.sleep(0.01)
        await asyncio.gather(*running)
    return statuses


@contextmanager
def largest_memory(server: psutil.Process) -> Generator[list[float]]:
    """Sample a server's memory in MB, four times a second."""
    sizes, stop = [server.memory_info().rss / 1e6], threading.Event()

    def look() -> None:
        while not stop.wait(0.25):
            sizes.append(server.memory_info().rss / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


@cache
def messages() -> list[str]:
    """Tickets to ask about."""
    return tickets(200)


def body(message: str) -> dict[str, Any]:
    """An ordinary request."""
    return {"model": WORKLOAD, "messages": [{"role": "user", "content": message}], "max_tokens": 32}


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
