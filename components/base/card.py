# ruff: noqa: E501 — the card is prose, a paragraph a line
"""The model card and the table of scores: only what was measured, in words and figures."""

import datetime
import json
from pathlib import Path
from typing import Any

from components.base.evaluate import Row, Share
from components.errors import DataError

MOST_POINTS = 12
COLUMNS = ("answer", "validity", "values")
HEADINGS = {"answer": "whole answer right", "validity": "valid JSON, keys as asked", "values": "single values right"}


def percent(share: Share | None) -> str:
    """A share with its interval, such as `97.2 (96.0 to 98.1)`."""
    if share is None:
        return ""
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def cells(row: Row) -> list[str]:
    """A row of the table as text."""
    return [row.skill, row.style, str(row.n), *(percent(row.scores.get(name)) for name in COLUMNS)]


def headings() -> list[str]:
    """The headings of the table."""
    return ["skill", "prompt style", "n", *(f"{HEADINGS[name]}, %" for name in COLUMNS)]


def to_record(rows: list[Row], *, command: str, machine: str, seed: int, seconds: float) -> dict[str, Any]:
    """The table as a record for other programs."""
    return {
        "command": command,
        "machine": machine,
        "date": datetime.date.today().isoformat(),
        "seed": seed,
        "seconds": round(seconds, 1),
        "rows": [
            {"skill": row.skill, "style": row.style, "n": row.n, **{k: vars(v) for k, v in row.scores.items()}}
            for row in rows
        ],
    }


def from_record(record: dict[str, Any]) -> list[Row]:
    """The table's rows, from a record."""
    return [
        Row(row["skill"], row["style"], row["n"], {name: Share(**row[name]) for name in COLUMNS if name in row})
        for row in record["rows"]
    ]


def write(model: Path, scores: Path, trials: Path) -> Path:
    """Write the model card from the training's record, the scores and the comparison of trials.

    Raises:
        DataError: One of the three files is missing or is not JSON.
    """
    training, measured = _read(model / "training.json"), _read(scores)
    text = "\n\n".join((
        _introduction(training),
        _training(training),
        _scores(measured),
        _trials(_read(trials)),
        _LIMITS,
    ))  # fmt: skip
    path = model / "README.md"
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"expected a JSON record for the model card, found {error} ({path})") from error


def _introduction(training: dict[str, Any]) -> str:
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# Nano

A base model of {training["parameters"] / 1e6:.2f} M parameters that obeys its prompt: it reads a schema, labels with their
meanings or tool definitions in the prompt and answers about a short message. It exists so that every rung of a ladder runs for
real on two CPU cores without keys or downloads. It knows no facts and holds no conversation.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("models/nano")
tokenizer = AutoTokenizer.from_pretrained("models/nano")
```"""


def _training(training: dict[str, Any]) -> str:
    parts = (
        [("pretrain", training["before"]), ("midtrain", training)] if "before" in training else [("pretrain", training)]
    )
    rows = {
        "tokens": [f"{record['tokens']:,}" for _, record in parts],
        "of them in answers, which alone the loss is taken on": [f"{record['answer_tokens']:,}" for _, record in parts],
        "steps": [f"{record['step']:,}" for _, record in parts],
        "seconds, probes on held-out lessons included": [f"{record['seconds']:,.0f}" for _, record in parts],
        "tokens/s": [f"{record['tokens'] / record['seconds']:,.0f}" for _, record in parts],
        "hardware": [record["hardware"] for _, record in parts],
        "seed": [str(record["seed"]) for _, record in parts],
        "torch": [record["torch"] for _, record in parts],
        "fingerprint of the settings": [f"`{record['fingerprint']}`" for _, record in parts],
    }
    table = "\n".join(f"| {name} | {' | '.join(values)} |" for name, values in rows.items())
    return f"""## Training

All data is generated from the seed while training: random small worlds (schemas, labels, names, values and wording drawn anew),
nothing else. After the first training on tidy prompts a second, short one has prompts and messages as untidy as real ones in part
of the lessons: rarer words, remarks, wordy definitions, values without their names, values that nobody asks for, and messages
that do not say which label fits. Settings: `params/profiles/nano.yaml`, sections `pretrain` and `midtrain`; `make nano` trains both parts.

| | {" | ".join(name for name, _ in parts)} |
| --- | {" | ".join("---" for _ in parts)} |
{table}

The learning curves: share of held-out lessons whose every answer token is the most likely one, %, at full difficulty.

{chr(10).join(_curve(name, record) + chr(10) for name, record in parts)}"""


def _curve(name: str, training: dict[str, Any]) -> str:
    """A learning curve as a table of at most twelve points, the last one among them."""
    points = training["curve"]
    shown = points[:: max(1, len(points) // MOST_POINTS)]
    shown += [] if shown[-1] is points[-1] else [points[-1]]
    lines = "\n".join(
        f"| {point['tokens'] / 1e6:.1f} | {point['seconds'] / 60:.0f} | {point['loss']:.4f} | "
        + " | ".join(f"{100 * point[skill]:.0f}" for skill in _skills(training)) + " |"
        for point in shown
    )  # fmt: skip
    return f"""| {name}: M tokens | minutes | loss | {" | ".join(_skills(training))} |
| --- | --- | --- | {" | ".join("---" for _ in _skills(training))} |
{lines}"""


def _skills(training: dict[str, Any]) -> list[str]:
    counters = {"step", "tokens", "seconds", "loss"}
    return [name for name in training["curve"][-1] if name not in counters]


def _scores(measured: dict[str, Any]) -> str:
    lines = "\n".join(f"| {' | '.join(cells(row))} |" for row in from_record(measured))
    return f"""## Scores

Greedy decoding on held-out worlds: no label, meaning, value or key of several words in them was ever generated in
training. In brackets 95 % intervals (Wilson; for single values bootstrapped over answers). `{measured["command"]}`,
{measured["date"]}, {measured["seconds"]:,.0f} s on {measured["machine"]}.

| {" | ".join(headings())} |
| --- | --- | --- | --- | --- | --- |
{lines}"""


def _trials(trials: dict[str, Any]) -> str:
    parts, skills = len(trials["trials"][0]["losses"]), list(trials["trials"][0]["held_out"])
    lines = "\n".join(
        f"| {trial['name']} | {trial['parameters'] / 1e6:.2f} | {trial['tokens_per_second']:,} | "
        + " | ".join(f"{loss:.3f}" for loss in trial["losses"]) + " | "
        + " | ".join(f"{100 * share:.0f}" for share in trial["held_out"].values()) + " |"
        for trial in trials["trials"]
    )  # fmt: skip
    return f"""## What was tried

Short trainings of {trials["tokens"] / 1e6:.1f} M tokens with the same seed, each with the whole curriculum squeezed into them: mean
loss on answers in each of {parts} equal parts, and the share of held-out lessons with every answer token right at the end, %.
`{trials["command"]}`, {trials["date"]}, {trials["machine"]}. {trials["note"]}

| variant | M parameters | tokens/s | {" | ".join(f"part {part + 1}" for part in range(parts))} | {" | ".join(skills)} |
| --- | --- | --- | {" | ".join("---" for _ in range(parts))} | {" | ".join("---" for _ in skills)} |
{lines}"""


_LIMITS = """## Limits

- English frames and Latin letters only. Messages of up to about 100 words; the context is 2,048 tokens.
- Meanings are matched by their words, not understood: a message that paraphrases a label's meaning is misread.
- Several choices in one prompt are harder than one: see the rows `mixed`.
- Counts up to 12 are vocabulary and stand on both sides of the held-out border.
- No arithmetic, no world knowledge, no safety training. It answers loosely, or wrongly, when the prompt is loose.
- Numeric dates are read day first.

What was lost on the way: a single training with untidy prompts in every lesson (269 M tokens on the same GPU) did not learn to
choose a label by its meaning (14 of 100 untidy questions with eight labels right). Without any untidy prompt the model answered
none of 40 tickets validly under prompts that people had written. On two CPU cores 25 M tokens in 50 minutes taught formats and
copying, and no choice of a label either."""
