"""The methods between prompts and RL, made in full in a simulated world (`worlds.Simulated`), and what it has for them.

Each is what the method does, on a table of kinds and labels: counting answers, weighing them, drawing and keeping those
that pass. None of it knows how the advice expects a gain.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.advice import AtHand, Feedback, Rung, Shown, Takes, Teacher
from components.advice.ways import COSTS
from components.evaluation.metrics import wilson
from components.records import Logged
from components.stages.at_hand import log_evidence

if TYPE_CHECKING:
    from benchmarks.worlds import Simulated, Table

REMEMBERED = 20.0  # demonstrations of a kind that what a model started from counts as much as
PRIOR = 0.5  # those that the base model's belief does
SHOTS, BANK, SAMPLED, DRAWS, NEW = 4, 2000, 4000, 4, 1000
ROUNDS, READ = 12, 6  # of a searched prompt, and the answers that a round reads
TEMPERATURE, MOST_WEIGHT = 0.3, 10.0  # of weighted logs
SHOTS_USD = 0.0001  # that examples add to a call
TRAINED = ("relabel", "rejection_sampling", "weighted_sft", "pairs", "thumbs", "synthetic", "on_policy_distillation")
CALL_USD = 0.0004  # of a teacher's or a reflecting model's answer


def made(world: "Simulated") -> dict[str, tuple["Table", ...]]:
    """By method that can be made next: what comes of it."""
    w, tables = world.world, dict[str, tuple["Table", ...]]()
    if w.stands == "prompt":
        if w.reads_examples and w.demonstrations:
            tables["few_shot"] = (shown(world),)
        if w.mended_by_words:
            tables["gepa"] = (searched(world),)
        if w.long_prompt_usd:
            tables["prompt_distillation"] = (distilled(world, world.standing_table),)
    if w.demonstrations and w.family > 1:
        tables["relabel"] = (counted(relabelled(world), softmax(world.base), PRIOR),)
    if world.teaches is not None:
        tables["on_policy_distillation" if w.teacher_here else "teacher_answers"] = (
            distilled(world, world.teaches) if w.teacher_here else taught(world, world.teaches),
        )
    if not w.teacher_stands:
        tables["rejection_sampling"] = (sampled(world),)
    if w.stands != "prompt":
        tables |= _by_opinions(world)
        if w.generator and w.thin:
            tables["synthetic"] = (enriched(world),)
    return tables


def _by_opinions(world: "Simulated") -> dict[str, tuple["Table", ...]]:
    w, tables = world.world, dict[str, tuple["Table", ...]]()
    if w.pairs:
        tables["pairs"] = (preferred(world),)
    if w.thumbs:
        tables["thumbs"] = (thumbed(world),)
    if w.logs:
        tables["weighted_sft"] = (weighted(world),)
    return tables


def once(world: "Simulated", train_usd: float, prompt_usd: float, years: float) -> dict[str, float]:
    """What making each costs once, in US dollars; what examples in the prompt cost with every call is among it."""
    w = world.world
    first = w.usd_setup if w.stands == "prompt" else 0.0
    return {
        **{name: first + train_usd for name in TRAINED},
        "few_shot": prompt_usd + SHOTS_USD * w.calls_per_year * years,
        "gepa": prompt_usd + 1000 * CALL_USD, "prompt_distillation": first + train_usd,
        "teacher_answers": first + train_usd + w.inputs * CALL_USD,
    }  # fmt: skip


# --- what a world has for them --------------------------------------------------------------------------------------


def at_hand(world: "Simulated") -> AtHand:
    """What the advice may use, from finite samples."""
    w, n = world.world, len(world.examples("dev"))
    examples, teacher = None, None
    if w.stands == "prompt" and w.reads_examples and w.demonstrations and n:
        examples = Shown(accuracy=wilson(sum(world.passed(shown(world))), n), n=n)
    if world.teaches is not None and n:
        accuracy = wilson(sum(world.passed(world.teaches)), n)
        teacher = Teacher(
            name="teacher", accuracy=accuracy, n=n, inputs=w.inputs, weights=w.teacher_here, stands=w.teacher_stands
        )
    costs: dict[Rung, Takes] = {rung: Takes(seconds=0.0, usd=world.once[rung]) for rung in COSTS if rung in world.once}
    return AtHand(
        takes=costs,
        usd_per_point=w.usd_per_error * w.calls_per_year * world.horizon / 100,
        shown=examples,
        reflects=w.mended_by_words > 0,
        teacher=teacher,
        invents=w.generator,
    )


def feedback(world: "Simulated") -> Feedback:
    """Opinions on what stands, counted, and what its logs promise."""
    thumbs = opinions(world, world.world.thumbs, 31)[2]
    kinds, drawn, good = logged(world)
    lines = [Logged(example_id=str(at), text=str(drawn[at]), score=float(good[at])) for at in range(len(kinds))]
    evidence = log_evidence(lines)
    return evidence.model_copy(update={
        "pairs": int((~opinions(world, world.world.pairs, 33)[2]).sum()), "good": int(thumbs.sum()),
        "bad": int((~thumbs).sum()),
    })  # fmt: skip


def opinions(world: "Simulated", n: int, stream: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(kind, answer, good) of n requests that what stands has answered greedily, as people judged them."""
    rng = np.random.default_rng([world.world.seed, stream])
    kinds = rng.choice(len(world.weights), size=n, p=world.weights)
    answers = world.standing_table.argmax(axis=1)[kinds]
    return kinds, answers, (answers == world.truth[kinds]) != (rng.random(n) < world.world.opinion_noise)


def logged(world: "Simulated") -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(kind, answer, good) of requests whose answers were drawn."""
    rng = np.random.default_rng([world.world.seed, 35])
    kinds = rng.choice(len(world.weights), size=world.world.logs, p=world.weights)
    answers = draw(softmax(world.standing_table)[kinds], rng)
    return kinds, answers, (answers == world.truth[kinds]) != (rng.random(len(kinds)) < world.world.opinion_noise)


def suspected(world: "Simulated") -> float:
    """The audit's expected share of wrong demonstrations: how surely their family contradicts those that it does."""
    kinds, labels = world.labelled()
    usual, sure = _families(world)
    doubted = (labels != usual[kinds]) & (sure[kinds] > 0.5)
    return float((sure[kinds] * doubted).sum() / max(1, len(kinds)))


def _families(world: "Simulated") -> tuple[NDArray[Any], NDArray[Any]]:
    """By kind: the commonest label of its family's other kinds, and how sure it is that this is right.

    No surer than such families are right of all demonstrations: the audit's probabilities are cross-validated too.
    """
    kinds, labels = world.labelled()
    counts = counts_of(kinds, labels)
    family = np.arange(len(counts)) // world.world.family
    others = np.stack([counts[family == family[kind]].sum(axis=0) - counts[kind] for kind in range(len(counts))])
    usual, sure = others.argmax(axis=1), others.max(axis=1) / np.maximum(1.0, others.sum(axis=1))
    agreeing = labels == usual[kinds]
    right = agreeing[sure[kinds] > 0.5].mean() if (sure[kinds] > 0.5).any() else 0.0
    return usual, np.minimum(sure, right)


# --- how they are made ----------------------------------------------------------------------------------------------


def counts_of(kinds: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any] | float = 1.0) -> "Table":
    """How much was shown of each label for each kind."""
    from benchmarks.worlds import KINDS, LABELS

    counts = np.zeros((KINDS, LABELS))
    np.add.at(counts, (kinds, labels), weights)
    return counts


def counted(counts: "Table", start: "Table", remembered: float) -> "Table":
    """Training on counted answers, on top of what a model believed before."""
    return np.log(counts + remembered * start + 1e-9)


def shown(world: "Simulated") -> "Table":
    """The best prompt with examples of the same kind, of which the commonest label is followed where it is read."""
    rng = np.random.default_rng([world.world.seed, 41])
    kinds, labels = (part[:BANK] for part in world.labelled())
    logits = world.standing_table.copy()
    for kind in np.flatnonzero(rng.random(len(logits)) < world.world.reads_examples):
        own = labels[kinds == kind]
        if len(own):
            likest = np.bincount(rng.choice(own, size=min(SHOTS, len(own)), replace=False))
            logits[kind, likest.argmax()] = logits[kind].max() + 2.0
    return logits


def searched(world: "Simulated") -> "Table":
    """Rounds of reading wrong answers and rewording: some kinds are mended, one in fifty is broken; dev decides."""
    rng, best = np.random.default_rng([world.world.seed, 43]), world.standing_table
    for _ in range(ROUNDS):
        new, wrong = best.copy(), best.argmax(axis=1) != world.truth
        if not wrong.any():
            break
        seen = world.weights * wrong
        read = rng.choice(len(seen), size=READ, p=seen / seen.sum())
        # What words say of one kind helps others like it: as many again as were read.
        alike = rng.choice(len(seen), size=READ, p=seen / seen.sum())
        for kind in {*read.tolist(), *alike.tolist()}:
            if rng.random() < world.world.mended_by_words:
                new[kind, world.truth[kind]] = new[kind].max() + 1.0
        for kind in np.flatnonzero(rng.random(len(new)) < 0.02):
            new[kind, world.other[kind]] = new[kind].max() + 1.0
        if sum(world.passed(new)) > sum(world.passed(best)):
            best = new
    return best


def relabelled(world: "Simulated") -> "Table":
    """Counts of demonstrations, of which suspects say what their family says."""
    kinds, labels = world.labelled()
    usual, sure = _families(world)
    return counts_of(kinds, np.where((labels != usual[kinds]) & (sure[kinds] > 0.5), usual[kinds], labels))


def taught(world: "Simulated", teacher: "Table") -> "Table":
    """SFT of the base model on a teacher's answers to inputs."""
    rng = np.random.default_rng([world.world.seed, 45])
    kinds = rng.choice(len(world.weights), size=world.world.inputs, p=world.weights)
    return counted(counts_of(kinds, teacher.argmax(axis=1)[kinds]), softmax(world.base), PRIOR)


def distilled(world: "Simulated", teacher: "Table") -> "Table":
    """The base model drawn to a teacher's distribution, half of the way whenever a kind comes by."""
    rng = np.random.default_rng([world.world.seed, 47])
    seen = np.bincount(rng.choice(len(world.weights), size=3200, p=world.weights), minlength=len(world.weights))
    left = 0.5 ** seen[:, None]
    return np.log((1 - left) * softmax(teacher) + left * softmax(world.base) + 1e-9)


def sampled(world: "Simulated") -> "Table":
    """SFT on own answers that pass, one to a prompt, the commonest; of prompts that were always passed, half."""
    rng = np.random.default_rng([world.world.seed, 49])
    start = softmax(world.standing_table)
    kinds = rng.choice(len(start), size=SAMPLED, p=world.weights)
    drawn = np.stack([draw(start[kinds], rng) for _ in range(DRAWS)], axis=1)
    passed = world.passes(kinds[:, None], drawn)
    easy = passed.all(axis=1) & (rng.random(SAMPLED) < 0.5)
    kept = [
        (kind, np.bincount(answers[right]).argmax())
        for kind, answers, right, dropped in zip(kinds, drawn, passed, easy, strict=True)
        if right.any() and not dropped
    ]
    rows = np.array(kept, dtype=int).reshape(-1, 2)
    return counted(counts_of(rows[:, 0], rows[:, 1]), start, REMEMBERED)


def preferred(world: "Simulated", step: float = 0.5) -> "Table":
    """DPO on corrections: the right answer up and what was answered down, by how far they are apart already."""
    kinds, answers, good = opinions(world, world.world.pairs, 33)
    logits, start = world.standing_table.copy(), world.standing_table
    for kind, answer in zip(kinds[~good], answers[~good], strict=True):
        right = world.truth[kind] if world.truth[kind] != answer else world.other[kind]
        margin = (logits[kind, right] - logits[kind, answer]) - (start[kind, right] - start[kind, answer])
        pull = step / (1.0 + np.exp(margin))
        logits[kind, right] += pull
        logits[kind, answer] -= pull
    return logits


def thumbed(world: "Simulated", step: float = 0.5) -> "Table":
    """KTO: good answers up, bad ones down, both kinds weighing alike."""
    kinds, answers, good = opinions(world, world.world.thumbs, 31)
    logits, start = world.standing_table.copy(), world.standing_table
    weights = {True: 1.0, False: min(20.0, max(1.0, good.sum() / max(1, (~good).sum())))}
    for kind, answer, is_good in zip(kinds, answers, good, strict=True):
        margin = (logits[kind, answer] - start[kind, answer]) * (1 if is_good else -1)
        pull = 0.5 * step * weights[bool(is_good)] / (1.0 + np.exp(margin))
        logits[kind, answer] += pull if is_good else -pull
    return logits


def weighted(world: "Simulated") -> "Table":
    """SFT on logged answers, each as heavy as its score is above the usual one."""
    kinds, answers, good = logged(world)
    tilt = np.exp((good - good.mean()) / TEMPERATURE)
    heavy = np.minimum(MOST_WEIGHT, tilt)
    return counted(counts_of(kinds, answers, heavy / heavy.mean()), softmax(world.standing_table), REMEMBERED)


def enriched(world: "Simulated") -> "Table":
    """SFT on train and on new examples of the thin slice, with the errors that demonstrations have."""
    kinds, labels = world.labelled()
    rng = np.random.default_rng([world.world.seed, 51])
    scarce = world.weights * world.thin
    new = rng.choice(len(scarce), size=NEW, p=scarce / scarce.sum())
    demonstrated = np.array([world.demonstrated(int(kind)) for kind in new])
    return counted(counts_of(np.r_[kinds, new], np.r_[labels, demonstrated]), softmax(world.base), PRIOR)


def draw(chance: "Table", rng: np.random.Generator) -> NDArray[Any]:
    """An answer by each row's distribution."""
    return (chance.cumsum(axis=1) > rng.random((len(chance), 1))).argmax(axis=1)


def softmax(logits: "Table") -> "Table":
    """Row by row."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)
