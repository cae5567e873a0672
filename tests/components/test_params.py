import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.errors import ConfigError
from components.params import FileSource, GateParams, MustPass, Pipeline, PretrainParams, Profile, Workload, load
from components.params.loading import merged, read_yaml

ROOT = Path(__file__).resolve().parents[2]


def changed(tmp_path: Path, name: str, old: str, new: str) -> Path:
    text = (ROOT / "params" / name).read_text()
    assert old in text
    path = tmp_path / Path(name).name
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_value_out_of_bounds_is_named_with_file_field_expected_and_found(tmp_path: Path) -> None:
    path = changed(tmp_path, "profiles/nano.yaml", "warmup_steps: 100", "warmup_steps: -3")
    with pytest.raises(ConfigError) as caught:
        load(path, PretrainParams, "pretrain")
    message = str(caught.value)
    assert "pretrain.optimisation.warmup_steps" in message
    assert "greater than or equal to 0, found -3" in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("known", "value"),
    [
        ("min_validity: 0.95", "1.0"),
        ("max_false_positive: 0.05", "0"),
        ("max_false_negative: 0.1", "0"),
    ],
)
def test_a_bound_that_no_interval_s_end_can_reach_is_refused(tmp_path: Path, known: str, value: str) -> None:
    name = known.partition(":")[0]
    path = changed(tmp_path, "pipeline.yaml", known, f"{name}: {value}")
    with pytest.raises(ConfigError, match=rf"\.{name}: .*found {value} "):
        load(path, Pipeline)


def test_a_misspelt_setting_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "profiles/nano.yaml", "dev_examples:", "dev_example:")
    with pytest.raises(ConfigError, match="dev_example"):
        load(path, Profile)


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("name: x\n")
    with pytest.raises(ConfigError, match="expected a section `pretrain`, found none"):
        load(path, PretrainParams, "pretrain")


@pytest.mark.parametrize("content", ["- a list\n", "just words", ""])
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match="expected a mapping of settings"):
        load(path, GateParams)


def test_broken_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("a: [1, 2")
    with pytest.raises(ConfigError, match="expected YAML in UTF-8"):
        load(path, GateParams)


def test_broken_yaml_is_reported_on_one_line_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("alpha: 0.05\nmin_delta: [1, 2\nmin_validity: 0.9")
    with pytest.raises(ConfigError) as caught:
        load(path, GateParams)
    assert str(caught.value).startswith("expected YAML in UTF-8, found expected ',' or ']'")
    assert "in line 3, column 13" in str(caught.value) and "\n" not in str(caught.value)


def test_a_mistake_of_no_single_field_has_no_colon_before_it(tmp_path: Path) -> None:
    path = changed(tmp_path, "workloads/triage.yaml", "  type: object", "  type: 7")
    with pytest.raises(ConfigError, match=r"^output must be a JSON Schema, found .* \(.*triage\.yaml\)$"):
        load(path, Workload)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a YAML file, found none at"):
        load(tmp_path / "nothing.yaml", GateParams)


def test_an_output_that_is_no_json_schema_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "workloads/triage.yaml", "type: object", "type: thing")
    with pytest.raises(ConfigError, match="output must be a JSON Schema"):
        load(path, Workload)


def test_heads_that_do_not_divide_the_hidden_size_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, "profiles/nano.yaml", "heads: 4", "heads: 5")
    with pytest.raises(ConfigError, match="hidden_size must be a multiple of heads"):
        load(path, PretrainParams, "pretrain")


def test_the_fingerprint_changes_with_every_value() -> None:
    shipped = load(ROOT / "params/profiles/nano.yaml", PretrainParams, "pretrain")
    assert shipped.fingerprint() == PretrainParams.model_validate(shipped.model_dump()).fingerprint()
    assert shipped.fingerprint() != shipped.model_copy(update={"seed": 1}).fingerprint()


@pytest.mark.parametrize(
    "value",
    ["2024-13-01", "9" * 5000, "!!bool perhaps", "!!int ''", "!!timestamp soon", "2024-01-01 00:00:00+99:99",
     "[" * 5000, "{[a]: 1}"],
)  # fmt: skip
def test_what_yaml_itself_cannot_read_is_reported_in_one_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(f"alpha: {value}\n")
    with pytest.raises(ConfigError, match=r"expected YAML in UTF-8, found .") as caught:
        load(path, GateParams)
    assert "\n" not in str(caught.value)


def test_a_value_that_names_itself_many_times_over_is_reported_briefly(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    lists = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lists += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]  # 9^9 members
    path.write_text("\n".join([*lists, "alpha: *a8"]))
    with pytest.raises(ConfigError, match="alpha: ") as caught:
        load(path, GateParams)
    assert len(str(caught.value)) < 20_000


def test_bytes_that_are_not_text_are_reported_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_bytes(b"alpha: \xff\n")
    with pytest.raises(ConfigError, match=r"expected YAML in UTF-8, found .*0xff.*gate\.yaml"):
        load(path, GateParams)


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        ("{processes: 4}", "launcher: processes: expected 1 where kind is process, found 4 "),
        ("{kind: torch, config: a.yaml}", "launcher: config: expected none where kind is torch, found a.yaml "),
    ],
)
def test_a_launcher_s_setting_that_its_kind_does_not_read_is_refused(tmp_path: Path, launcher: str, said: str) -> None:
    path = changed(tmp_path, "profiles/nano.yaml", "dev_examples:", f"launcher: {launcher}\ndev_examples:")
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
        load(path, Profile)


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "a\0b"])
def test_an_encoding_of_no_text_is_refused(encoding: str) -> None:
    columns = {"input": ["text"], "output": {"label": "label"}}
    settings = {"kind": "csv", "files": {"all": "rows.csv"}, "columns": columns}
    with pytest.raises(ValidationError, match=r"encoding\n.*expected an encoding of text that Python knows, found"):
        FileSource.model_validate({**settings, "encoding": encoding})
    for known in ("utf-8", "utf-16", "cp1252", "Latin-1"):
        assert FileSource.model_validate({**settings, "encoding": known}).encoding == known


@pytest.mark.parametrize(
    ("settings", "changes", "expected"),
    [
        ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}}, {"a": {"b": 4, "c": 2}, "d": 3}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y", "c": 2}}, {"a": {"kind": "y", "c": 2}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"b": 2}}, {"a": {"kind": "x", "b": 2}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_a_mapping_changes_only_the_keys_that_it_names_unless_it_is_of_another_kind(
    settings: dict[str, Any], changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert merged(settings, changes) == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("alpha: 0.05\nlooks: 3\nalpha: 0.5\n", "'alpha' twice in line 3, column 1"),
        ("slices: {margin: 0.1, 'margin': 0.2}\n", "'margin' twice in line 1, column 23"),
        ("a: &a {x: 1}\nb: {<<: *a, x: 2, y: 3, x: 4}\n", "'x' twice in line 2, column 25"),
    ],
)
def test_a_key_that_comes_twice_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^expected YAML in UTF-8, found the key {where} "):
        read_yaml(path)


def test_keys_that_override_merged_ones_do_not_come_twice(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("far: {down: &b {<<: {x: 1, y: 2}, x: 3}}\nnear: {<<: *b, y: 4}\n")
    assert read_yaml(path) == {"far": {"down": {"x": 3, "y": 2}}, "near": {"x": 3, "y": 4}}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("slices: [", "slices: [No, ", r"`No` without quotes, which YAML reads as false, in line \d+, column 10 "),
        ("  type: object", "  properties: {no: {}}\n  type: object", "`no` without quotes, .* column 16 "),
        ("  type: object", "  required: [on]\n  type: object", "`on` without quotes, .* column 14 "),
        ("  type: object", "  $defs: {a: {const: off}}\n  type: object", "`off` without quotes, .* column 22 "),
    ],
)
def test_yes_and_no_without_quotes_are_refused_where_a_name_or_a_label_stands(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = changed(tmp_path, "workloads/triage.yaml", old, new)
    with pytest.raises(ConfigError, match=f"^expected YAML in UTF-8, found {said}"):
        load(path, Workload)


def test_yes_is_true_where_a_setting_is_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("push: yes\nlabels: ['no', true]\n")
    assert read_yaml(path) == {"push": True, "labels": ["no", True]}


def with_answer(output: Any) -> Workload:
    triage = read_yaml(ROOT / "params/workloads/triage.yaml")
    return Workload.model_validate({**triage, "output": output, "must_pass": [], "constrained": []})


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "string", "enum": [True, False]}, "enum: expected text, found true: YAML reads"),
        ({"type": ["string", "null"], "enum": ["a", 7]}, "enum: expected text, found 7: YAML reads"),
        ({"enum": ["perhaps", False]}, "enum: expected text, found false: YAML reads"),
        ({"type": "string", "const": True}, "const: expected text, found true"),
        ({"type": "string", "default": False}, "default: expected text, found false"),
        ({"enum": [date(2024, 1, 1)]}, "enum.0: expected text, found the date 2024-01-01: YAML reads"),
        ({"type": "object", "properties": {5: {}}}, "properties: expected text as a key, found 5: YAML reads"),
        ({"maximum": float("inf")}, "maximum: expected what JSON has, found inf"),
    ],
)
def test_what_yaml_made_of_texts_is_refused_in_a_schema(part: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(f"Value error, properties.day.{said}")):
        with_answer({"type": "object", "properties": {"day": part}})


@pytest.mark.parametrize(
    "part",
    [{"enum": [True, False]}, {"type": ["string", "boolean"], "enum": ["auto", True]}, {"enum": ["many", 1, 2]},
     {"type": "string", "enum": ["yes", "no", "2024-01-01"]}, {"type": "object", "properties": {"enum": {"const": 1}}},
     {"type": "number", "enum": [1, 2.5]}],
)  # fmt: skip
def test_booleans_and_numbers_are_labels_where_texts_are_not_meant(part: dict[str, Any]) -> None:
    assert with_answer({"type": "object", "properties": {"day": part}}).output["properties"]["day"] == part


def test_a_case_s_answer_is_json() -> None:
    case = {"name": "a", "input": {"text": "x"}, "expected": {"days": [date(2024, 1, 1)]}}
    with pytest.raises(ValidationError, match=r"days\.0: expected text, found the date 2024-01-01"):
        MustPass.model_validate(case)


def test_what_contains_itself_is_no_json() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(ValidationError, match="expected JSON, found what contains itself, or is nested too deeply"):
        MustPass.model_validate({"name": "a", "input": {}, "expected": endless})


def test_a_text_that_yaml_read_as_another_value_is_refused_with_the_advice_to_quote_it(tmp_path: Path) -> None:
    path = changed(tmp_path, "workloads/triage.yaml", "slices: [channel", "slices: [2024-01-01")
    with pytest.raises(ConfigError, match=r"^slices\.0: .* found datetime\.date\(2024, 1, 1\): .*; quote them \("):
        load(path, Workload)
