"""What people wrote down: records of annotation tools, and of datasets whose inputs and expected outputs are objects.

Label Studio, Prodigy and Argilla keep several opinions on a record. The one that counts is the ground truth or the
latest in Label Studio, and what most say in Argilla; a record that was skipped or rejected, or on which as many say one
thing as another, has no answer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from components.data.reading import spans
from components.data.reading.conversations import parsed, reply_of

Row = dict[str, Any]
_EXPECTED = (
    "expectations", "expected", "reference_outputs", "reference_output", "expected_outputs", "expected_output",
    "outputs", "output",
)  # fmt: skip
_KEPT = ("id", "example_id", "created_at", "user_id", "session_id", "split")
_SPANS = ("labels", "hypertextlabels")  # Label Studio's kinds of results that mark a piece of the text
_ENTITIES = "entities"
_VERDICTS = ("accept", "reject", "ignore")


def is_pair(record: Mapping[str, Any]) -> bool:
    """An example of LangSmith's, Braintrust's or MLflow's datasets: objects of inputs and of expected outputs."""
    inputs = parsed(record.get("inputs", record.get("input")))
    return isinstance(inputs, Mapping) and any(parsed(record.get(name)) not in (None, "") for name in _EXPECTED)


def pair_row(record: Mapping[str, Any]) -> Row | None:
    """What is expected where that is said, else the output; an object of one text is that text."""
    answer = next((value for name in _EXPECTED if (value := parsed(record.get(name))) not in (None, "", {}, [])), None)
    reply = reply_of(answer)
    if isinstance(reply, Mapping) and len(reply) == 1:
        (only,) = reply.values()
        reply = only if isinstance(only, str) else reply
    others = {name: record[name] for name in _KEPT if isinstance(record.get(name), str | int)}
    return spans.row_of(record.get("inputs", record.get("input")), reply, others)


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """A task of Label Studio's JSON export; its small form, JSON_MIN, is rows already."""
    return isinstance(record.get("data"), Mapping) and isinstance(record.get("annotations"), list)


def label_studio_row(record: Mapping[str, Any]) -> Row | None:
    """The task's data, and an object of what each control of the form was set to."""
    whole = [
        annotation
        for annotation in record["annotations"]
        if isinstance(annotation, Mapping) and not annotation.get("was_cancelled")
    ]
    truths = [annotation for annotation in whole if annotation.get("ground_truth")] or whole
    if not truths:
        return None
    latest = max(truths, key=lambda annotation: str(annotation.get("updated_at", annotation.get("created_at", ""))))
    answer: dict[str, list[Any]] = {}
    for result in spans.list_of(latest.get("result")):
        if isinstance(result, Mapping) and isinstance(result.get("value"), Mapping):
            answer.setdefault(str(result.get("from_name", "label")), []).extend(_chosen(result))
    return _row(record["data"], answer, {"id": record.get("id")})


def _chosen(result: Mapping[str, Any]) -> list[Any]:
    """The values of one result: choices, texts, numbers, or marked pieces of the text with their label."""
    value, kind = result["value"], str(result.get("type", ""))
    if kind in _SPANS:
        return [{"label": label, "text": value.get("text")} for label in spans.list_of(value.get(kind))]
    values = value.get(kind, next(iter(value.values()), None))
    if kind == "taxonomy":
        return [" / ".join(map(str, path)) for path in spans.list_of(values) if isinstance(path, list)]
    return values if isinstance(values, list) else [values]


def is_prodigy(record: Mapping[str, Any]) -> bool:
    """An example of Prodigy's, with its verdict."""
    decided = record.get("answer") in _VERDICTS
    return decided and isinstance(record.get("text"), str) and bool(record.keys() & {"accept", "label", "spans"})


def prodigy_row(record: Mapping[str, Any]) -> Row | None:
    """The chosen options, the label, or the marked pieces of the text, of an example that was accepted."""
    if record["answer"] != "accept":
        return None
    answer: dict[str, list[Any]] = {}
    if "accept" in record:
        answer["label"] = spans.list_of(record["accept"])
    elif isinstance(record.get("label"), str):
        answer["label"] = [record["label"]]
    if isinstance(record.get("spans"), list):
        marked = [piece for piece in record["spans"] if isinstance(piece, Mapping)]
        answer[_ENTITIES] = [
            {"label": piece.get("label"), "text": record["text"][piece["start"] : piece["end"]]}
            for piece in marked
            if isinstance(piece.get("start"), int) and isinstance(piece.get("end"), int)
        ]
    meta = record.get("meta") if isinstance(record.get("meta"), Mapping) else {}
    return _row({"text": record["text"]}, answer, meta or {})


def is_argilla(record: Mapping[str, Any]) -> bool:
    """A record of Argilla's, with its fields and the responses to its questions."""
    return isinstance(record.get("fields"), Mapping) and isinstance(record.get("responses"), Mapping | list)


def argilla_row(record: Mapping[str, Any]) -> Row | None:
    """The record's fields, and for each question what most people answered."""
    opinions: dict[str, list[Any]] = {}
    for name, value in _responses(record["responses"]):
        opinions.setdefault(name, []).append(value)
    answer = {name: [_most(values)] for name, values in opinions.items()}
    if any(values == [None] for values in answer.values()):
        return None
    return _row(record["fields"], answer, {"id": record.get("id")})


def _responses(responses: Any) -> list[tuple[str, Any]]:
    """Question and value of every submitted response, in the forms of version 2 and of version 1."""
    if isinstance(responses, Mapping):
        return [
            (str(name), response["value"])
            for name, listed in responses.items()
            for response in spans.list_of(listed)
            if isinstance(response, Mapping) and response.get("status", "submitted") == "submitted"
            if response.get("value") is not None
        ]
    submitted = (
        values
        for response in responses
        if isinstance(response, Mapping) and response.get("status", "submitted") == "submitted"
        if isinstance(values := response.get("values"), Mapping)
    )
    return [
        (str(name), spans.get(value, "value"))
        for values in submitted
        for name, value in values.items()
        if spans.get(value, "value") is not None
    ]


def _most(values: Sequence[Any]) -> Any:
    """What most people say; None where as many say something else."""
    counts = Counter(map(repr, values)).most_common(2)
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return None
    return next(value for value in values if repr(value) == counts[0][0])


def _row(inputs: Mapping[str, Any], answer: Mapping[str, list[Any]], others: Mapping[str, Any]) -> Row | None:
    """A row of inputs that a column can hold, of the answer, and of what is known besides.

    A text in which somebody looked for entities and marked none is answered; anything else without a value is not.
    """
    plain = {str(name): value for name, value in inputs.items() if isinstance(value, str | int | float)}
    if not plain or not (_ENTITIES in answer or any(answer.values())):
        return None
    row = {f"{name}_2" if name == "answer" else name: value for name, value in plain.items()} | {"answer": dict(answer)}
    return row | {
        str(name): value for name, value in others.items() if name not in row and isinstance(value, str | int)
    }


def settle(rows: Sequence[Row | None]) -> None:
    """Answers whose fields never hold more than one value: the value itself, in place."""
    answers = [row["answer"] for row in rows if row is not None and isinstance(row.get("answer"), dict)]
    for name in {name for answer in answers for name in answer}:
        lists = [answer[name] for answer in answers if name in answer]
        if all(len(values) <= 1 and not isinstance(next(iter(values), None), dict) for values in lists):
            for answer in answers:
                if name in answer:
                    answer[name] = next(iter(answer[name]), None)
