"""Looks at a sealed split: which challengers it has judged already, kept in the record so that no new run forgets.

Decides how looks are written down and found; what they cost is decided in `components.evaluation.looks`.
"""

from collections.abc import Sequence
from typing import Any

from components.evaluation.looks import shared
from components.registry.runs import experiment_id
from components.registry.store import connect, told

SPLIT_TAG, QUESTION_TAG = "gradus.sealed_split", "gradus.question"
MORE_EXAMPLES = "gate/more_examples"  # the number by which a gate asks for sealed examples
SAME_SPLIT = 0.5  # of today's examples; the looks at a split of which less is left count no more


def count_look(workload: str, split: Sequence[str], question: str, run_id: str | None) -> int:
    """Write down that a run asks a question of a sealed split; which question of that split it is, from 1.

    `split` is its sketch, `question` a hash of the challengers' answers: what was asked before keeps its number.
    Without a run (None) nothing is written.

    Raises:
        RegistryError: The record is away.
    """
    client = connect()
    asked = [
        run.data.tags[QUESTION_TAG]
        for run in reversed(_gates(client, workload))
        if run.info.run_id != run_id and shared(split, run.data.tags[SPLIT_TAG].split()) >= SAME_SPLIT
    ]
    if run_id is not None:
        with told("the look at the sealed split to be written down"):
            client.set_tag(run_id, SPLIT_TAG, " ".join(split))
            client.set_tag(run_id, QUESTION_TAG, question)
    questions = list(dict.fromkeys([*asked, question]))
    return questions.index(question) + 1


def examples_asked_for(workload: str) -> int:
    """How many more sealed examples the last gate asked for; 0 where it asked for none, or none has been held.

    Raises:
        RegistryError: The record is away.
    """
    gates = _gates(connect(), workload)
    return int(gates[0].data.metrics.get(MORE_EXAMPLES, 0)) if gates else 0


def _gates(client: Any, workload: str) -> list[Any]:
    """The runs that asked a sealed split, the newest first."""
    gates: list[Any] = []
    token: str | None = None
    with told(f"the gates of {workload}"):
        while True:
            page = client.search_runs(
                [experiment_id(client, workload)], filter_string=f"tags.`{QUESTION_TAG}` != ''",
                order_by=["attributes.start_time DESC"], page_token=token,
            )  # fmt: skip
            gates += page
            token = page.token
            if not token:
                return gates
