"""Simulated workloads whose best next rung is known, because every rung can be made.

A world is a table: kinds of cases, each with a right label, and policies over labels. Demonstrations are noisy, prompts
are policies of varying strength, SFT counts demonstrations, RL is policy gradient on rewards with the scorer's errors.
The best rung is determined without the product's rule: each rung is made in full, its true accuracy is known exactly,
and the one worth the most dollars over the horizon is best. If answers can be neither written nor scored, nothing has a
true accuracy, and it is best to define one. How the methods between prompts and RL are made
in a world, `methods_worlds` says.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks import methods_worlds as between
from benchmarks.methods_worlds import softmax
from components.advice import AtHand, Feedback, Scoring, Second, Standing, Training, Trial, none_standing
from components.economics import Case, net_usd
from components.evaluation.metrics import wilson
from components.records import Example, Makes, Need, to_json

KINDS, LABELS = 150, 8
INCUMBENT_USD, OWNED_USD, TRAIN_USD, PROMPT_USD, HORIZON = 0.0004, 0.000002, 5.0, 200.0, 2.0
Table = NDArray[np.floating[Any]]
LEARNS_FROM_SCORES = ("reward", "rejection_sampling", "judged_grpo", "gepa")
MADE: dict[str, tuple[Makes, tuple[Need, ...]]] = {
    "prompt": ("prompt", ()), "sft": ("model", ("demonstrations",)), "grpo": ("model", ("reward",)),
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """A simulated workload: its properties, its people and scorer, and the state of its climb."""

    name: str
    stands: Literal["prompt", "sft", "grpo"] = "prompt"
    demonstrations: int = 8000
    dev: int = 500
    prompts: tuple[float, ...] = (0.4, 0.5, 0.6)
    wrong_kinds: float = 0.0  # share of kinds whose demonstrations are mostly wrong
    wrong_share: float = 0.7  # of the demonstrations of such a kind
    slips: float = 0.03  # of all demonstrations, at random
    disputed: float = 0.0  # share of kinds on whose answer people do not agree
    reads_reference: bool = True
    false_positives: float = 0.0
    false_negatives: float = 0.0
    calls_per_year: float = 5_000_000
    usd_per_error: float = 0.02
    usd_per_label: float = 0.5
    usd_setup: float = 2_000.0
    moves_per_year: float = 0.0  # share of kinds that get another right label in a year
    rl_steps: int = 64
    rl_rate: float = 2.0
    reads_examples: float = 0.0  # share of kinds on which the prompted model follows examples in its prompt
    mended_by_words: float = 0.0  # chance that a reflection mends a kind that a prompt gets wrong; 0: nobody reflects
    family: int = 1  # kinds in a family, of which all but a few have one right label; 1: kinds have nothing in common
    odd: float = 0.1  # share of kinds whose right label is not their family's
    teacher: float = 0.0  # accuracy of a teacher; 0: none is there
    teacher_here: bool = False  # its weights are, with the pupil's vocabulary
    teacher_stands: bool = False  # it is the model that is prompted today, under the best prompt
    inputs: int = 8000  # without demonstrations, that it could answer
    pairs: int = 0  # corrections of what stands
    thumbs: int = 0
    logs: int = 0
    opinion_noise: float = 0.05  # share of opinions that are the wrong way round
    thin: float = 0.0  # share of cases in a slice that train has hardly any of
    generator: bool = False
    long_prompt_usd: float = 0.0  # of a call of one's own model under its long prompt; 0: an API answers prompts
    seed: int = 0


class Simulated:
    """A world as a workbench, which answers everything that a run can be asked, from finite samples."""

    schema: Mapping[str, Any] = {"type": "object", "properties": {"label": {}}}
    horizon = HORIZON

    def __init__(self, world: World) -> None:
        self.world = world
        rng = self._rng = np.random.default_rng([world.seed, *map(ord, world.name)])
        weights = 1 / np.arange(1, KINDS + 1) ** 0.7
        self.weights = weights / weights.sum()
        self.truth = rng.integers(LABELS, size=KINDS)
        self.other = (self.truth + rng.integers(1, LABELS, size=KINDS)) % LABELS  # what wrong demonstrations say
        order = rng.permutation(KINDS)  # kinds with the declared total weight
        reached = np.cumsum(self.weights[order])
        self.wrong = np.isin(np.arange(KINDS), order[reached <= world.wrong_kinds])
        if world.family > 1:
            self._relate()
        self.thin = np.isin(np.arange(KINDS), order[::-1][np.cumsum(self.weights[order[::-1]]) <= world.thin])
        self.disputed = np.isin(np.arange(KINDS), order[::-1][np.cumsum(self.weights[order[::-1]]) <= world.disputed])
        self.passing = rng.random((KINDS, LABELS)) < world.false_positives  # wrong answers that the scorer passes
        self.refused = rng.random(KINDS) < world.false_negatives
        self.base = rng.normal(0.0, 1.0, size=(KINDS, LABELS))
        teacher = self.prompt(world.teacher) if world.teacher else None
        self.versions = {f"v{at}": self.prompt(strength) for at, strength in enumerate(world.prompts)}
        self.teaches = max(self.versions.values(), key=self.accuracy) if world.teacher_stands else teacher
        self.later = self._later()
        self._train = [self._example("train", at) for at in range(world.demonstrations)]
        self._dev = [self._example("dev", at) for at in range(world.dev)]
        self._again = [
            (example, self._answer(self._second(example))) for example in [*self._train[:200], *self._dev[:200]][:200]
        ]

    @property
    def incumbent_usd(self) -> float:
        """A call of the prompt that stands: to an API, or to a model of one's own with a long prompt."""
        return self.world.long_prompt_usd or INCUMBENT_USD

    # --- what is so -------------------------------------------------------------------------------------------------

    def prompt(self, strength: float) -> Table:
        """A policy whose most likely label is right for this share of cases, with varying margins."""
        logits = self._rng.normal(0.0, 1.0, size=(KINDS, LABELS))
        right = self._rng.random(KINDS) < strength
        rows = np.arange(KINDS)
        top = logits.max(axis=1)
        logits[rows, self.truth] = np.where(
            right, top + 1.0 + self._rng.exponential(1.0, KINDS), logits[rows, self.truth]
        )
        wrong = np.where(right, -1, self.other)
        chosen = wrong >= 0
        logits[rows[chosen], self.other[chosen]] = top[chosen] + 1.0
        return logits

    def sft(self, size: int, corrected: bool = False) -> Table:
        """Counts of the first demonstrations, added to the base model's prior."""
        labels = (
            self._labels(self._train[:size], corrected) if size <= len(self._train) else self._more(size, corrected)
        )
        counts = np.zeros((KINDS, LABELS))
        np.add.at(counts, (labels[:, 0], labels[:, 1]), 1.0)
        prior = np.exp(self.base) / np.exp(self.base).sum(axis=1, keepdims=True)
        return np.log(counts + 0.5 * prior)

    def rl(self, start: Table, steps: int, prompts: int = 16, group: int = 8) -> Table:
        """GRPO on the table with the world's rewards, with as many rollouts as in the embedded profile."""
        rng, logits = np.random.default_rng([self.world.seed, 5]), start.copy()
        for _ in range(steps):
            kinds = rng.choice(KINDS, size=prompts, p=self.weights)
            chance = softmax(logits[kinds])
            drawn = (chance.cumsum(axis=1)[:, None, :] > rng.random((prompts, group, 1))).argmax(axis=2)
            reward = self.passes(kinds[:, None], drawn).astype(float)
            spread = reward.std(axis=1, keepdims=True)
            advantage = np.where(spread > 0, (reward - reward.mean(axis=1, keepdims=True)) / (spread + 1e-6), 0.0)
            rise = np.eye(LABELS)[drawn] - chance[:, None, :]
            np.add.at(logits, kinds, self.world.rl_rate * (advantage[:, :, None] * rise).mean(axis=1))
        return logits

    def accuracy(self, logits: Table) -> float:
        """The true share of cases whose most likely label is right; for disputed ones, accepted by the verifier."""
        return float(self.weights @ (logits.argmax(axis=1) == self.truth))

    @cached_property
    def standing_table(self) -> Table:
        """The current policy."""
        if self.world.stands == "prompt":
            return max(self.versions.values(), key=self.accuracy)
        trained = self.sft(len(self._train))
        return trained if self.world.stands == "sft" else self.rl(trained, steps=1000)

    # --- what can be asked ------------------------------------------------------------------------------------------

    def examples(self, split: Literal["train", "dev"]) -> Sequence[Example]:
        return self._train if split == "train" else self._dev

    def judge(self, examples: Sequence[Example], answers: Sequence[str]) -> Sequence[bool | None]:
        return [
            self._judged(example, json.loads(text)["label"]) for example, text in zip(examples, answers, strict=True)
        ]

    def seconds(self) -> Sequence[Second]:
        return self._again

    def standing(self) -> Standing:
        passed = self.passed(self.standing_table)
        name = {"prompt": "best prompt"}.get(self.world.stands, self.world.stands)
        if not self._dev:
            return none_standing()
        makes, learnt_from = MADE[self.world.stands]
        accuracy = wilson(sum(passed), len(passed))
        return Standing(name=name, makes=makes, learnt_from=learnt_from, accuracy=accuracy, n=len(passed),
                        weights=not self.world.teacher_stands)  # fmt: skip

    def prompts(self) -> Mapping[str, tuple[int, int]]:
        return {name: (sum(self.passed(table)), len(self._dev)) for name, table in self.versions.items()}

    def answers(self) -> Sequence[str] | None:
        if self.world.stands == "prompt":
            return None
        best = self.standing_table.argmax(axis=1)
        return [self._answer(int(best[kind(example)])) for example in self._dev]

    def sample(self, examples: Sequence[Example], n: int) -> Sequence[Sequence[str]] | None:
        chance = softmax(self.standing_table)
        rng = np.random.default_rng([self.world.seed, 9])
        return [
            [self._answer(int(rng.choice(LABELS, p=chance[kind(example)]))) for _ in range(n)] for example in examples
        ]

    def learn(self, size: int) -> Trial | None:
        best = self.sft(size).argmax(axis=1)
        return Trial([self._answer(int(best[kind(example)])) for example in self._dev], 10.0, 20_000.0)

    def certified(self) -> Scoring | None:
        """For a verifier without references: 300 answers that people have labelled as right or wrong."""
        if self.world.reads_reference:
            return None
        rng = np.random.default_rng([self.world.seed, 11])
        kinds, labels = rng.choice(KINDS, size=300, p=self.weights), rng.integers(LABELS, size=300)
        labels[:150] = self.truth[kinds[:150]]
        right, passed = labels == self.truth[kinds], self.passes(kinds, labels)
        return Scoring(
            false_positives=wilson(int((passed & ~right).sum()), int((~right).sum())),
            false_negatives=wilson(int((~passed & right).sum()), int(right.sum())),
            n=300, source="labelled answers", reads_reference=False,
        )  # fmt: skip

    def audited(self) -> float | None:
        return 1.0 - between.suspected(self) if self.world.family > 1 else None

    def case(self, rung: Training, trials: Mapping[int, Trial]) -> tuple[Case, float, float] | None:
        if rung == "prompt_distillation":
            return (self._case(TRAIN_USD, 0.0), 0.05, HORIZON) if self.world.long_prompt_usd else None
        dear = 0.0 if self.world.stands in ("sft", "grpo") else self.world.usd_setup
        return self._case(TRAIN_USD + dear, 0.0), 0.05, HORIZON

    def feedback(self) -> Feedback | None:
        return between.feedback(self)

    def slices(self) -> Sequence[str]:
        return ("part",)

    def at_hand(self, trials: Mapping[int, Trial]) -> AtHand:
        return between.at_hand(self)

    def dated_by(self) -> str | None:
        return "date" if self.world.moves_per_year else None

    def watch(self) -> str:
        return ""

    # --- what is best -----------------------------------------------------------------------------------------------

    @cached_property
    def reached(self) -> dict[str, tuple[float, float]]:
        """For each possible next rung: its true accuracy now, and averaged over the horizon."""
        stands = self.accuracy(self.standing_table)
        accuracies: dict[str, tuple[float, float]] = {"stay": (stands, stands)}
        for name, made in self.made.items():
            accuracies[name] = max(map(self.accuracy, made)), max(map(self._lasting, made))
        if self.world.stands == "prompt":
            tried = [max(stands, self.accuracy(self.prompt(strength))) for strength in self._strengths()]
            accuracies["prompt"] = (
                float(np.mean(tried)),
                float(np.mean(tried)),
            )  # a prompt is changed whenever the task moves
        return accuracies

    @cached_property
    def made(self) -> dict[str, tuple[Table, ...]]:
        """For each trainable next rung: its policies, for `label` by two ways to get better demonstrations."""
        w = self.world
        policies: dict[str, tuple[Table, ...]] = {}
        if not w.teacher_stands:  # an API's model, which nobody trains
            policies["reward"] = (self.rl(self.standing_table, w.rl_steps),)
        if w.demonstrations and w.stands == "prompt":
            policies["imitate"] = (self.sft(w.demonstrations),)
        elif w.demonstrations:
            better = self.sft(w.demonstrations, corrected=True), self.sft(2 * w.demonstrations)
            policies["label"] = better if w.stands == "sft" else tuple(self.rl(policy, steps=1000) for policy in better)
        return policies | between.made(self)

    @cached_property
    def once(self) -> dict[str, float]:
        """What making a rung costs once, in US dollars."""
        w = self.world
        first = w.usd_setup if w.stands == "prompt" else 0.0  # then an owned model saves the incumbent's price
        return {
            "stay": 0.0,
            "prompt": PROMPT_USD,
            "imitate": TRAIN_USD + w.usd_setup,
            "reward": TRAIN_USD + first,
            "label": w.usd_per_label * w.demonstrations,
            **between.once(self, TRAIN_USD, PROMPT_USD, HORIZON),
        }

    def worth(self) -> dict[str, float]:
        """Dollars over the horizon of each next rung that can be made, over staying."""
        lasting = {name: figures[1] - self.reached["stay"][1] for name, figures in self.reached.items()}
        unowned = {"stay", "prompt", "few_shot", "gepa"}
        saves = set(self.once) - unowned if self.world.stands == "prompt" else set[str]()
        return {name: self._dollars(gain, self.once[name], owned=name in saves) for name, gain in lasting.items()}

    def gained(self, rung: str, by_scorer: bool) -> float | None:
        """A rung's gain in accuracy, by the scorer or by the truth; None if it cannot be made."""
        before = self.seen(self.standing_table, by_scorer)
        if rung == "prompt":  # another version, of random quality
            strength = float(np.random.default_rng([self.world.seed, 4]).choice(self._strengths()))
            return max(0.0, self.seen(self.prompt(strength), by_scorer) - before)
        made = self.made.get(rung)
        return None if made is None else max(self.seen(policy, by_scorer) for policy in made) - before

    def seen(self, logits: Table, by_scorer: bool) -> float:
        """The share of cases whose most likely label passes the scorer, or is right."""
        best = logits.argmax(axis=1)
        return float(self.weights @ self.passes(np.arange(KINDS), best)) if by_scorer else self.accuracy(logits)

    def best(self) -> str:
        """The most valuable next rung; or to define what is right, if nothing does."""
        w = self.world
        written = w.demonstrations > 0 and w.disputed < 0.5
        scored = w.false_positives <= 0.1 and w.false_negatives <= 0.2 and (written or not w.reads_reference)
        if not written and not scored:
            return "define"
        worth = self.worth()
        allowed = [name for name in worth if scored or name not in LEARNS_FROM_SCORES]  # without a permit none is made
        return max(allowed, key=lambda name: worth[name])

    def _dollars(self, gain: float, once: float, owned: bool = True) -> float:
        """The value over the horizon; an owned model also saves the incumbent's price."""
        if owned:
            return float(net_usd(self._case(once, gain), HORIZON))
        calls = self.world.calls_per_year * HORIZON
        return gain * self.world.usd_per_error * calls - once

    def _case(self, once: float, gain: float) -> Case:
        return Case(
            incumbent_usd=self.incumbent_usd, owned_usd=OWNED_USD, calls_per_year=self.world.calls_per_year,
            investment_usd=once, usd_per_error=self.world.usd_per_error, incumbent_error=max(0.0, gain),
            owned_error=max(0.0, -gain),
        )  # fmt: skip

    def _lasting(self, logits: Table) -> float:
        """Mean true accuracy over the horizon: the policy is constant, the task changes."""
        right = logits.argmax(axis=1) == self.truth
        years = np.linspace(0, HORIZON, 25)
        return float(np.mean([self.weights @ (right & ~(self.later < year)) for year in years]))

    # --- how it is drawn --------------------------------------------------------------------------------------------

    def _strengths(self) -> list[float]:
        """A hundred prompts that could still be written, distributed like those that were tried."""
        tried = self.world.prompts
        return list(np.clip(np.random.default_rng([self.world.seed, 3]).normal(
            np.mean(tried), np.std(tried, ddof=1) if len(tried) > 1 else 0.0, size=100), 0.01, 0.99))  # fmt: skip

    def _later(self) -> Table:
        """Years from now at which each kind's right label changes."""
        speed = self.world.moves_per_year
        return self._rng.exponential(1 / speed, KINDS) if speed else np.full(KINDS, np.inf)

    def _relate(self) -> None:
        """Kinds of a family have one right label, but for odd ones."""
        world, rng = self.world, np.random.default_rng([self.world.seed, 17])
        common = rng.integers(LABELS, size=KINDS)[np.arange(KINDS) // world.family]
        self.truth = np.where(rng.random(KINDS) < world.odd, self.truth, common)
        self.other = (self.truth + rng.integers(1, LABELS, size=KINDS)) % LABELS

    def _drawn(self, split: str) -> int:
        """The kind of a new case; train has one in twenty of those of a thin slice."""
        scarce = np.where(self.thin & (split in ("train", "more")), self.weights / 20, self.weights)
        return int(self._rng.choice(KINDS, p=scarce / scarce.sum()))

    def _example(self, split: str, at: int, which: int | None = None) -> Example:
        which = self._drawn(split) if which is None else which
        label, taught = int(self.truth[which]), self.demonstrated(which)
        if self.disputed[which]:
            label = taught = int(self._rng.choice([self.truth[which], self.other[which]]))
        inputs = {"text": f"{split} {at}", "kind": str(which)}
        if self.world.moves_per_year:
            back = float(self._rng.random())  # years: the examples are those of the last one
            inputs["date"] = (date(2026, 11, 1) - timedelta(days=365 * back)).isoformat()
            label = taught = int(self.truth[which] if back < self.changed[which] else self.former[which])
        return Example(
            id=f"{split}-{at}", input=inputs, demonstration=self._answer(taught), reference=self._answer(label),
            group=f"{split}-{at}", slices={"part": "thin" if self.thin[which] else "usual"},
        )  # fmt: skip

    @cached_property
    def changed(self) -> Table:
        """Years ago at which each kind got its current label."""
        return self._rng.exponential(1 / self.world.moves_per_year, KINDS)

    @cached_property
    def former(self) -> NDArray[Any]:
        """The former labels: half of the kinds had the same one, which is no longer in use."""
        return np.where(self._rng.random(KINDS) < 0.5, 0, self._rng.integers(LABELS, size=KINDS))

    def demonstrated(self, which: int) -> int:
        """What a demonstration of a kind says."""
        if self.wrong[which] and self._rng.random() < self.world.wrong_share:
            return int(self.other[which])
        if self._rng.random() < self.world.slips:
            return int(self._rng.integers(LABELS))
        return int(self.truth[which])

    def _second(self, example: Example) -> int:
        """A second person's answer; the first is the reference."""
        which = kind(example)
        if self.disputed[which]:
            return int(self._rng.choice([self.truth[which], self.other[which]]))
        return json.loads(example.reference)["label"] if self._rng.random() > 0.02 else int(self._rng.integers(LABELS))

    def _labels(self, examples: Sequence[Example], corrected: bool) -> NDArray[Any]:
        side = "reference" if corrected else "demonstration"
        rows = [(kind(example), json.loads(getattr(example, side))["label"]) for example in examples]
        return np.array(rows, dtype=int).reshape(-1, 2)

    def _more(self, size: int, corrected: bool) -> NDArray[Any]:
        more = [self._example("more", at) for at in range(size - len(self._train))]
        return self._labels([*self._train, *more], corrected)

    def labelled(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The kind and the label of every demonstration."""
        rows = self._labels(self._train, corrected=False)
        return rows[:, 0], rows[:, 1]

    def passed(self, logits: Table) -> list[bool]:
        """Passes on dev with greedy answers, by the world's scorer and references."""
        best = logits.argmax(axis=1)
        return [bool(self._judged(example, int(best[kind(example)]))) for example in self._dev]

    def _judged(self, example: Example, label: int) -> bool:
        which = kind(example)
        if not self.world.reads_reference:
            return bool(self.passes(np.array(which), np.array(label)))
        right = label == json.loads(example.reference)["label"]
        return bool(not self.refused[which] if right else self.passing[which, label])

    def passes(self, kinds: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
        """Whether the scorer passes each label of its kind."""
        right = labels == self.truth[kinds]
        return np.where(right, ~self.refused[kinds], self.passing[kinds, labels])

    @staticmethod
    def _answer(label: int) -> str:
        return to_json({"label": label})


def kind(example: Example) -> int:
    """An example's kind of case."""
    return int(example.input["kind"])
