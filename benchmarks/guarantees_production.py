"""The worlds of `guarantees_watch`: frequent customers, weekly rhythms, few labels, failures, non-random feedback.

Each world is a function of a generator that says whether the bounded event happened once. Decisions are the product's,
with the settings of params/pipeline.yaml; the watch's windows have six columns instead of thirty and are smaller, so
that many repetitions are possible.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from components.data.harvest import Candidate, harvest
from components.evaluation.looks import alpha_of_look
from components.params import (
    GateParams,
    HackingParams,
    HarvestParams,
    LabellingParams,
    Pipeline,
    ReleaseParams,
    Workload,
    load,
)
from components.records import Example, Observation, Scored, Trace, Usage
from components.training.hacking_watch import Look, divergence
from monitoring.calibration import limits, measured
from monitoring.canary import Side, compared, judge
from monitoring.columns import Groups, Table, compare
from monitoring.labelling import is_drawn, sample
from monitoring.sequence import Share, variance_of
from monitoring.traffic import Plan, tickets
from monitoring.windows import by_reviewers

Rng = np.random.Generator
Happens = Callable[[Rng], bool]
ROOT = Path(__file__).resolve().parents[1]
SETTINGS = load(ROOT / "params" / "pipeline.yaml", Pipeline)
RELEASE: ReleaseParams = SETTINGS.retraining.release
HACKING: HackingParams = SETTINGS.hacking
HARVEST: HarvestParams = SETTINGS.retraining.harvest
GATE: GateParams = SETTINGS.gate
DECLARED = 0.02  # the watch's false alarm rate in these worlds: the default 0.002 would need 5,000 repetitions
REFERENCE, WINDOW, RESAMPLES = 400, 240, 500


@dataclass(frozen=True)
class Cell:
    """A promise in a world: its limit, and a trial."""

    promise: str
    world: str
    limit: float
    happens: Happens
    at_least: bool = False
    repetitions: int | None = None


# The watch


@dataclass(frozen=True)
class Traffic:
    """Traffic: how often customers ask, whether it has a weekend's mix, and the labelled share of answers.

    With `spoken` people also say unasked which answers are right, of wrong ones more often.
    """

    repeats: int = 1
    weekend: bool = False
    labelled: float = 1.0
    right: float = 0.9
    named: bool = True
    spoken: bool = False

    def rows(self, rng: Rng, n: int) -> tuple[pd.DataFrame, Groups]:
        """Rows in time order; a customer asks nearly the same thing several times in a row and gets the same answer."""
        customers = np.arange(n) // self.repeats
        count = int(customers[-1]) + 1
        kinds = rng.choice(3, count, p=(0.2, 0.3, 0.5) if self.weekend else (0.5, 0.3, 0.2))[customers]
        words = np.exp(rng.normal(2 + 0.3 * self.weekend, 0.5, count))[customers]
        amount = np.where(rng.random(count) < 0.7, 0.0, np.exp(rng.normal(3, 1, count)))[customers]
        score = (rng.random(count) < self.right)[customers].astype(float)
        if self.spoken:
            score = judged(rng, score, self.labelled)
        else:
            score[rng.random(n) >= self.labelled] = np.nan
        frame = pd.DataFrame({
            "input.words": words + rng.normal(0, 0.1, n), "output.amount": amount,
            "output.confidence": rng.beta(9, 1, count)[customers],
            "output.kind": np.array(["late", "bill", "lost"])[kinds],
            "output.urgent": np.where((rng.random(count) < 0.1)[customers], "yes", "no"), "quality.score": score,
        })  # fmt: skip
        return frame, Groups(customers if self.named else None, np.arange(n) // int(np.ceil(2 * n ** (1 / 3))))


def judged(rng: Rng, right: np.ndarray, share: float) -> np.ndarray:
    """Scores as the product takes them; NaN where it has none.

    People say unasked that half of the wrong answers are wrong, and that 5 % of the right ones are right. A share of
    all answers is drawn by the hash of their ids; reviewers label 95 % of those.
    """
    ids = [f"chatcmpl-{number:x}" for number in rng.integers(1 << 62, size=len(right))]
    usage = Usage(input_tokens=90, output_tokens=50)
    traces = [
        Trace(id=name, at=at + 1.0, workload="triage", version=1, method="sft", input={"message": name}, messages=(),
              text="{}", finish_reason="stop", usage=usage, latency_ms=20.0, valid=True)
        for at, name in enumerate(ids)
    ]  # fmt: skip
    spoken, read = rng.random(len(right)) < np.where(right > 0, 0.05, 0.5), rng.random(len(right)) < 0.95
    drawn = np.array([is_drawn(name, share) for name in ids])
    words = [
        Scored(trace_id=ids[at], at=at + 2.0, workload="triage", source="feedback", value=right[at],
               passed=bool(right[at]), reviewer=reviewer)
        for reviewer, rows in ((False, spoken), (True, drawn & read)) for at in np.flatnonzero(rows)
    ]  # fmt: skip
    labels = sample([trace for trace, is_in in zip(traces, drawn, strict=True) if is_in], by_reviewers(words))
    known = labels.right if labels.complete(LabellingParams().complete) else {}
    return np.array([float(known[name]) if name in known else np.nan for name in ids])


def watch_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The watch's columns: an amount (mostly 0) as a label and as a number, and whether answers were right."""
    zero, score = frame["output.amount"] == 0, frame["quality.score"]
    labels = pd.Series(np.where(score == 1, "1", "another"), dtype=object).where(score.notna(), None)
    others = frame["output.amount"].where(~zero)
    amount = zero.map(lambda is_zero: "0" if is_zero else "another")
    amounts = {"output.amount": amount, "output.amount (others)": others}
    return frame.assign(**amounts, **{"quality.score": labels})


def alarm(rng: Rng, now: Traffic, usual: Traffic, looks: int = 1) -> bool:
    """Whether a window without drift is called drifted at any look, each after the same number of new rows."""
    before, old = usual.rows(rng, REFERENCE)
    rows, groups = now.rows(rng, WINDOW if looks == 1 else 2 * WINDOW)
    numbers = ("input.words", "output.amount (others)", "output.confidence")
    for look in range(looks):
        start = look * WINDOW // looks if looks > 1 else 0
        window = slice(start, start + WINDOW)
        groups_in_window = Groups(
            *(None if part is None else part[window] for part in (groups.customers, groups.blocks))
        )
        labels = ("output.kind", "output.urgent", "output.amount", "quality.score")
        table = Table(
            watch_columns(before),
            watch_columns(rows.iloc[window].reset_index(drop=True)),
            numbers,
            labels,
            (old, groups_in_window),
        )
        allowed, values = limits(table, DECLARED / looks, RESAMPLES, look), measured(table)
        if any(values[name] > allowed[name] for name in values):
            return True
    return False


DRIFTS = ("new-wording", "new-product", "shifted-mix", "broken-field")
HARMED = {
    "new-wording": 0.39,
    "new-product": 0.41,
    "shifted-mix": 0.05,
    "broken-field": 0.35,
}  # measured shares of wrong answers


def seen(rng: Rng, drift: str) -> bool:
    """Whether a drift in simulated tickets is detected at one of four looks, each after 125 tickets (the default).

    The champion is simulated: a known share of its answers has a wrong intent. Inputs are described only by their
    texts, without embeddings; drawn answers are labelled.
    """
    workload, seed = load(ROOT / "params" / "workloads" / "triage.yaml", Workload), int(rng.integers(1 << 30))
    usual = [_answered(ticket, 0.05, rng) for ticket in tickets(workload, Plan(800, "none", 800, 0.0, seed))]
    stream = [_answered(ticket, 0.05, rng) for ticket in tickets(workload, Plan(500, "none", 500, 0.0, seed + 1))]
    stream += [
        _answered(ticket, HARMED[drift], rng) for ticket in tickets(workload, Plan(500, drift, 0, 0.0, seed + 2))
    ]
    settings = SETTINGS.watch
    for end in range(625, 1001, 125):
        table = compare(usual, stream[max(0, end - settings.window_rows) : end], workload.output, None, 0)
        allowed, values = limits(table, settings.false_alarms * 125 / end, settings.resamples, end), measured(table)
        if any(values[name] > allowed[name] for name in values):
            return True
    return False


def _answered(example: Example, wrong: float, rng: Rng) -> Observation:
    """A ticket with a simulated champion's answer; a tenth of the answers are labelled."""
    right = bool(rng.random() >= wrong)
    answer = json.loads(example.reference)
    if not right:
        answer["intent"] = str(rng.choice(["billing_error", "not_received", "cancel_order"]))
    return Observation(
        input={"message": example.input["message"]}, text=json.dumps(answer), output_tokens=50, valid=True,
        score=float(right) if rng.random() < 0.1 else None,
    )  # fmt: skip


# The canary


def asked(rng: Rng, n: int, repeats: int, good: float, *, mixed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Customers and whether their answers were good, correlated within customers, in time order."""
    customers = np.arange(n) // repeats
    answers = (rng.random(int(customers[-1]) + 1) < good)[customers]
    order = rng.permutation(n) if mixed else np.arange(n)
    return customers[order], answers[order]


def shares(customers: np.ndarray, good: np.ndarray, looks: Sequence[int]) -> list[Share]:
    """The share of good answers at each look."""
    parts: list[Share] = []
    for end in looks:
        sizes = np.bincount(customers[:end]).astype(float)
        sums = np.bincount(customers[:end], weights=good[:end], minlength=len(sizes))
        there = sizes > 0
        parts.append(Share(int(sums.sum()), end, int(there.sum()), variance_of(sums[there], sizes[there])))
    return parts


def released(
    rng: Rng, good: tuple[float, float], repeats: int = 1, labelled: float = 1.0, *, mixed: bool = True
) -> str:
    """The fate of a canary compared with the champion (shares of good answers), in sixty looks at 40,000 requests."""
    return fate(rng, good, repeats, labelled, mixed=mixed)[0]


def fate(
    rng: Rng, good: tuple[float, float], repeats: int = 1, labelled: float = 1.0, *, mixed: bool = True
) -> tuple[str, str]:
    """The decision about such a canary, and its reason."""
    ends = np.unique(np.geomspace(0.005, 1, 60))
    sides: list[list[Share]] = []
    for share, quality in zip((0.8, 0.2), good, strict=True):
        customers, answers = asked(rng, int(40_000 * share), repeats, quality, mixed=mixed)
        labelled_rows = rng.random(len(customers)) < labelled
        looks = [int(labelled_rows[: int(len(labelled_rows) * end)].sum()) for end in ends]
        sides.append(shares(customers[labelled_rows], answers[labelled_rows], looks))
    decision, reason = "waiting", ""
    for champion, canary in zip(*sides, strict=True):
        decision, reason = compared("right", champion, canary, RELEASE.canary_labelled, RELEASE)
        if decision != "waiting":
            break
    return decision, reason


def says(rng: Rng, good: tuple[float, float]) -> bool:
    """Whether a canary of customers who ask 8 times with 10 % labelled is decided, or waits for so many answers."""
    decision, reason = fate(rng, good, 8, 0.1)
    return (
        decision != "waiting" or re.search(r"waiting for (about [\d,]+ more|a clearer difference)", reason) is not None
    )


def of_day(rng: Rng, valid: float, *, heard: bool = True, labelled: bool = False) -> str:
    """The fate of a canary with known valid answers, failures and silence, with or without labels."""

    def side(n: int, quality: float) -> Side:
        answers = [(f"{name}", bool(good)) for name, good in enumerate(rng.random(n) < quality)]
        return Side(answers, answers if labelled else (), n if labelled else n // 10)

    canary = side(500, valid) if heard else Side()
    return judge(side(2000, 0.99), canary, RELEASE, 0.2, 0.9).decision


# The watch over the reward


def hacked(rng: Rng, n: int, repeats: int, looks: int, fall: float = 0.0) -> bool:
    """Whether a training is stopped: at each look 15 % of dev's groups get new answers; from some look on, all fall.

    At first 80 % are right. The fall comes after three fifths of the looks and persists.
    """
    groups = n // repeats
    ids, names = [str(at) for at in range(groups * repeats)], [str(at // repeats) for at in range(groups * repeats)]
    right, falls_at, seen = rng.random(groups) < 0.8, 3 * looks // 5, list[tuple[int, Look]]()
    for step in range(looks):
        level = 0.8 - fall * (step >= falls_at)
        again = rng.random(groups) < 0.15
        right = np.where(again, rng.random(groups) < level, right)
        if fall and step == falls_at:
            right &= rng.random(groups) >= fall / 0.8
        earned = [0.5 + 0.01 * step] * len(ids)
        sealed = np.repeat(right, repeats).astype(float).tolist()
        seen.append((step, Look(0.5, earned, sealed, [""] * len(ids), ids, names)))
        if divergence(seen, looks, HACKING):
            return True
    return False


# The harvest


def replaced(rng: Rng, retrainings: int, *, drawn: bool) -> bool:
    """Whether any of so many equal challengers replaces the champion on a sealed split that grows by harvests.

    People correct half of the wrong answers and confirm 5 % of the right ones. With `drawn`, a tenth of the requests
    are set aside and fully labelled, as in the product; otherwise spontaneous feedback is sealed.
    """
    from scipy.stats import binomtest

    sealed = rng.random((400, 2)) < 0.9  # whether the champion and the first retraining's challenger are right
    for look in range(1, retrainings + 1):
        right = rng.random(3000) < 0.9
        known = rng.random(3000) < np.where(right, 0.05, 0.5)
        aside = rng.random(3000) < 0.1
        named = [f"{look}-{at}-{rng.integers(2**62)}" for at in range(3000)]
        if drawn:
            harvested = harvest(_candidates(named, right, aside), (), 1.0, HARVEST)
            taken = [row.example.id for row in harvested if row.split == "sealed"]
        else:
            taken = [f"P-{named[at]}" for at in np.flatnonzero(known)]
        places = {f"P-{name}": at for at, name in enumerate(named)}
        champion = np.concatenate([sealed[:, 0], right[[places[name] for name in taken]]])
        challenger = np.concatenate([rng.random(len(sealed)) < 0.9, rng.random(len(taken)) < 0.9])
        fixed, broken = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
        p_value = binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
        if fixed > broken and p_value <= alpha_of_look(GATE, look):
            return True
        sealed = np.stack([champion, challenger], axis=1)
    return False


def _candidates(names: Sequence[str], right: np.ndarray, aside: np.ndarray) -> list[Candidate]:
    """Answers that were set aside and fully labelled: wrong ones corrected, right ones confirmed."""
    return [
        Candidate(
            trace_id=names[at], input={"message": names[at]}, answer="{}", reviewed=True, drawn=True,
            source="scored" if right[at] else "corrected",
        )
        for at in map(int, np.flatnonzero(aside))
    ]  # fmt: skip


def _is(decision: str, of: Callable[..., str], *given: object, **named: object) -> Happens:
    return lambda rng: of(rng, *given, **named) == decision


# fmt: off
FALSE = f"the watch calls at most {DECLARED:.0%} of windows without drift drifted"
WORSE, EQUAL = "a canary worse by 5 points is promoted in at most 5 %", "an equal canary is withdrawn in at most 5 %"
HONEST, SEEN = "at most 10 % of honest trainings are stopped", "a fall of 10 points is seen in at least 80 %"
KEPT = "equal challengers are promoted in at most 5 %, over all looks"
DATA = Traffic()
SPOKEN = "people speak of wrong answers ten times as often, 30 % drawn and labelled"
WORLDS = {
    "independent": {}, "customers ask 8 times in a row": {"repeats": 8, "mixed": False},
    "customers ask 8 times, mixed": {"repeats": 8}, "10 % labelled": {"labelled": 0.1},
    "10 % labelled, customers ask 8 times": {"repeats": 8, "labelled": 0.1},
}  # fmt: skip
WEEK = Traffic(4, weekend=True, labelled=0.3)
CELLS: tuple[Cell, ...] = (
    *(Cell(FALSE, f"customers ask {n} times", DECLARED, partial(alarm, now=Traffic(n), usual=DATA))
      for n in (1, 2, 4, 8)),
    Cell(FALSE, "customers without names ask 8 times in a row", DECLARED,
         partial(alarm, now=Traffic(8, named=False), usual=DATA)),
    Cell(FALSE, "weekend mix, compared with earlier weekends", DECLARED,
         partial(alarm, now=Traffic(weekend=True), usual=Traffic(weekend=True))),
    Cell(FALSE, "30 % drawn and labelled", DECLARED, partial(alarm, now=Traffic(labelled=0.3), usual=DATA)),
    *(Cell(FALSE, f"{SPOKEN}, customers ask {n} times", DECLARED,
           partial(alarm, now=Traffic(n, labelled=0.3, spoken=True), usual=DATA)) for n in (1, 8)),
    Cell(FALSE, "four looks at each window", DECLARED, partial(alarm, now=DATA, usual=DATA, looks=4)),
    Cell(FALSE, "customers ask 4 times × weekends × 30 % labelled × four looks", DECLARED,
         partial(alarm, now=WEEK, usual=WEEK, looks=4)),
    *(Cell(WORSE, name, RELEASE.alpha, _is("promoted", released, (0.9, 0.85), **world))
      for name, world in WORLDS.items()),
    *(Cell(EQUAL, name, RELEASE.alpha, _is("withdrawn", released, (0.9, 0.9), **world))
      for name, world in WORLDS.items()),
    Cell("an equal canary is promoted in at least 80 %", "independent", 0.8,
         _is("promoted", released, (0.9, 0.9)), at_least=True),
    Cell("a canary is decided, or says for what it waits", "10 % labelled, customers ask 8 times, equal", 1.0,
         partial(says, good=(0.9, 0.9)), at_least=True),
    Cell("a canary without labels is not promoted", "40 points worse, no scores", 0.0, _is("promoted", of_day, 0.99)),
    Cell("a canary that fails is withdrawn", "only time-outs, no scores", 1.0, _is("withdrawn", of_day, 0.0),
         at_least=True),
    Cell("a canary that is not heard of is withdrawn", "silence", 1.0, _is("withdrawn", of_day, 0.99, heard=False),
         at_least=True),
    Cell(HONEST, "500 dev examples, 5 looks", 0.1, partial(hacked, n=500, repeats=1, looks=5)),
    Cell(HONEST, "500 dev examples in groups of 4, 5 looks", 0.1, partial(hacked, n=500, repeats=4, looks=5)),
    Cell(HONEST, "500 dev examples in groups of 4, 33 looks", 0.1, partial(hacked, n=500, repeats=4, looks=33)),
    Cell(SEEN, "150 dev examples, 5 looks", 0.8, partial(hacked, n=150, repeats=1, looks=5, fall=0.1), at_least=True),
    Cell(SEEN, "500 dev examples, 5 looks", 0.8, partial(hacked, n=500, repeats=1, looks=5, fall=0.1), at_least=True),
    Cell(SEEN, "500 dev examples in groups of 4, 5 looks", 0.8,
         partial(hacked, n=500, repeats=4, looks=5, fall=0.1), at_least=True),
    Cell(SEEN, "500 dev examples, 33 looks", 0.8, partial(hacked, n=500, repeats=1, looks=33, fall=0.1), at_least=True),
    Cell(SEEN, "500 dev examples in groups of 4, 33 looks", 0.8,
         partial(hacked, n=500, repeats=4, looks=33, fall=0.1), at_least=True),
    *(Cell(KEPT, f"sealed grown by harvest, drawn before they were answered, {n} retraining{'s' * (n > 1)}", 0.05,
           partial(replaced, retrainings=n, drawn=True)) for n in (1, 3)),
    *(Cell("a drift is seen within 500 requests in all of ten runs", drift, 1.0, partial(seen, drift=drift),
           at_least=True, repetitions=10) for drift in DRIFTS),
)  # fmt: skip
