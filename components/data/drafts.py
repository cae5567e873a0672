"""Drafts for a new workload: its settings as commented YAML, three first prompts, and a run on the embedded model.

Decides their wording; what the columns mean was guessed before.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from components.data.columns import Guess
from components.data.tables import kind_of
from components.params import RunParams
from components.prompts import DIVIDER

MOST_ON_A_LINE = 6
PROMPTS = ("loose", "schema", "short")
TRAINED_PROMPT = "short"
# The line `runs:`, with its end and the margin of the first entry below it.
_RUNS = re.compile(r"^runs:[ \t]*(?:#[^\r\n]*)?(\r?\n)(?=(?:[ \t]*(?:#[^\r\n]*)?\r?\n)*( *))", re.MULTILINE)


def workload_yaml(name: str, file: Path, encoding: str, guess: Guess) -> str:
    """The text of params/workloads/NAME.yaml."""
    purpose = f"{_words(guess.input)} to {_words(list(guess.output))}, from {file.name}."
    sections = [
        [
            f"# Drafted by `gradus init {name} --from {file.name}` from the file's columns: read it once, correct it.",
            f"name: {_scalar(name)}",
            f"description: {_scalar(purpose[0].upper() + purpose[1:])}",
        ],
        _source(name, file, encoding, guess),
        _output(guess),
        [
            f"prompts: [loose, schema]   # in params/prompts/{name}/, the weakest first",
            f"trained_prompt: {TRAINED_PROMPT}      # what the fine-tuned model is asked with",
        ],
        _scoring(guess),
        ["traffic:", "  calls_per_year: 1000000   # an assumption: costs per year follow from it"],
        ["incumbent: gpt-4.1-mini   # the model in params/prices.yaml that you prompt today"],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def nano_run(name: str) -> RunParams:
    """The workload on the embedded model."""
    files = {
        "source": f"data/{name}",
        "model": "models/nano/model.safetensors",
        "trained_prompt": f"params/prompts/{name}/{TRAINED_PROMPT}.md",
    }
    return RunParams.model_validate({"workload": name, "profile": "nano", "files": files})


def with_run(pipeline: str, name: str, run: RunParams) -> str:
    """The text of params/pipeline.yaml with one more run, the first below the line `runs:`; all else as it was.

    Without such a line, the text unchanged.
    """
    head = _RUNS.search(pipeline)
    if head is None:
        return pipeline
    end, margin = head.groups()
    entry = yaml.safe_dump({name: run.model_dump(exclude_defaults=True)}, sort_keys=False).splitlines()
    return pipeline[: head.end()] + "".join(f"{margin}{line}{end}" for line in entry) + pipeline[head.end() :]


def _source(name: str, file: Path, encoding: str, guess: Guess) -> list[str]:
    mapped = ", ".join(f"{field}: {_scalar(column)}" for field, (column, _) in guess.output.items())
    return [
        "source:",
        f"  kind: {kind_of(file)}",
        f"  files: {{all: {_scalar(file.name)}}}   # in data/{name}/; or a file each for train, dev, test and sealed",
        *([] if encoding == "utf-8" else [f"  encoding: {_scalar(encoding)}"]),
        "  columns:",
        f"    input: {_flow(guess.input)}   # prompts refer to them as {{{guess.input[0]}}}",
        "    # field of the answer: column",
        f"    output: {{{mapped}}}",
        "    # reference: {}   # the same for gold, if the columns above hold what a person or a model answered",
        *_optional_columns(guess),
        "  shares: {dev: 0.1, test: 0.15, sealed: 0.15, seed: 1}   # the rest is train",
    ]


def _output(guess: Guess) -> list[str]:
    return [
        "output:   # JSON Schema of the answer",
        "  type: object",
        "  additionalProperties: false",
        f"  required: {_flow(list(guess.output))}",
        "  properties:",
        *(line for field, (_, schema) in guess.output.items() for line in _property(field, schema)),
    ]


def _scoring(guess: Guess) -> list[str]:
    return [
        "scorer:   # also: exact, sql_execution, unit_tests, format_rules, judge, http, and your own module:Class",
        "  weighted: {json_schema: 0.2, field_match: 0.8}",
        "  fields:",
        *(f"    {_scalar(field)}: {_match(schema)}" for field, (_, schema) in guess.output.items()),
        *(["", f"slices: {_flow(guess.slices)}"] if guess.slices else []),
    ]


def prompts(name: str, guess: Guess) -> dict[str, str]:
    """The texts of params/prompts/NAME/: version → text."""
    asked = _words(list(guess.output))
    n = len(guess.output)
    keys = "exactly one key" if n == 1 else f"exactly these {n} keys, in this order"
    described = "\n".join(f"- {field}: {_described(schema)}" for field, (_, schema) in guess.output.items())
    systems = {
        "loose": f"Read the {_words(guess.input)} and give me the key facts as JSON: {asked}.",
        "schema": f"Answer with exactly one JSON object on one line, no other text. It has {keys}:\n{described}",
        "short": f"{name.replace('_', ' ').replace('-', ' ').capitalize()} as JSON.",
    }
    only = len(guess.input) == 1
    user = "\n".join(f"{{{column}}}" if only else f"{column}: {{{column}}}" for column in guess.input)
    return {version: f"{systems[version]}\n{DIVIDER}\n{user}\n" for version in PROMPTS}


def _optional_columns(guess: Guess) -> list[str]:
    lines: list[str] = []
    if guess.id:
        lines.append(f"    id: {_scalar(guess.id)}")
    if guess.group:
        lines.append(f"    group: {_scalar(guess.group)}   # its rows stay in one split")
    if guess.slices:
        lines.append(f"    slices: {_flow(guess.slices)}")
    return lines + [f"    # left out: {_scalar(column)}, {why}" for column, why in guess.left_out.items()]


def _property(field: str, schema: dict[str, Any]) -> list[str]:
    """One property of the schema, long lists of labels one a line."""
    lines = [f"    {_scalar(field)}:"]
    for keyword, value in schema.items():
        if isinstance(value, list) and len(value) > MOST_ON_A_LINE:
            lines += [f"      {keyword}:", *(f"        - {_scalar(item)}" for item in value)]
        else:
            lines.append(f"      {keyword}: {_flow(value) if isinstance(value, list) else _scalar(value)}")
    return lines


def _match(schema: dict[str, Any]) -> str:
    """How the field is compared."""
    kinds = schema.get("type", [])
    if "number" in (kinds if isinstance(kinds, list) else [kinds]):
        return "{match: number, tolerance: 0.005}"
    return "{match: exact}" if schema != {"type": "string"} else "{match: text}"


def _described(schema: dict[str, Any]) -> str:
    """A property as prompts say it."""
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    values = schema.get("enum", [])
    nothing = ", or null" if "null" in kinds or None in values else ""
    if values:
        labels = [label for label in values if label is not None]
        kind = "string" if isinstance(labels[0], str) else "number"
        return f"{kind}, one of {', '.join(map(str, labels))}{nothing}"
    if "boolean" in kinds:
        return f"true or false{nothing}"
    if "pattern" in schema:
        return f"string that matches {schema['pattern']}{nothing}"
    return ("whole number" if "integer" in kinds else str(kinds[0])) + nothing


def _words(names: list[str]) -> str:
    words = [name.replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _flow(values: list[Any]) -> str:
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(value: Any) -> str:
    """A value as YAML reads it back, in quotes only where it has to be."""
    if not isinstance(value, str):
        return json.dumps(value)
    if not value.isprintable():
        return yaml.safe_dump(value, default_style='"', width=sys.maxsize).strip()
    plain = re.fullmatch(r"[^\W\d]([\w ./?-]*[\w.?])?", value) and yaml.safe_load(value) == value
    return value if plain else "'" + value.replace("'", "''") + "'"
