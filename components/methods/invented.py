"""New examples of given slices: drawn from the workload's generator, or written and answered by a teacher.

Decides what is asked for, how much at once, and what a new example looks like; whether it is new and sound is decided
elsewhere.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from components.data.sources import generated
from components.engines import ChatRequest, Sampling
from components.errors import ConfigError
from components.methods.job import Job
from components.methods.teacher_answers import accepted
from components.methods.teachers import TeacherSession
from components.params import GeneratedSource
from components.records import Completion, Example, Message
from components.scorers.answers import NotAnAnswer, read_object

Targets = Sequence[tuple[str, str]]
"""(slice, value) pairs."""
SHOWN = 5  # examples of a slice that a teacher sees
AT_ONCE = 10  # inputs that a teacher writes in one reply, at most
BYTES = 2  # of a token: fewer than most have, in any script
LEAST_TOKENS, USUAL_TOKENS, MOST_TOKENS = 2048, 4096, 8192  # of a reply: one long input may take more than is usual
OTHER_SEED = 7_919  # added to the source's seed
NO_INPUTS = {"stop": "malformed_replies", "length": "cut_replies", "error": "failed_replies"}
WRITE = """You write new inputs of the kind that you are shown, for a data set. They are about the same things, in the
same style and length, and each is a new case: none repeats what you are shown, or another.
Return JSON: {{"inputs": [...]}} with {n} objects that have the keys {columns}."""


def thin(train: Sequence[Example], names: Sequence[str], share: float) -> list[tuple[str, str]]:
    """The values of these slices that less than `share` of train has, the rarest first."""
    counts = Counter((name, example.slices[name]) for example in train for name in names if name in example.slices)
    rare = [(n, key) for key, n in counts.items() if n < share * len(train)]
    return [key for _, key in sorted(rare)]


def drawn(job: Job, targets: Targets, wanted: int, most: int) -> Iterator[Example]:
    """Up to `wanted` examples of the targets from the workload's generator, with another seed.

    Raises:
        ConfigError: The workload has no generator.
    """
    source = job.workload.source
    if not isinstance(source, GeneratedSource):
        raise ConfigError(
            f"source: generator is for workloads whose source is one, found {source.kind} ({job.workload.name})"
        )
    other = source.model_copy(update={"seed": source.seed + OTHER_SEED + job.seed})
    of_these = (
        example
        for example in generated(job.workload, other, most)
        if any(example.slices.get(name) == value for name, value in targets)
    )
    for number, example in enumerate(islice(of_these, wanted), start=1):
        yield named(example, number)


def written(job: Job, session: TeacherSession, targets: Targets, wanted: int, counts: Counter[str]) -> list[Example]:
    """Examples of the targets whose inputs a teacher wrote and answered; invalid answers are left out.

    Replies without inputs are counted in `counts`; if a first batch has no others, no more are asked for.
    """
    rng = random.Random(job.seed)
    requests: list[tuple[ChatRequest, tuple[str, str]]] = []
    planned, most, tokens = 0, 1, LEAST_TOKENS
    while planned < wanted:
        number = len(requests)
        name, value = targets[number % len(targets)]
        candidates = [inputs_of_one for inputs_of_one in job.train if inputs_of_one.slices.get(name) == value]
        shown = rng.sample(candidates, min(SHOWN, len(candidates))) or rng.sample(
            list(job.train), min(SHOWN, len(job.train))
        )
        texts = [
            json.dumps({name: example.input[name] for name in job.columns}, ensure_ascii=False) for example in shown
        ]
        longest = max(len(text.encode()) for text in texts) // BYTES
        n = max(1, min(AT_ONCE, USUAL_TOKENS // longest))
        conversation = _conversation(job.columns, texts, n, f"{name}: {value}")
        requests.append((ChatRequest(f"write-{number}", conversation), (name, value)))
        planned, most, tokens = planned + n, max(most, n), max(tokens, n * longest)
    sampling = Sampling(
        temperature=1.0, seed=job.seed, max_new_tokens=min(tokens, MOST_TOKENS),
        answer_schema=_schema(job.columns, most),
    )  # fmt: skip
    replies = session.ask([request for request, _ in requests], sampling, lambda reply: bool(_inputs(job, reply)))
    inputs = list[tuple[dict[str, str], tuple[str, str]]]()
    for reply, (_, target) in zip(replies, requests, strict=False):  # fewer replies where they are of no use
        read = _inputs(job, reply)
        inputs += [(inputs_of_one, target) for inputs_of_one in read]
        if not read:
            counts[NO_INPUTS[reply.finish_reason]] += 1
    new = [_example(inputs_of_one, target, at) for at, (inputs_of_one, target) in enumerate(inputs[:wanted], start=1)]
    return accepted(job, new, session.answer(new), "schema")


def named(example: Example, number: int) -> Example:
    """An example with an id that marks it as synthetic."""
    return example.model_copy(update={"id": f"synthetic-{number}", "group": f"synthetic-{number}"})


def _example(inputs: Mapping[str, str], target: tuple[str, str], number: int) -> Example:
    slices = dict([target])
    return Example(
        id=f"synthetic-{number}", input=dict(inputs), demonstration="", reference="", group=f"synthetic-{number}",
        slices=slices,
    )  # fmt: skip


def _conversation(columns: Sequence[str], texts: Sequence[str], n: int, what: str) -> list[Message]:
    system = WRITE.format(n=n, columns=", ".join(columns))
    user = "\n".join([f"Inputs of {what}:", *texts])
    return [Message(role="system", content=system), Message(role="user", content=user)]


def _schema(columns: Sequence[str], most: int) -> dict[str, Any]:
    """The schema of a teacher's reply with new inputs."""
    row = {
        "type": "object", "properties": {name: {"type": "string"} for name in columns}, "required": list(columns),
        "additionalProperties": False,
    }  # fmt: skip
    inputs = {"type": "array", "items": row, "minItems": 1, "maxItems": most}
    return {"type": "object", "properties": {"inputs": inputs}, "required": ["inputs"], "additionalProperties": False}


def _inputs(job: Job, reply: Completion) -> list[dict[str, str]]:
    """The inputs in a teacher's reply; malformed ones are left out."""
    try:
        rows_read: Any = read_object(reply.text).get("inputs")
    except NotAnAnswer:
        return []
    rows: list[Any] = rows_read if isinstance(rows_read, list) else []
    whole = [row for row in rows if isinstance(row, dict) and set(row) == set(job.columns)]
    return [row for row in whole if all(isinstance(text, str) and text.strip() for text in row.values())]
