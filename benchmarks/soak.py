"""A long run of a server at part of its capacity: do memory and descriptors stay constant?

There are sixteen clients, as many as share a batch; each pauses after an answer, so that it is active for the given
share of the time, however fast the machine is. Requests are streamed or not, at two temperatures, some invalid, some
cancelled, and every tenth answer gets feedback. The server's memory, descriptors and threads are sampled once a second.
Memory is constant if the median of the last quarter is at most a twentieth above that of the second, by which time
one-off allocations are done.

    python -m benchmarks.soak --minutes 60 --load 0.5
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.engine_speed import machine, write
from benchmarks.pressure import body, messages, percentile, started

ROOT = Path(__file__).resolve().parents[1]
MOST_GROWTH = 0.05  # of memory, from the second quarter to the last
CLIENTS = 16
JSON = {"content-type": "application/json"}


@dataclass
class Looks:
    """The server's resources, once a second."""

    rss_mb: list[float] = field(default_factory=list[float])
    descriptors: list[int] = field(default_factory=list[int])
    threads: list[int] = field(default_factory=list[int])


@dataclass
class Asked:
    """The outcomes of the requests."""

    statuses: Counter[str] = field(default_factory=Counter[str])
    waited_ms: list[float] = field(default_factory=list[float])


def main() -> None:
    """Measure, print, write the record."""
    options = parse()
    with started("soak") as (port, server):
        looks, stop = Looks(), threading.Event()
        watching = threading.Thread(target=look, args=(server, looks, stop))
        watching.start()
        try:
            asked = asyncio.run(ask(port, options.load, options.minutes * 60, options.seed))
        finally:
            stop.set()
            watching.join()
    record = summary(looks, asked) | {"minutes": options.minutes, "load": options.load}
    print(json.dumps(record, indent=1))
    write(options.output, record | machine() | {"command": " ".join(["python -m benchmarks.soak", *sys.argv[1:]])})
    if not all(record["met"].values()):
        raise SystemExit("memory, descriptors or threads grew, or requests failed")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--load", type=float, default=0.5, help="of the capacity")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "soak.json")
    return parser.parse_args()


def look(server: psutil.Process, looks: Looks, stop: threading.Event) -> None:
    """Sample once a second until told to stop."""
    while not stop.wait(1.0):
        with server.oneshot():
            looks.rss_mb.append(server.memory_info().rss / 1e6)
            looks.descriptors.append(server.num_fds())
            looks.threads.append(server.num_threads())


async def ask(port: int, load: float, seconds: float, seed: int) -> Asked:
    """Run sixteen clients; each pauses after an answer, so that it is active for this share of the time."""
    asked, texts, ends = Asked(), messages(), time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=300, trust_env=False) as client:

        async def many(number: int) -> None:
            rng = random.Random(f"{seed}/{number}")
            while time.monotonic() < ends:
                began = time.monotonic()
                await one(client, asked, rng, rng.choice(texts))
                await asyncio.sleep((time.monotonic() - began) * (1 / load - 1))

        await asyncio.gather(*(many(number) for number in range(CLIENTS)))
    return asked


async def one(client: httpx.AsyncClient, asked: Asked, rng: random.Random, message: str) -> None:
    """Send a request of the mix, and sometimes feedback on its answer."""
    request, kind = body(message), rng.random()
    request |= {"temperature": rng.choice((0.0, 0.0, 0.7)), "stream": kind < 0.3}
    began = time.perf_counter()
    try:
        if kind > 0.97:  # wrong
            reply = await client.post("/v1/chat/completions", content=b'{"model": ', headers=JSON)
            asked.statuses[f"wrong: {reply.status_code}"] += 1
        elif kind > 0.94:  # taken back
            await asyncio.wait_for(client.post("/v1/chat/completions", json=request), 0.05)
        else:
            reply = await client.post("/v1/chat/completions", json=request)
            asked.statuses[str(reply.status_code)] += 1
            asked.waited_ms.append((time.perf_counter() - began) * 1e3)
            if kind > 0.84 and reply.status_code == 200:
                feedback = {"id": reply.json()["id"], "score": 1.0}
                response = await client.post("/v1/feedback", json=feedback)
                asked.statuses[f"feedback: {response.status_code}"] += 1
    except TimeoutError:
        asked.statuses["taken back"] += 1
    except httpx.TransportError as error:
        asked.statuses[type(error).__name__] += 1


def summary(looks: Looks, asked: Asked) -> dict[str, Any]:
    """The figures, and whether they are constant."""
    second, last = (quarter(looks.rss_mb, number) for number in (1, 3))
    files, threads = ([max(part(values, number)) for number in (1, 3)] for values in (looks.descriptors, looks.threads))
    expected = ("200", "feedback: 200", "feedback: 429", "wrong: 400", "taken back")  # 429: a sender's cap of a day
    good = sum(asked.statuses[name] for name in expected)
    return {
        "requests": asked.statuses.total(), "statuses": dict(sorted(asked.statuses.items())),
        "waited_ms_p50": percentile(asked.waited_ms, 50), "waited_ms_p99": percentile(asked.waited_ms, 99),
        "rss_mb_second_quarter": second, "rss_mb_last_quarter": last, "rss_mb_max": max(looks.rss_mb),
        "rss_mb_by_minute": [round(statistics.median(looks.rss_mb[at : at + 60]), 1)
                             for at in range(0, len(looks.rss_mb), 60)],
        "descriptors_max_second_and_last_quarter": files, "threads_max_second_and_last_quarter": threads,
        "met": {
            "memory": last <= second * (1 + MOST_GROWTH), "descriptors": files[1] <= files[0] + 8,
            "threads": threads[1] <= threads[0] + 2, "answered": good >= 0.999 * asked.statuses.total(),
        },
    }  # fmt: skip


def part(values: Sequence[float], number: int) -> Sequence[float]:
    """A quarter of the samples."""
    return values[number * len(values) // 4 : (number + 1) * len(values) // 4]


def quarter(values: Sequence[float], number: int) -> float:
    """A quarter's median."""
    return statistics.median(part(values, number))


if __name__ == "__main__":
    main()
