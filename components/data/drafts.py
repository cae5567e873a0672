"""Drafts for a new workload: settings as commented YAML, and first prompts.

Decides their wording; the meaning of the columns is given.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.data.reading.folders import Part
from components.data.rows import answer_column
from components.data.understanding import Understood
from components.params.answers import FIELD
from components.prompts import DIVIDER

MOST_ON_A_LINE = 6
MOST_DESCRIBED = 12  # keys of a nested object that a prompt lists
PROMPTS = ("loose", "schema", "short")
OWN_PROMPT = "own"  # the source's own system prompt
TRAINED_PROMPT = "short"


@dataclass(frozen=True)
class Draft:
    """The input of a draft: the workload's name, the source's path and meaning, and the number of rows per part."""

    name: str
    origin: Path
    meaning: Understood
    rows: Mapping[Part, int]
    system: str = ""

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt versions to write."""
        return (OWN_PROMPT, *PROMPTS) if self.system else PROMPTS


def workload_yaml(draft: Draft) -> str:
    """The text of params/workloads/NAME.yaml."""
    name, meaning, file = draft.name, draft.meaning, draft.origin.name
    purpose = f"{_words(list(meaning.inputs))} to {_words(_answer_words(meaning))}, from {file}."
    versions = ", ".join(version for version in draft.prompts if version != TRAINED_PROMPT)
    sections = [
        [
            f"# Drafted by `gradus init {name} --from {file}`: read it once, correct it.",
            f"name: {_scalar(name)}",
            f"description: {_scalar(purpose[0].upper() + purpose[1:])}",
        ],
        _source(draft),
        _output(meaning),
        [
            f"prompts: [{versions}]   # in params/prompts/{name}/, the weakest first",
            f"trained_prompt: {TRAINED_PROMPT}      # the fine-tuned model's prompt",
        ],
        _scoring(meaning),
        *([[f"dated_by: {_scalar(meaning.date)}"]] if meaning.date else []),
        ["traffic:", "  calls_per_year: 1000000   # an assumption: costs per year follow from it"],
        ["incumbent: gpt-4.1-mini   # the model in params/prices.yaml that you prompt today"],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _source(draft: Draft) -> list[str]:
    name, meaning = draft.name, draft.meaning
    columns = {field: answer_column(field, meaning) for field in meaning.output}
    files = ", ".join(f"{part}: {part}.jsonl" for part in draft.rows)
    also = "" if len(draft.rows) > 1 else "; or a file each for train, dev, test and sealed"
    first = next(iter(meaning.inputs))
    return [
        "source:",
        "  kind: jsonl",
        f"  files: {{{files}}}   # in data/{name}/, converted from {draft.origin.name}{also}",
        "  columns:",
        f"    input: {_flow(list(meaning.inputs))}   # prompts refer to them as {{{first}}}",
        "    # field of the answer: column",
        *_mapping("output", columns),
        "    # reference: {}   # the same for gold, if the columns above hold what a person or a model answered",
        *_optional_columns(meaning),
        f"  shares: {{{_shares(draft)}}}   # the rest is train",
    ]


def _shares(draft: Draft) -> str:
    """Shares for splits without a file."""
    usual = {"dev": 0.1, "test": 0.15, "sealed": 0.15}
    return ", ".join([*(f"{split}: {share}" for split, share in usual.items() if split not in draft.rows), "seed: 1"])


def _mapping(keyword: str, columns: Mapping[str, str]) -> list[str]:
    if len(columns) > MOST_ON_A_LINE:
        return [f"    {keyword}:", *(f"      {_scalar(field)}: {_scalar(name)}" for field, name in columns.items())]
    mapped = ", ".join(f"{_scalar(field)}: {_scalar(name)}" for field, name in columns.items())
    return [f"    {keyword}: {{{mapped}}}"]


def _output(meaning: Understood) -> list[str]:
    if meaning.kind != "object":
        note = "a bare value, as plain text" if meaning.kind != "list" else "a JSON list"
        schema: dict[str, Any] = {"type": "string", **meaning.output[FIELD][1]} if meaning.kind == "label" else (
            meaning.output[FIELD][1]
        )  # fmt: skip
        return [f"output:   # JSON Schema of the answer: {note}", *_keywords(schema, "  ")]
    return [
        "output:   # JSON Schema of the answer",
        "  type: object",
        "  additionalProperties: false",
        f"  required: {_flow(meaning.required)}",
        "  properties:",
        *(line for field, (_, schema) in meaning.output.items() for line in _property(field, schema)),
    ]


def _scoring(meaning: Understood) -> list[str]:
    lines = ["scorer:   # also: exact, similarity, sql_execution, unit_tests, format_rules, judge, http, module:Class"]
    if meaning.kind == "text":
        lines += [
            "  weighted: {json_schema: 0.2, similarity: 0.8}   # how it is worded; a judge says whether it is true",
            "  similarity: {measure: chrf, pass_value: 0.5}   # from when on an answer passes is an assumption",
        ]
    else:
        fields = [f"    {_scalar(field)}: {_match(schema)}" for field, (_, schema) in meaning.output.items()]
        lines += ["  weighted: {json_schema: 0.2, field_match: 0.8}", "  fields:", *fields]
    return [*lines, *(["", f"slices: {_flow(meaning.slices)}"] if meaning.slices else [])]


def prompts(draft: Draft) -> dict[str, str]:
    """The files of params/prompts/NAME/: version → text."""
    meaning = draft.meaning
    inputs = list(meaning.inputs)
    user = "\n".join(f"{{{name}}}" if len(inputs) == 1 else f"{name}: {{{name}}}" for name in inputs)
    title = draft.name.replace("_", " ").replace("-", " ").capitalize()
    systems = {"object": _object_prompts, "label": _label_prompts, "text": _text_prompts, "list": _list_prompts}[
        meaning.kind
    ](meaning, title)
    if draft.system:
        systems = {OWN_PROMPT: draft.system.replace(DIVIDER, "--- user ---"), **systems}
    return {version: f"{systems[version]}\n{DIVIDER}\n{user}\n" for version in draft.prompts}


def _object_prompts(meaning: Understood, title: str) -> dict[str, str]:
    n, read = len(meaning.output), _words(list(meaning.inputs))
    keys = "exactly one key" if n == 1 else f"exactly these {n} keys, in this order"
    if len(meaning.required) < n:
        keys = (
            f"these {n} keys, where they apply" if not meaning.required else f"{keys}; without value, a key is left out"
        )
    described = "\n".join(f"- {field}: {_described(schema)}" for field, (_, schema) in meaning.output.items())
    return {
        "loose": f"Read the {read} and give me the key facts as JSON: {_words(list(meaning.output))}.",
        "schema": f"Answer with exactly one JSON object on one line, no other text. It has {keys}:\n{described}",
        "short": f"{title} as JSON.",
    }


def _label_prompts(meaning: Understood, title: str) -> dict[str, str]:
    labels = [str(label) for label in meaning.output[FIELD][1]["enum"]]
    return {
        "loose": f"Read the {_words(list(meaning.inputs))} and say which of these it is: {', '.join(labels)}.",
        "schema": "\n- ".join(["Answer with exactly one of these labels, no other text:", *labels]),
        "short": f"{title}: one label.",
    }


def _text_prompts(meaning: Understood, title: str) -> dict[str, str]:
    answer = _answer_words(meaning)[0]
    return {
        "loose": f"Read the {_words(list(meaning.inputs))} and write the {answer}.",
        "schema": f"Write the {answer}. Answer with its text alone: no title, no introduction, no JSON.",
        "short": f"{title}.",
    }


def _list_prompts(meaning: Understood, title: str) -> dict[str, str]:
    described = _described(meaning.output[FIELD][1])
    return {
        "loose": f"Read the {_words(list(meaning.inputs))} and give me the {_answer_words(meaning)[0]} as a JSON list.",
        "schema": f"Answer with exactly one JSON list on one line, no other text: {described}.",
        "short": f"{title} as a JSON list.",
    }


def _answer_words(meaning: Understood) -> list[str]:
    """The names of the answer's fields."""
    return list(meaning.output) if meaning.kind == "object" else [meaning.output[FIELD][0].replace("_", " ")]


def _optional_columns(meaning: Understood) -> list[str]:
    lines: list[str] = []
    if meaning.id:
        lines.append(f"    id: {_scalar(meaning.id)}")
    if meaning.group:
        lines.append(f"    group: {_scalar(meaning.group)}   # its rows stay in one split")
    if meaning.slices or meaning.date:
        lines.append(f"    slices: {_flow([*meaning.slices, *([meaning.date] if meaning.date else [])])}")
    return lines + [f"    # left out: {_scalar(column)}, {why}" for column, why in meaning.left_out.items()]


def _property(field: str, schema: dict[str, Any]) -> list[str]:
    """A property of the schema; long lists of labels have a line per label."""
    return [f"    {_scalar(field)}:", *_keywords(schema, "      ")]


def _keywords(schema: dict[str, Any], margin: str) -> list[str]:
    """A schema's keywords as YAML, one per line."""
    if any(isinstance(value, dict) for value in schema.values()):
        text = yaml.safe_dump(schema, sort_keys=False, allow_unicode=True, width=100)
        return [margin + line for line in text.splitlines()]
    lines: list[str] = []
    for keyword, value in schema.items():
        if isinstance(value, list) and len(value) > MOST_ON_A_LINE:
            lines += [f"{margin}{keyword}:", *(f"{margin}  - {_scalar(item)}" for item in value)]
        else:
            lines.append(f"{margin}{keyword}: {_flow(value) if isinstance(value, list) else _scalar(value)}")
    return lines


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kinds: Any = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _match(schema: dict[str, Any]) -> str:
    """How the field is compared."""
    kinds = _kinds(schema)
    if "number" in kinds and "string" not in kinds:
        return "{match: number, tolerance: 0.005}"
    if "array" in kinds and len(kinds) <= 2:
        return "{match: set}"
    is_free = set(kinds) <= {"string", "null"} and schema.keys() == {"type"}
    return "{match: text}" if is_free else "{match: exact}"


def _described(schema: Mapping[str, Any]) -> str:
    """A prompt's description of a property."""
    kinds, values = _kinds(schema), schema.get("enum", [])
    nothing = ", or null" if "null" in kinds or None in values else ""
    if values:
        labels = [label for label in values if label is not None]
        kind = "string" if isinstance(labels[0], str) else "number"
        return f"{kind}, one of {', '.join(map(str, labels))}{nothing}"
    if "array" in kinds:
        return f"list{' of: ' + _described(schema['items']) if schema.get('items') else ''}{nothing}"
    if "object" in kinds:
        return _described_object(schema) + nothing
    if "boolean" in kinds:
        return f"true or false{nothing}"
    if "pattern" in schema:
        return f"string that matches {schema['pattern']}{nothing}"
    return ("whole number" if "integer" in kinds else str(kinds[0]) if kinds else "any value") + nothing


def _described_object(schema: Mapping[str, Any]) -> str:
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        return "object"
    named = [f"{key} ({_described(inner)})" for key, inner in list(properties.items())[:MOST_DESCRIBED]]
    if len(properties) > MOST_DESCRIBED:
        return f"object with some of the keys {', '.join(properties)}"
    return f"object with {'the keys' if schema.get('required') else 'some of the keys'} {', '.join(named)}"


def _words(names: list[str]) -> str:
    words = [name.replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _flow(values: list[Any]) -> str:
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(value: Any) -> str:
    """A value in YAML, quoted only if necessary."""
    if not isinstance(value, str):
        return json.dumps(value)
    if not value.isprintable():
        return yaml.safe_dump(value, default_style='"', width=sys.maxsize).strip()
    plain = re.fullmatch(r"[^\W\d]([\w ./-]*[\w.])?", value) and yaml.safe_load(value) == value
    return value if plain else "'" + value.replace("'", "''") + "'"
