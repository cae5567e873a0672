import json
import os
from pathlib import Path

import pytest

from components.errors import DataError
from components.records import Example, Rung, Usage, read_jsonl, read_record, to_json, write_jsonl, write_record

EXAMPLES = [
    Example(id=str(n), input={"text": "naïve\n“x”"}, demonstration="{}", reference="{}", group="g") for n in range(3)
]


def test_answers_are_written_with_whole_numbers_plain() -> None:
    assert to_json({"a": 12.0, "b": 12.5, "c": None, "d": True, "e": {"f": 1.0}}) == (
        '{"a": 12, "b": 12.5, "c": null, "d": true, "e": {"f": 1}}'
    )


def test_a_half_of_a_character_is_written_as_a_question_mark() -> None:
    text = to_json({"cut \ud83d": ["\ude00", "whole \U0001f600"]})
    assert text == '{"cut ?": ["?", "whole \U0001f600"]}'


def test_records_survive_a_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "deep" / "x.jsonl", EXAMPLES)
    assert read_jsonl(tmp_path / "deep" / "x.jsonl", Example) == EXAMPLES
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.jsonl"]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "x.jsonl", EXAMPLES)
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"id": "4"}\n')
    with pytest.raises(DataError, match=r"expected a Example, found input: Field required \(.*x\.jsonl:4\)"):
        read_jsonl(tmp_path / "x.jsonl", Example)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none at"):
        read_jsonl(tmp_path / "x.jsonl", Example)
    with pytest.raises(DataError, match="found no file at"):
        read_record(tmp_path / "x.json", Usage)


def test_one_record_survives_a_file(tmp_path: Path) -> None:
    write_record(tmp_path / "u.json", Usage(input_tokens=1, output_tokens=2))
    assert read_record(tmp_path / "u.json", Usage) == Usage(input_tokens=1, output_tokens=2)
    (tmp_path / "u.json").write_text("{}")
    with pytest.raises(DataError, match="expected a Usage"):
        read_record(tmp_path / "u.json", Usage)


def test_two_processes_write_one_file_each_beside_it_under_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (put.append(self.name), replace(self, target))[1])
    write_record(tmp_path / "u.json", Usage(input_tokens=1, output_tokens=2))
    assert put == [f"u.json.{os.getpid()}.part"]


def test_a_rung_is_read_without_points_that_are_no_numbers(tmp_path: Path) -> None:
    made = Rung(
        name="sft", method="sft", makes="model", params_hash="p", data_hash="d", seed=1, git_commit="c", seconds=1.0,
        curves={"loss": [(1, 2.0), (2, float("nan")), (3, 1.0)], "kl": [(1, float("inf"))]},
    )  # fmt: skip
    assert made.curves == {"loss": [(1, 2.0), (3, 1.0)]}
    write_record(tmp_path / "result.json", made)
    assert read_record(tmp_path / "result.json", Rung) == made
    earlier = {**json.loads(made.model_dump_json()), "curves": {"loss": [[1, 2.0], [2, None], [3, 1.0]]}}
    (tmp_path / "result.json").write_text(json.dumps(earlier))
    assert read_record(tmp_path / "result.json", Rung) == made
    (tmp_path / "result.json").write_text(json.dumps({**earlier, "curves": {"loss": [[1, "two"]]}}))
    with pytest.raises(DataError, match="expected a Rung"):
        read_record(tmp_path / "result.json", Rung)
