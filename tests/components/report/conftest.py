"""A ladder as a good run leaves it: loose prompt, schema, definitions, SFT and GRPO over a classical floor."""

import math
from typing import Any

import pytest

from components.records import (
    Comparison,
    Cost,
    DataSummary,
    Interval,
    Ladder,
    Latency,
    RungResult,
    Score,
    Verdict,
    to_json,
)
from components.report import Change, Changes, Curve, Evidence, PriceLine
from components.workloads.triage import Ticket, generate

N = 1_000
CALLS = 5_000_000
FIELDS = ("intent", "priority", "product", "order_id", "amount", "wants_refund")
CHANNELS, DIFFICULTIES = ("chat", "mail", "web_form"), ("plain", "amount_and_signal", "lookalike", "two_orders")
INTENTS = ("billing_error", "cancel_order", "damaged_item", "order_status", "refund_status", "wrong_item")

# name, method, parent, right, valid, fixed, broken, tokens in, tokens out, measured, milliseconds, seconds to make
RUNGS: tuple[tuple[str, Any, str | None, int, int, int, int, float, float, bool, float, float], ...] = (
    ("classical", "classical", None, 412, 1000, 0, 0, 0, 0, True, 0.4, 6.2),
    ("loose", "prompt", None, 11, 32, 0, 0, 104, 61, False, 95.0, 41.0),
    ("schema", "prompt", "loose", 338, 991, 329, 2, 266, 48, False, 71.0, 38.0),
    ("schema_definitions", "prompt", "schema", 561, 993, 252, 29, 742, 48, False, 88.0, 66.0),
    ("sft", "sft", "schema_definitions", 903, 998, 361, 19, 81, 47, True, 34.0, 171.0),
    ("grpo", "grpo", "sft", 964, 999, 71, 10, 81, 47, True, 34.0, 246.0),
)


def wilson(right: int, n: int = N) -> Interval:
    share, z = right / n, 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


def cost(tokens_in: float, tokens_out: float, measured: bool, right: int) -> Cost:
    """gpt-4.1-mini's list price, or a small machine that answers 40 calls a second."""
    per_call = 0.0816 / (40 * 3600 * 0.5) if measured else (0.4 * tokens_in + 1.6 * tokens_out) / 1e6
    return Cost(
        usd_per_1k_calls=1000 * per_call,
        usd_per_year=CALLS * per_call,
        usd_per_1k_correct=1000 * per_call * N / right,
        measured=measured,
    )


MAKES: dict[str, Any] = {"classical": "classifier", "prompt": "prompt", "sft": "model", "grpo": "model"}


def rung(line: tuple[Any, ...]) -> RungResult:
    name, method, parent, right, valid, fixed, broken, tokens_in, tokens_out, measured, latency, seconds = line
    share, delta = right / N, (fixed - broken) / N
    spread = 1.96 * math.sqrt(fixed + broken) / N
    versus = Comparison(delta=delta, low=delta - spread, high=delta + spread, p_value=1e-12, fixed=fixed, broken=broken)
    return RungResult(
        name=name, method=method, makes=MAKES[method], parent=parent, n=N, accuracy=wilson(right),
        validity=wilson(valid),
        fields={field: share ** (0.1 + 0.06 * number) for number, field in enumerate(FIELDS)},
        slices={
            "channel": {value: min(1.0, share * (1.03 - 0.02 * at)) for at, value in enumerate(CHANNELS)},
            "difficulty": {value: min(1.0, share * (1.06 - 0.07 * at)) for at, value in enumerate(DIFFICULTIES)},
            "intent": {value: min(1.0, share * (1.04 - 0.025 * at)) for at, value in enumerate(INTENTS)},
        },
        slice_sizes={"channel": dict(zip(CHANNELS, (500, 300, 200), strict=True))},
        usage={"input_tokens": tokens_in, "output_tokens": tokens_out},
        latency_ms=Latency(p50=latency, p95=2.1 * latency),
        cost=cost(tokens_in, tokens_out, measured, right),
        vs_parent=versus if parent else None, seconds=seconds, mlflow_run_id=f"run-of-{name}",
    )  # fmt: skip


def example(ticket: Ticket, parent: str, child: str) -> Change:
    gold = to_json(ticket.gold)
    was, now = (Score(value=float(answer == gold), passed=answer == gold) for answer in (parent, child))
    return Change(
        example_id=ticket.id, message=ticket.message, reference=gold,
        parent_answer=parent, parent_score=was, answer=child, score=now,
    )  # fmt: skip


def curve(steps: range, shape: Any) -> Curve:
    """A shape over steps with a reproducible roughness."""
    return [(float(step), shape(step) * (1 + 0.06 * math.sin(7.3 * step) * math.cos(2.1 * step))) for step in steps]


@pytest.fixture(scope="session")
def ladder() -> Ladder:
    return Ladder(
        workload="triage", profile="nano", seed=20261122, simulated=True,
        data=DataSummary(
            version="5f3a9c01d2e4b6", train=3000, dev=500, test=N, sealed=1000, quarantined=37,
            demonstration_accuracy=0.909,
        ),
        rungs=tuple(rung(line) for line in RUNGS),
        gate=Verdict(
            champion="sft", challenger="grpo", decision="promoted",
            reasons=(
                "1,000 sealed examples, at least the 200 that the gate asks for.",
                "99.9% of grpo's answers are valid, at least the 95.0% that the gate asks for.",
                "grpo is right on 96.1%, sft on 90.4%: +5.7 points (95 % interval +4.0 to +7.5), at least the +0.0 "
                "that the gate asks for.",
                "68 examples fixed and 11 broken: McNemar's exact p = 2.2e-11 at alpha 0.05, so grpo is significantly "
                "better.",
            ),
        ),
        seconds={"data": 9.1, "classical": 6.2, "prompts": 145.0, "sft": 171.0, "grpo": 246.0, "evaluate": 38.0},
    )  # fmt: skip


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    wrong = [ticket for ticket in generate(400, 5) if ticket.demonstration != ticket.gold]
    right = [ticket for ticket in generate(40, 6) if ticket.demonstration == ticket.gold]
    gold, taught = (lambda ticket: to_json(ticket.gold)), (lambda ticket: to_json(ticket.demonstration))
    loose = "The customer is unhappy about a parcel and it seems to be urgent. They may want their money back."
    return Evidence(
        description=(
            "Customer-operations tickets to one JSON object of six fields. A seeded generator writes the tickets, and "
            "the demonstrations are wrong on purpose in about 9 % of cases, as people and models are."
        ),
        model="models/nano", incumbent="gpt-4.1-mini", calls_per_year=CALLS,
        changes={
            "schema": Changes(
                fixed=tuple(example(ticket, loose, gold(ticket)) for ticket in right[:5]),
                broken=tuple(example(ticket, gold(ticket), '{"intent": "wrong_item", "prio') for ticket in right[5:7]),
            ),
            "sft": Changes(fixed=tuple(example(ticket, taught(ticket), gold(ticket)) for ticket in wrong[10:15])),
            "grpo": Changes(
                fixed=tuple(example(ticket, taught(ticket), gold(ticket)) for ticket in wrong[:7]),
                broken=tuple(example(ticket, gold(ticket), taught(ticket)) for ticket in wrong[20:23]),
            ),
        },
        curves={
            "sft": {
                "loss": curve(range(1, 377, 3), lambda step: 0.02 + 1.1 * math.exp(-step / 45)),
                "dev_score": [(step, 0.904 - 0.55 * math.exp(-step / 80)) for step in range(47, 377, 47)],
                "learning_rate": [(step, 0.001 * min(step / 19, (377 - step) / 358)) for step in range(1, 377, 3)],
            },
            "grpo": {
                "reward": curve(range(1, 81), lambda step: 0.97 - 0.14 * math.exp(-step / 25)),
                "dev_score": [(0, 0.902), (10, 0.914), (20, 0.93), (30, 0.948), (40, 0.952), (50, 0.966), (60, 0.96)],
                "kl": curve(range(1, 81), lambda step: 0.0009 * step),
                "entropy": curve(range(1, 81), lambda step: 0.04 + 0.09 * math.exp(-step / 40)),
                "zero_variance_share": curve(range(1, 81), lambda step: 0.35 + 0.004 * step),
                "completion_length": curve(range(1, 81), lambda step: 47.0),
            },
        },
        quarantine={"near-duplicate of a training row": 29, "order_id does not match its pattern": 8},
        warnings=("intent refund_status is rare: 1.9 % of train.",),
        prices=(
            PriceLine(
                name="gpt-4.1-mini", price="$0.4 a million input tokens, $1.6 a million output tokens",
                source="mlflow 3.17.2, model_catalog/openai.json", date="2026-08-17", checked=True,
            ),
            PriceLine(
                name="laptop_2_cores", price="$0.0816 an hour, busy 50% of the time: Two cores and no GPU",
                source="https://www.factualminds.com/blog/amazon-ec2-on-demand-pricing-instance-families-2026/",
                date="2026-06-17", checked=False,
            ),
        ),
    )  # fmt: skip
