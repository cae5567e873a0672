"""Which files of a project's own stages depend on: those that settings name, their modules, and what these import."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.own_code import own, with_imports
from components.params import AgentParams, GeneratedSource, ScorerParams, Settings
from components.stages.graph import nodes
from components.stages.run import Run
from tests.components.stages.conftest import MakeRun


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def deps(run: Run, stage: str) -> set[str]:
    return {*next(node for node in nodes(run) if node.name == stage).deps}


def scored(run: Run, **scorer: Any) -> Run:
    """The run with another scorer, which is not built."""
    params = ScorerParams.model_validate(scorer)
    return replace(run, workload=run.workload.model_copy(update={"scorer": params}))


@pytest.mark.parametrize("found", ["sums.py", "sums"])
def test_a_module_is_found_as_python_finds_it(found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = f"sums_{found.partition('.')[2] or 'package'}"
    # A folder of the same name hides a file only where it is a package.
    beside = "__init__.py" if found == "sums" else "rows.py"
    write({f"{name}.py": "WHERE = 'file'", f"{name}/{beside}": "WHERE = 'folder'"})
    monkeypatch.syspath_prepend(tmp_path)
    where = __import__(name).WHERE
    sys.modules.pop(name)
    assert own(f"{name}.inner") == {"file": f"{name}.py", "folder": name}[where] == found.replace("sums", name)


def test_what_is_installed_and_what_is_gradus_is_not_the_projects_own() -> None:
    write({"components/workloads/mine.py": "", "data/rows.csv": ""})
    assert [own(name) for name in ("yaml", "components.workloads.mine", "data", "nowhere")] == [None] * 4


def test_imports_are_followed_through_the_projects_own_code_to_their_end() -> None:
    write({
        "sums.py": "import json\nfrom units import euros\n\ndef late():\n    import rates.today\n",
        "units.py": "from sums import late",  # back again
        "rates/__init__.py": "from . import today",
        "rates/today.py": "from components.errors import ScorerError\nimport money",
        "rates/draft.py": "def unfinished(",
        "money.py": "", "unused.py": "",
    })  # fmt: skip
    assert with_imports(["sums.py"]) == ["sums.py", "rates", "units.py", "money.py"]


def test_a_relative_import_takes_the_package_in() -> None:
    write({"rates/__init__.py": "", "rates/scorers/own.py": "from ..today import EURO", "rates/today.py": "EURO = 1"})
    assert with_imports(["rates/scorers/own.py"]) == ["rates/scorers/own.py", "rates"]


@pytest.mark.parametrize(
    "scorer",
    [
        {"weighted": {"judge": 1.0}, "judge": {"model": "big", "rubric": "rubric.md", "api": {}}},
        {"weighted": {"sql_execution": 1.0}, "sql_execution": {"databases": ["rubric.md"]}},
    ],
    ids=["judge", "databases"],
)
def test_files_that_a_scorer_names_are_declared_also_at_the_top_of_the_project(
    make_run: MakeRun, scorer: dict[str, Any]
) -> None:
    run = scored(make_run(), **scorer)
    assert "rubric.md" not in deps(run, "answer-one")
    write({"rubric.md": "Good."})
    assert "rubric.md" in deps(run, "answer-one") & deps(run, "rung-one") & deps(run, "certify")
    assert "rubric.md" not in deps(run, "data")


def test_a_text_in_settings_that_is_too_long_for_a_name_is_no_file(make_run: MakeRun) -> None:
    rules = {"text": {"required": ["漢" * 200]}}  # 600 bytes; names have at most 255
    run = scored(make_run(), weighted={"format_rules": 1.0}, format_rules=rules)
    assert "components/scorers" in deps(run, "answer-one")


def test_a_scorers_package_at_the_top_of_the_project_is_declared_with_what_it_imports(make_run: MakeRun) -> None:
    run = scored(make_run(), weighted={"sums:Adds": 1.0})
    write({"sums/__init__.py": "from units import euros", "units.py": ""})
    assert {"sums", "units.py"} <= deps(run, "answer-one")
    assert not {"sums", "units.py"} & deps(run, "audit")


def test_generators_and_environments_are_declared_with_what_they_import_and_installed_ones_are_not(
    make_run: MakeRun,
) -> None:
    run = make_run()
    write({"orders.py": "import units", "units.py": "", "shop.py": "import units"})
    source = GeneratedSource(kind="generated", generator="orders:generate", seed=1, sizes={"train": 1})
    workload = run.workload.model_copy(update={"source": source, "agent": AgentParams(environment="shop:Shop")})
    made = replace(run, workload=workload)
    assert {"orders.py", "shop.py", "units.py"} <= deps(made, "data")
    for name in ("orders.py", "shop.py"):
        Path(name).unlink()  # now they would be imported from elsewhere
    assert not {"orders.py", "shop.py", "units.py"} & deps(made, "data")


@pytest.mark.parametrize(("command", "known"), [
    ("python tools/serve.py --rows tools/rows.json", {"tools/serve.py", "tools/stock.py", "tools/rows.json"}),
    ("python -m served", {"served.py", "stock.py"}),
    (f"sh -c 'python served.py --note {'漢' * 200}'", set[str]()),  # too long for a name
])  # fmt: skip
def test_an_mcp_servers_script_and_module_are_declared_with_what_they_import(
    make_run: MakeRun, command: str, known: set[str]
) -> None:
    run = make_run()
    write({
        "tools/serve.py": "import stock", "tools/stock.py": "", "tools/rows.json": "{}",
        "served.py": "import stock", "stock.py": "",
    })  # fmt: skip
    agent = AgentParams(environment=f"mcp:{command}")
    files = deps(replace(run, workload=run.workload.model_copy(update={"agent": agent})), "answer-one")
    assert {path for path in files if path.startswith(("tools/", "served", "stock"))} == known


class Words(Settings):
    words: str


def test_a_file_that_a_rungs_settings_name_is_declared_for_this_rung(make_run: MakeRun) -> None:
    run = make_run()
    write({"words.txt": "a"})
    rungs = tuple(
        replace(rung, settings=Words(words="words.txt")) if rung.name == "one" else rung for rung in run.rungs
    )
    named = replace(run, rungs=rungs)
    assert "words.txt" in deps(named, "rung-one")
    assert "words.txt" not in deps(named, "rung-two")
