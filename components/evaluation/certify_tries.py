"""The scorer of an agent's tries on trial, before anything is optimised against it.

Decides whose tries it is tried on: an agent that does what the reference says, one that does what another task's says,
ones that leave a part of it out, and agents that do no work. What counts as too wrong is `certificate`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import ScorerError
from components.evaluation.agent_exploits import agents_without_work
from components.evaluation.agreement import Share, cohens_kappa, kappa_interval, share
from components.evaluation.certificate import Certificate, Exploit, below_floor
from components.evaluation.certify import SAME, Clerk, Judge
from components.params import AgentParams, CertificateParams, Limits
from components.records import Completion, Example, Message, Score
from components.scorers.trajectories import reference_of
from components.tasks import Dialogue, Policy, Said, call_text, completion_of, open_environment, roll, start_of

RIGHT, WRONG = "what the reference says", "what another task's reference says"
Reference = Mapping[str, Any]
Verdict = tuple[str, Score]  # (group, score)


@dataclass(frozen=True)
class TryTrial:
    """What a scorer of tries is tried on: tasks, how they are asked, how many of them are for changes and tricks."""

    workload: str
    agent: AgentParams
    examples: Sequence[Example]
    asked: Callable[[Example], list[Message]]
    probes: int


class Following:
    """Listens to the end, then makes the calls of a reference and says what it wants said."""

    def __init__(self, references: Mapping[str, Reference], turns: int) -> None:
        """`references` by example id; `turns` is how many the user takes before all is known."""
        self._references, self._turns = references, turns

    def say(self, dialogues: Sequence[Dialogue], limits: Limits) -> list[Said]:
        """A question, then all calls, then an answer."""
        return [self._turn(dialogue) for dialogue in dialogues]

    def _turn(self, dialogue: Dialogue) -> Said:
        reference = self._references[dialogue.name]
        called = any(message.role == "tool" for message in dialogue.messages)
        if not called and sum(message.role == "user" for message in dialogue.messages) < self._turns:
            return Said("What else should I know?")
        if not called and (calls := calls_of(reference)):
            return Said("".join(call_text(call["name"], call.get("arguments", {})) for call in calls))
        return Said(" ".join(reference.get("said", [])) or "That is it.")


def calls_of(reference: Reference) -> list[Mapping[str, Any]]:
    """All calls that a reference names: first those that leave no state, which are looks."""
    calls = list(reference.get("calls", []))
    return [*(call for call in reference.get("must", []) if call not in calls), *calls]


def certify_tries(trial: TryTrial, judge: Judge, params: CertificateParams) -> Certificate:
    """Try a scorer of tries, and hold the figures against the floor. Its own failures are counted, never verdicts."""
    clerk = Clerk(judge)
    references = _references(trial.examples)
    known = [example for example in trial.examples if example.id in references]
    right = _tries(trial, known, references)
    others = _permuted(known, references)
    wrong = _tries(trial, [example for example in known if example.id in others], others)
    scored, again = clerk.judged([*right, *wrong], "tries"), clerk.judged([*right, *wrong], "tries again")
    labels = [True] * len(right) + [False] * len(wrong)
    decided = [
        (example.group or example.id, label, score)
        for (example, _), label, score in zip([*right, *wrong], labels, scored, strict=True)
        if score is not None
    ]
    passed, true = [score.passed for *_, score in decided], [label for _, label, _ in decided]
    certificate = Certificate(
        workload=trial.workload,
        source="built",
        origins={f"right: {RIGHT}": len(right), f"wrong: {WRONG}": len(wrong)},
        false_positive=_share([(group, score.passed) for group, label, score in decided if not label]),
        false_negative=_share([(group, not score.passed) for group, label, score in decided if label]),
        kappa=cohens_kappa(true, passed) if decided else None,
        kappa_range=kappa_interval([group for group, *_ in decided], true, passed) if decided else None,
        alpha=None,
        people_alpha=None,
        repeatable=_share([
            (example.group or example.id, abs(first.value - second.value) <= SAME)
            for (example, _), first, second in zip([*right, *wrong], scored, again, strict=True)
            if first is not None and second is not None
        ]),
        indifferent={},
        sensitive=sensitivity(trial, clerk, known[: trial.probes], references),
        exploits=tricks(trial, clerk),
        scored=clerk.scored,
        failed=clerk.failed,
        failure=clerk.failure,
        override=params.override.get(trial.workload),
    )  # fmt: skip
    return certificate.model_copy(update={"reasons": tuple(below_floor(certificate, params))})


def sensitivity(
    trial: TryTrial, clerk: Clerk, examples: Sequence[Example], references: Mapping[str, Reference]
) -> dict[str, Share]:
    """By what is left out: the share of tries that score lower without it."""
    whole = dict(zip(
        (example.id for example in examples), clerk.judged(_tries(trial, examples, references), "references"),
        strict=True,
    ))  # fmt: skip
    measured: dict[str, Share] = {}
    for name, leave_out in (("calls", _without_a_call), ("said", _without_words)):
        parts = {example.id: part for example in examples if (part := leave_out(references[example.id])) is not None}
        tries = _tries(trial, [example for example in examples if example.id in parts], parts)
        lower = [
            (example.group or example.id, score.value < before.value - SAME)
            for (example, _), score in zip(tries, clerk.judged(tries, f"without {name}"), strict=True)
            if score is not None and (before := whole[example.id]) is not None
        ]
        measured |= {name: share(lower)} if lower else {}
    return measured


def tricks(trial: TryTrial, clerk: Clerk) -> dict[str, Exploit]:
    """What agents that do no work earn, and how often they pass."""
    examples, agent = trial.examples[: trial.probes], trial.agent
    earned: dict[str, Exploit] = {}
    for name, policy in agents_without_work(agent.hand_over, agent.user_turns).items():
        tries = _rolled(trial, examples, policy)
        scores = clerk.judged(tries, name)
        decided: list[Verdict] = [
            (example.group or example.id, score)
            for (example, _), score in zip(tries, scores, strict=True)
            if score is not None
        ]
        if decided:
            value = sum(score.value for _, score in decided) / len(decided)
            passed = share([(group, score.passed) for group, score in decided])
            earned[name] = Exploit(value=value, passed=passed, answer=tries[0][1].text[:300])
    return earned


def _tries(
    trial: TryTrial, examples: Sequence[Example], references: Mapping[str, Reference]
) -> list[tuple[Example, Completion]]:
    """Tries that do what references say."""
    return _rolled(trial, examples, Following(references, trial.agent.user_turns))


def _rolled(trial: TryTrial, examples: Sequence[Example], policy: Policy) -> list[tuple[Example, Completion]]:
    starts = [start_of(example, trial.asked(example)) for example in examples]
    rolled = roll(open_environment(trial.agent.environment), policy, starts, trial.agent.limits)
    return [
        (example, completion_of(attempt.trajectory)) for example, attempt in zip(examples, rolled, strict=True)
    ]  # fmt: skip


def _references(examples: Sequence[Example]) -> dict[str, Reference]:
    """Example id → what its reference says, of those that say it in calls and texts; a user's scorer has its own."""
    known: dict[str, Reference] = {}
    for example in examples:
        try:
            known[example.id] = reference_of(example.reference, example.id)
        except ScorerError:
            continue
    return known


def _permuted(examples: Sequence[Example], references: Mapping[str, Reference]) -> dict[str, Reference]:
    """Example id → the reference of the next one, where that is another."""
    following = [*examples[1:], *examples[:1]]
    return {
        example.id: references[other.id]
        for example, other in zip(examples, following, strict=True)
        if references[other.id] != references[example.id]
    }


def _without_a_call(reference: Reference) -> Reference | None:
    """Without the last call, None where there is none."""
    calls = calls_of(reference)
    return {**reference, "calls": calls[:-1], "must": []} if calls else None


def _without_words(reference: Reference) -> Reference | None:
    """Without what must be said, None where that is nothing."""
    return {**reference, "said": []} if reference.get("said") else None


def _share(verdicts: Sequence[tuple[str, bool]]) -> Share | None:
    return share(verdicts) if verdicts else None
