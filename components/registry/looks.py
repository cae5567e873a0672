"""Looks at a sealed split: the challengers that it has already judged, recorded so that every run knows them.

Decides how looks are recorded and found; `components.evaluation.looks` decides what they cost.
"""

from collections.abc import Sequence
from typing import Any

from components.evaluation.looks import shared
from components.registry.runs import experiment_id
from components.registry.store import connect, expecting

SPLIT_TAG, QUESTION_TAG = "gradus.sealed_split", "gradus.question"
MORE_EXAMPLES = "gate/more_examples"  # the metric with which a gate asks for more sealed examples
SAME_SPLIT = 0.5  # of today's examples; looks at a split that shares fewer no longer count


def count_look(workload: str, split: Sequence[str], question: str, run_id: str | None) -> int:
    """Record that a run asks a question of a sealed split; return its number among that split's questions, from 1.

    `split` is the split's sketch, `question` a hash of the challengers' answers: a repeated question keeps its number.
    Without a run (None) nothing is recorded.

    Raises:
        RegistryError: The record is unavailable.
    """
    client = connect()
    asked_before = [
        run.data.tags[QUESTION_TAG]
        for run in reversed(_gates(client, workload))
        if run.info.run_id != run_id and shared(split, run.data.tags[SPLIT_TAG].split()) >= SAME_SPLIT
    ]
    if run_id is not None:
        with expecting("the look at the sealed split to be written down"):
            client.set_tag(run_id, SPLIT_TAG, " ".join(split))
            client.set_tag(run_id, QUESTION_TAG, question)
    questions = list(dict.fromkeys([*asked_before, question]))
    return questions.index(question) + 1


def examples_asked_for(workload: str) -> int:
    """How many more sealed examples the last gate asked for; 0 if none, or if there was no gate.

    Looks are tags of the climb's run; what a gate asks for is a number of its stage's run, or of a climb that took the
    gate from DVC's cache.

    Raises:
        RegistryError: The record is unavailable.
    """
    client = connect()
    with expecting(f"the gates of {workload}"):
        newest = client.search_runs(
            [experiment_id(client, workload)], f"metrics.`{MORE_EXAMPLES}` >= 0",
            order_by=["attributes.start_time DESC"], max_results=1,
        )  # fmt: skip
    return int(newest[0].data.metrics[MORE_EXAMPLES]) if newest else 0


def _gates(client: Any, workload: str) -> list[Any]:
    """The runs that used a sealed split, the newest first."""
    gates: list[Any] = []
    token: str | None = None
    with expecting(f"the gates of {workload}"):
        while True:
            page = client.search_runs(
                [experiment_id(client, workload)], filter_string=f"tags.`{QUESTION_TAG}` != ''",
                order_by=["attributes.start_time DESC"], page_token=token,
            )  # fmt: skip
            gates += page
            token = page.token
            if not token:
                return gates
