"""What verdicts depend on besides the answers: what changes them changes the hash, and nothing else does."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from components.params import Workload
from components.scorers.scored_by import scored_by
from tests.components.methods import small

API = {"base_url": "http://127.0.0.1:1/v1", "key_variable": None}
GENERATED = {
    "kind": "generated", "generator": "nobody:generate", "seed": 1,
    "sizes": {"train": 1, "dev": 1, "test": 1, "sealed": 1},
}  # fmt: skip


def judged(rubric: str) -> dict[str, Any]:
    return {"scorer": {"weighted": {"judge": 1.0}, "judge": {"model": "judge", "rubric": rubric, "api": API}}}


def acting(environment: str) -> dict[str, Any]:
    return {"agent": {"environment": environment}, "source": GENERATED}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def put(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    importlib.invalidate_caches()


def version(changes: dict[str, Any]) -> str:
    workload: Workload = small.workload(**changes)
    return scored_by(workload, workload.scorer)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"scorer": {"weighted": {"own_sums:Adds": 1.0}}}, "own_sums.py"),
        ({"scorer": {"weighted": {"own_package.sums:Adds": 1.0}}}, "own_package/rules.py"),
        (judged("rubric.md"), "rubric.md"),
        (judged("texts/rubric.md"), "texts/rubric.md"),
        (
            {"scorer": {"weighted": {"sql_execution": 1.0}, "sql_execution": {"databases": ["shop.sql"]}}},
            "shop.sql",
        ),
        (acting("own_bell:Bell"), "own_bell.py"),
        (acting("own_world.bell:Bell"), "own_world/doors.py"),
        (acting("mcp:python servers/bell.py"), "servers/bell.py"),
        (acting("mcp:python -m own_server"), "own_server.py"),
        # What the project's own code imports.
        ({"scorer": {"weighted": {"own_sums:Adds": 1.0}}}, "own_rules.py"),
        ({"scorer": {"weighted": {"own_package.sums:Adds": 1.0}}}, "own_units/euros.py"),
        (acting("own_bell:Bell"), "own_rules.py"),
        (acting("mcp:python servers/bell.py"), "servers/own_chime.py"),
        (acting("mcp:python -m own_server"), "own_rules.py"),
    ],
)
def test_another_file_of_a_scorer_or_an_environment_is_another_scorer(changes: dict[str, Any], name: str) -> None:
    code = {
        "own_package/sums.py": "from own_units.euros import total", "own_world/bell.py": "",
        "servers/bell.py": "import own_chime",
        **dict.fromkeys(("own_sums.py", "own_bell.py", "own_server.py"), "import own_rules"),
    }  # fmt: skip
    for path, text in code.items():
        put(path, text)
    put(name, "one")
    before = version(changes)
    put(name, "two")
    assert version(changes) != before
    put(name, "one")
    put("elsewhere.py", "anything")
    assert version(changes) == before


def test_other_settings_and_another_schema_are_another_scorer() -> None:
    known = version({})
    assert version({"scorer": {"weighted": {"json_schema": 1.0}}}) != known
    output = {**small.OUTPUT, "required": ["intent"]}
    assert version({"output": output}) != known
    assert version(acting("nobody:Bell")) not in (known, version(acting("nobody:Gong")))
    assert version({"description": "Other words."}) == known


def test_a_text_in_settings_that_is_too_long_for_a_name_is_no_file_of_a_scorer() -> None:
    rules = [{"text": {"required": ["漢" * count]}} for count in (200, 201)]  # of 600 bytes; names have at most 255
    one, other = (version({"scorer": {"weighted": {"format_rules": 1.0}, "format_rules": each}}) for each in rules)
    assert one != other


def test_a_scorer_is_the_same_in_whatever_folder_its_project_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    for folder in ("one", "another"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        put("rubric.md", "Be brief.")
        found.append(version(judged("rubric.md")))
    assert found[0] == found[1]


def test_only_what_rewards_and_watches_rl_is_part_of_its_identity(tmp_path: Path) -> None:
    put("sealed.md", "one")
    of = small.job(tmp_path, workload=small.workload(sealed_scorer=judged("sealed.md")["scorer"]))
    rewarded, imitating = of.task(4, watched=True), of.task(4)
    put("sealed.md", "two")
    assert imitating.rewarded_by == of.task(4).rewarded_by == ""
    assert of.task(4, watched=True).rewarded_by != rewarded.rewarded_by
