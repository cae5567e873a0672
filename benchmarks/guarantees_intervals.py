"""Which intervals hold the truth in groups, also few and unequal ones: the candidates of which the product has one.

Thousands of samples at once: an interval holds a truth if its statistic there is within the critical value, which needs
no search for its ends. Shares are Wilson's with the design effect, differences Tango's; they differ in what is added to
the effect for what was not seen (in groups of each extreme), and in the quantile. Means of bounded values differ in the
statistic. The product's own are marked with *; `guarantees` measures those themselves.

    python -m benchmarks.guarantees_intervals             # per cent, a minute or two on one core
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from benchmarks.ladder import machine
from components.stages.run import git_commit

OUT = Path(__file__).resolve().parent / "guarantees-intervals.json"
Array = NDArray[np.floating]
Candidate = tuple[float, str]  # what is added to the effect, and the quantile
WORLDS = ((125, 4), (125, -4), (60, -4), (30, 4), (30, 8), (30, -4), (10, 4), (10, -4))  # negative: geometric sizes
SHARES = {"t, ¼": (0.25, "t"), "Student's, ¼": (0.25, "score"), "z, 0": (0.0, "z"), "z, ¼": (0.25, "z"),
          "z, ½ *": (0.5, "z")}  # fmt: skip
MEANS = ("score, t", "score, z", "root, z", "both, z *", "likelihood, z")


def main() -> None:
    """Print and record the coverage of each candidate in each world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=9061)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for row in coverages(np.random.default_rng(options.seed), options.repetitions):
        print(json.dumps(row, ensure_ascii=False), flush=True)
        rows.append(row)
    record = {
        "command": " ".join(["python -m benchmarks.guarantees_intervals", *sys.argv[1:]]), "machine": machine(),
        "date": date.today().isoformat(), "git_commit": git_commit(), "seed": options.seed, "simulated": True,
        "repetitions": options.repetitions, "rows": rows,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def coverages(rng: np.random.Generator, repetitions: int) -> Iterator[dict[str, Any]]:
    """For each world and figure, in how many per cent of samples each candidate holds the truth."""

    def row(k: int, size: int, name: str, candidates: tuple[str, ...], covered: list[float]) -> dict[str, Any]:
        groups = f"{k} groups of {size}" if size > 0 else f"{k} groups of 1 to many, mean {-size}"
        return {"world": groups, "figure": name} | {
            candidate: round(100 * part, 1) for candidate, part in zip(candidates, covered, strict=True)
        }

    for k, size in WORLDS:
        sizes = sizes_of(rng, repetitions, k, size)
        for name, covered in shares(rng, sizes):
            yield row(k, size, name, tuple(SHARES), covered)
    for k, size in (*WORLDS, (200, 1)):
        sizes = sizes_of(rng, repetitions // 2, k, size)
        for name, sums, truth in means(rng, sizes):
            yield row(k, size, name, MEANS, mean_candidates(sums, sizes, truth))


def sizes_of(rng: np.random.Generator, times: int, k: int, size: int) -> Array:
    """The sizes of k groups in so many samples."""
    return rng.geometric(-1 / size, (times, k)) * 1.0 if size < 0 else np.full((times, k), float(size))


def shares(rng: np.random.Generator, sizes: Array) -> Iterator[tuple[str, list[float]]]:
    """Accuracies of groups that agree, error rates of groups of which half agree, differences of groups that agree."""
    times, truth, often = len(sizes), rng.uniform(0.6, 0.95, len(sizes)), rng.uniform(0.05, 0.3, len(sizes))
    sums = (rng.random(sizes.shape) < truth[:, None]) * sizes
    yield "share", [share_holds(sums, sizes, truth, how) for how in SHARES.values()]
    alike, of_group = rng.random(sizes.shape) < 0.5, rng.random(sizes.shape) < often[:, None]
    sums = np.where(alike, of_group * sizes, rng.binomial(sizes.astype(int), often[:, None]))
    yield "errors", [share_holds(sums, sizes, often, how) for how in SHARES.values()]
    moved, up = rng.uniform(0.08, 0.3, times), rng.uniform(0.3, 0.7, times)
    sign = np.where(rng.random(sizes.shape) < up[:, None], 1.0, -1.0) * (rng.random(sizes.shape) < moved[:, None])
    truth = moved * (2 * up - 1)
    yield "difference", [difference_holds(sign * sizes, sizes, truth, how) for how in SHARES.values()]


def critical(sums: Array, squares: Array, sizes: Array, ends: tuple[float, float], candidate: Candidate) -> Array:
    """The critical value in errors of independent examples: a quantile times the root of the design effect."""
    unseen, how = candidate
    n = sizes.sum(axis=1)
    mean, typical = sums.sum(axis=1) / n, (sizes**2).sum(axis=1) / n
    added = unseen * sum((end - mean) ** 2 for end in ends)
    between = ((sums - mean[:, None] * sizes) ** 2 / (1 - sizes / n[:, None])).sum(axis=1) + added * typical**2
    simple = (squares - n * mean**2) * n / (n - 1)
    effect = np.where(simple > 1e-12, between / np.maximum(simple + added * typical, 1e-300), typical)
    freedom = freedom_of(sizes)
    student = t.ppf(0.975, freedom)
    quantile = {
        "t": student,
        "z": norm.ppf(0.975),
        "score": np.sqrt((freedom + 1) * student**2 / (freedom + student**2)),
    }[how]
    return quantile * np.sqrt(np.clip(effect, 1, n))


def freedom_of(sizes: Array) -> Array:
    """Degrees of freedom of the variance between groups."""
    weights = sizes**2
    return np.maximum(1.0, weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1) - 1)


def share_holds(sums: Array, sizes: Array, truth: Array, candidate: Candidate) -> float:
    """How often Wilson's interval holds the truth."""
    n, right = sizes.sum(axis=1), sums.sum(axis=1)
    width = critical(sums, right, sizes, (0.0, 1.0), candidate) * np.sqrt(truth * (1 - truth) / n)
    return float((np.abs(right / n - truth) <= width + 1e-12).mean())


def difference_holds(sums: Array, sizes: Array, truth: Array, candidate: Candidate) -> float:
    """How often Tango's interval holds the truth."""
    n, moved, net = sizes.sum(axis=1), np.abs(sums).sum(axis=1), sums.sum(axis=1)
    linear = (2 * n - net) * truth - moved
    broken = (moved - net) / 2
    q = (np.sqrt(np.maximum(0, linear**2 + 8 * n * broken * truth * (1 - truth))) - linear) / (4 * n)
    width = critical(sums, moved, sizes, (-1.0, 1.0), candidate) * np.sqrt(
        np.maximum(0, n * (2 * q + truth * (1 - truth)))
    )
    return float((np.abs(net - n * truth) <= width + 1e-9).mean())


def means(rng: np.random.Generator, sizes: Array) -> Iterator[tuple[str, Array, Array]]:
    """Sums of groups and true means: graded scores, tries of eight that pass, and rare failures."""
    times = len(sizes)
    a, b = rng.uniform(2, 8, times), rng.uniform(1, 4, times)
    yield "scores", rng.beta(a[:, None], b[:, None], sizes.shape) * sizes, a / (a + b)
    a, b = rng.uniform(0.5, 2, times), rng.uniform(0.5, 2, times)
    chance = rng.beta(a[:, None], b[:, None], sizes.shape)
    yield "pass@1 of 8", rng.binomial((8 * sizes).astype(int), chance) / 8, a / (a + b)
    for rare in (0.005, 0.01, 0.02):
        yield f"{rare:.1%} fail", 0.9 * (rng.random(sizes.shape) >= rare) * sizes, np.full(times, 0.9 * (1 - rare))


def mean_candidates(sums: Array, sizes: Array, truth: Array) -> list[float]:
    """How often each of MEANS holds the truth."""
    k = sizes.shape[1]
    values, weights = nearest(sums, sizes, truth)
    mean = values[:, :-1].mean(axis=1)
    score = mean * np.sqrt(k / np.maximum((weights * values**2).sum(axis=1), 1e-300))
    root = root_of(values, weights, mean, k)
    likelihood = np.sqrt(np.maximum(0, -2 * np.log(np.maximum(k * weights[:, :-1], 1e-300)).sum(axis=1)))
    student, z = t.ppf(0.975, freedom_of(sizes)) * np.sqrt(k / (k - 1)), norm.ppf(0.975)
    held = (score <= student, score <= z, root <= z, (score + root) / 2 <= z, likelihood <= z)
    return [float(each.mean()) for each in held]


def nearest(sums: Array, sizes: Array, at: Array) -> tuple[Array, Array]:
    """The hypotheses of `components.evaluation.bounded`: values, the extreme last, and their chances."""
    above = sums - at[:, None] * sizes
    mirrored = above.sum(axis=1) < 0
    above = np.where(mirrored[:, None], -above, above)
    worst = (sizes**2).sum(axis=1) / sizes.sum(axis=1) * np.where(mirrored, at - 1, -at)
    low, high = np.zeros(len(at)), 1 / np.maximum(np.maximum(-worst, -above.min(axis=1)), 1e-12)

    def balance(tilt: Array) -> Array:
        return (above / np.maximum(1 + tilt[:, None] * above, 1e-12)).sum(axis=1)

    all_of_it, most = balance(high) > 0, high.copy()
    for _ in range(45):
        middle = (low + high) / 2
        positive = balance(middle) > 0
        low, high = np.where(positive, middle, low), np.where(positive, high, middle)
    tilt = np.where(all_of_it, most, (low + high) / 2)
    weights = 1 / np.maximum(1 + tilt[:, None] * above, 1e-12) / sizes.shape[1]
    rest = np.maximum(0, 1 - weights.sum(axis=1))
    return np.column_stack([above, worst]), np.column_stack([weights, rest])


def root_of(values: Array, weights: Array, mean: Array, k: int) -> Array:
    """The signed likelihood roots among exponential tilts."""
    top = values.max(axis=1)

    def mass(tilt: Array) -> Array:
        return weights * np.exp(np.clip(tilt[:, None] * (values - top[:, None]), -700, 0))

    def tilted(tilt: Array) -> Array:
        each = mass(tilt)
        return (each * values).sum(axis=1) / each.sum(axis=1)

    low, high = np.zeros(len(mean)), 1 / np.sqrt(np.maximum((weights * values**2).sum(axis=1), 1e-18))
    for _ in range(30):
        high = np.where(tilted(high) < mean, 2 * high, high)
    for _ in range(50):
        middle = (low + high) / 2
        below = tilted(middle) < mean
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    log_mass = np.log(np.maximum(mass(high).sum(axis=1), 1e-300))
    return np.sqrt(np.maximum(0, 2 * k * (high * (mean - top) - log_mass)))


if __name__ == "__main__":
    main()
