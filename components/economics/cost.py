"""From usage to money: an API's calls cost by their tokens, an owned model's by machine hours.

An owned model costs its share of a machine: the hours that its calls keep it busy, divided by the utilisation, because
idle hours are paid for as well. A year on a machine of its own costs at least all its hours. Electricity, staff and the
training itself are left out.
"""

from dataclasses import dataclass

from components.economics.breakeven import usd_of_year
from components.economics.prices import SECONDS_PER_HOUR, MachinePrice, ModelPrice
from components.errors import DataError
from components.records import Cost


@dataclass(frozen=True)
class Demand:
    """The demand on a rung: calls a year, and the share in [0, 1] that it answers right.

    `own_machine` says whether the workload pays for a machine around the clock.
    """

    calls_per_year: int
    accuracy: float
    own_machine: bool = False


def api_cost(
    price: ModelPrice, input_tokens: float, output_tokens: float, demand: Demand, *, measured: bool = False
) -> Cost:
    """The cost of an API model from its mean tokens per call; `measured` if that API itself gave the answers.

    Raises:
        DataError: Tokens are negative, or the accuracy is not in [0, 1].
    """
    if input_tokens < 0 or output_tokens < 0:
        raise DataError(f"expected tokens ≥ 0, found {input_tokens:g} in and {output_tokens:g} out")
    return _cost(price.usd(input_tokens, output_tokens), demand, measured)


def owned_cost(machine: MachinePrice, calls_per_hour: float, demand: Demand) -> Cost:
    """The cost of an owned model from the measured number of calls that its machine answers in a busy hour.

    Raises:
        DataError: The throughput is not above 0, or the accuracy is not in [0, 1].
    """
    usd_per_call = owned_usd(machine, calls_per_hour)
    around_the_clock = machine.usd_per_hour if demand.own_machine else 0.0
    return _cost(usd_per_call, demand, measured=True, machine_usd_per_hour=around_the_clock)


def owned_usd(machine: MachinePrice, calls_per_hour: float) -> float:
    """What a call of an owned model costs in US dollars: its share of a machine, idle hours included.

    Raises:
        DataError: The throughput is not above 0.
    """
    if not calls_per_hour > 0:
        raise DataError(f"expected a throughput above 0 calls an hour, found {calls_per_hour:g}")
    return machine.usd_per_hour / (calls_per_hour * machine.utilisation)


def calls_per_hour(calls: int, seconds: float) -> float:
    """The throughput of calls answered in this wall time, with batching and concurrency.

    Raises:
        DataError: There were no calls, or they took no time.
    """
    if calls < 1 or not seconds > 0:
        raise DataError(f"expected calls in a time above 0 s, found {calls} in {seconds:g} s")
    return calls / seconds * SECONDS_PER_HOUR


def _cost(usd_per_call: float, demand: Demand, measured: bool, machine_usd_per_hour: float = 0.0) -> Cost:
    if not 0 <= demand.accuracy <= 1:
        raise DataError(f"expected an accuracy in [0, 1], found {demand.accuracy:g}")
    return Cost(
        usd_per_1k_calls=1000 * usd_per_call,
        usd_per_year=float(usd_of_year(demand.calls_per_year, usd_per_call, machine_usd_per_hour)),
        usd_per_1k_correct=1000 * usd_per_call / demand.accuracy if demand.accuracy else None,
        measured=measured,
    )
