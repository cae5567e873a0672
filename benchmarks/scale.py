"""How many servers, at what cost, for 10⁶ to 10¹⁰ calls a day: a queueing simulation with measured service rates.

Service rates are those of a server with nano on two cores at 1, 8 and 32 clients (benchmarks/serving.json); arrivals
are simulated (Poisson, with the peak hour at three times the daily mean) and split evenly over servers. `make
bench-scale` writes benchmarks/scale.json. Nothing was actually run at such a load.
"""

import argparse
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine_speed import machine, write
from components.economics import load_prices
from components.stages.run import PRICES

ROOT = Path(__file__).resolve().parent
MEASURED, RECORD = ROOT / "serving.json", ROOT / "scale.json"
MACHINE = "laptop_2_cores"
CALLS_A_DAY = (10**6, 10**8, 10**10)
PEAK = 3.0  # of the mean
P95_S = 2.0
DAY_S = 86_400


@dataclass(frozen=True)
class Server:
    """Answers per second by concurrency, linearly interpolated between measurements."""

    rates: tuple[tuple[int, float], ...]

    def rate(self, at_once: int) -> float:
        """Answers per second; constant beyond the highest measured concurrency."""
        low = (0, 0.0)
        for high in self.rates:
            if at_once <= high[0]:
                return low[1] + (high[1] - low[1]) * (at_once - low[0]) / (high[0] - low[0])
            low = high
        return low[1]

    @property
    def most(self) -> int:
        """The maximum number of concurrent requests; others wait."""
        return self.rates[-1][0]


def measured(record: dict[str, Any]) -> Server:
    """The server in the record."""
    rates = {
        int(clients): rates_of_clients["gradus serve"]["requests_per_second"]
        for clients, rates_of_clients in record["clients"].items()
    }
    return Server(tuple(sorted(rates.items())))


def p95(server: Server, per_second: float, requests: int, seed: int) -> float:
    """The 95th percentile of seconds from a request's arrival to its answer, on a single server."""
    chance, now = random.Random(seed), 0.0
    waiting: list[float] = []
    served: list[float] = []
    took: list[float] = []
    while len(took) < requests:
        rate = server.rate(len(served))
        now += chance.expovariate(per_second + rate)
        if chance.random() * (per_second + rate) < per_second:
            (served if len(served) < server.most else waiting).append(now)
        else:
            done = served.pop(chance.randrange(len(served)))
            took.append(now - done)
            if waiting:
                served.append(waiting.pop(0))
        if len(waiting) > requests // 10:  # the queue grows without bound
            return math.inf
    return sorted(took[len(took) // 10 :])[int(0.95 * 0.9 * len(took))]


def most_a_second(server: Server, requests: int, seed: int) -> float:
    """The highest rate at which the percentile is below P95_S, to a twentieth of the server's capacity."""
    best = server.rates[-1][1]
    rates = [best * step / 20 for step in range(1, 20)]
    return max((rate for rate in rates if p95(server, rate, requests, seed) <= P95_S), default=0.0)


def rows(server: Server, usd_per_hour: float, requests: int, seed: int) -> dict[str, Any]:
    """A row per number of calls a day."""
    rate = most_a_second(server, requests, seed)
    by_calls: dict[str, Any] = {}
    for calls in CALLS_A_DAY:
        servers = math.ceil(PEAK * calls / DAY_S / rate)
        usd = servers * usd_per_hour * 24
        by_calls[str(calls)] = {
            "peak_calls_per_second": PEAK * calls / DAY_S,
            "servers": servers,
            "p95_s": p95(server, PEAK * calls / DAY_S / servers, requests, seed),
            "usd_per_day": usd,
            "usd_per_1k_calls": usd / calls * 1000,
        }
    return {"calls_per_second_of_a_server": rate, "calls_per_day": by_calls}


def main() -> None:
    """Write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="simulated at each rate")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = measured(json.loads(MEASURED.read_text(encoding="utf-8")))
    price = load_prices(PRICES).machine(MACHINE).usd_per_hour
    record = {
        "simulated": True,
        "command": f"python -m benchmarks.scale --requests {options.requests} --seed {options.seed}",
        "service": {str(clients): rate for clients, rate in server.rates},
        "priced_as": MACHINE,
        "peak_over_mean": PEAK,
        "p95_bound_s": P95_S,
        **rows(server, price, options.requests, options.seed),
    }
    kept: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    write(RECORD, kept | machine() | record)


if __name__ == "__main__":
    main()
