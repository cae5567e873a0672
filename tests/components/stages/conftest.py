"""A small run in a temporary folder: settings, two prompts, prices, an API that answers by its prompt, and a record."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data.report import DataReport
from components.evaluation import Judging, judge_answers
from components.ladder import PlannedRung, plan
from components.ladder.plan import Sources
from components.params import ApiParams, GateParams, LadderParams, Profile, Workload, load
from components.records import (
    Completion,
    DataSummary,
    Example,
    Rung,
    to_json,
    write_jsonl,
    write_record,
)
from components.registry.store import connect
from components.stages.answers import Answered, answers_folder
from components.stages.run import RESULT, Run
from components.stages.rungs import best, rung
from components.stages.scoring import scorer
from components.tracking import NullTracker

ROOT = Path(__file__).resolve().parents[3]
MakeRun = Callable[..., Run]

# The user message is the input alone, so that a conversation has as many characters as the two texts.
PROMPTS = {"one": "Sort it.", "two": "Sort, please.", "three": "Sort it well.", "short": "Sort."}
SCORER = {"weighted": {"json_schema": 0.2, "field_match": 0.8}}
OUTPUT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["intent", "urgent"],
    "properties": {"intent": {"enum": ["refund", "delivery"]}, "urgent": {"type": "boolean"}},
}
SOURCED = {"source": "by hand", "date": "2026-11-22"}
PRICES = {
    "characters_per_token": 4,
    "models": {
        "big": {"provider": "x", "input_usd_per_million_tokens": 2, "output_usd_per_million_tokens": 8, **SOURCED}
    },
    "machines": {"laptop_2_cores": {"description": "x", "usd_per_hour": 0.72, "utilisation": 0.5, **SOURCED}},
}


def example(number: int, split: str = "test") -> Example:
    """An example whose text names the right answer, for the API and a classifier."""
    intent, urgent = ("refund", "delivery")[number % 2], number % 3 == 0
    answer = to_json({"intent": intent, "urgent": urgent})
    text = f"{intent} {'now' if urgent else 'whenever'} {number}"
    name = f"{split}-{number:03}"
    return Example(id=name, input={"text": text}, demonstration=answer, reference=answer, group=name)


def right(text: str) -> str:
    """The answer that a text names."""
    intent, when, _ = text.split()
    return to_json({"intent": intent, "urgent": when == "now"})


class Api(ThreadingHTTPServer):
    """An OpenAI-compatible API that answers right under the system prompts in `understood`, and nonsense otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Turn)
        self.understood: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Turn(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        system, *_, user = (message["content"] for message in body["messages"])
        assert isinstance(self.server, Api)
        text = right(user) if system in self.server.understood else "I see."
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        content = json.dumps({**answer, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """A run in the current folder, which is a temporary one; `api` answers its prompts where one is given."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "shop", api: Api | None = None, **gate: Any) -> Run:
        settings = {
            "name": name, "description": "Messages to intent and urgency.", "output": OUTPUT, "scorer": SCORER,
            "source": {
                "kind": "csv", "files": {"all": "rows.csv"},
                "columns": {"input": ["text"], "output": {"intent": "intent", "urgent": "urgent"}},
            },
            "prompts": ["one", "two", "three"], "trained_prompt": "short",
            "traffic": {"calls_per_year": 1_000_000}, "incumbent": "big",
        }  # fmt: skip
        prompting = ApiParams(base_url=api.url, key_variable=None) if api else None
        profile = load(ROOT / "params/profiles/nano.yaml", Profile).model_copy(update={"prompting": prompting})
        write_params(Path("params"), name)
        workload = Workload.model_validate(settings)
        # Of 60 valid answers the interval ends at 94 %.
        gated = GateParams.model_validate({"min_validity": 0.9, **gate})
        run = Run(f"{name}-nano", workload, profile, 7, gated, rungs=standard(workload, profile))
        write_data(run)
        return run

    return make


class Notes(NullTracker):
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.numbers |= values


def standard(workload: Workload, profile: Profile) -> tuple[PlannedRung, ...]:
    """The rungs of the standard ladder."""
    ladders, profiles = ROOT / "params/ladders/standard.yaml", ROOT / "params/profiles/nano.yaml"
    pipeline = ROOT / "params/pipeline.yaml"
    return plan(Sources(load(ladders, LadderParams), workload, profile, {}, "shop", ladders, profiles, pipeline))


def make_prompts(run: Run) -> None:
    """The prompts of a run as rungs, and the best of them."""
    for name in run.workload.prompts:
        rung(run, NullTracker(), name)
    best(run, NullTracker(), "prompts")


def keep_rung(run: Run, name: str, **changes: Any) -> Rung:
    """Write the record of a rung without making it."""
    planned = run.planned(name)
    known: dict[str, Any] = {
        "name": name, "method": planned.made_by, "makes": planned.makes, "params_hash": "p",
        "data_hash": "d1", "seed": 7, "git_commit": "c", "seconds": 1.0, "needs": tuple(sorted(planned.needs)),
        "prompt": None if planned.makes == "classifier" else planned.prompt or run.workload.trained_prompt,
    }  # fmt: skip
    made = Rung(**{**known, **changes})
    write_record(run.rung_folder(name) / RESULT, made)
    if made.prompt:
        folder = run.artifact(made).folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prompt.md").write_text(f"{PROMPTS[made.prompt]}\n---user---\n{{text}}\n", encoding="utf-8")
    return made


def keep_answers(run: Run, name: str, split: Any, completions: list[Completion]) -> None:
    """Write a rung's scored completions on a split."""
    examples = run.must_pass if split == "must_pass" else run.examples(split)
    by = Judging(scorer(run), run.workload.output, run.workload.scorer.max_failed_share)
    write_jsonl(answers_folder(run, name) / f"{split}.jsonl", completions)
    judged = judge_answers(name, examples, completions, by)
    write_jsonl(answers_folder(run, name) / f"{split}.scores.jsonl", judged)


def keep_answered(run: Run, name: str, seconds: float = 1.0, digest: str = "", contends: bool = True) -> None:
    """Write how a rung answered."""
    done = Answered(seconds=seconds, digest=digest or name, contends=contends)
    write_record(answers_folder(run, name) / "answered.json", done)


def write_params(params: Path, workload: str) -> None:
    """The prompts and prices of a run."""
    folder = params / "prompts" / workload
    folder.mkdir(parents=True)
    for name, system in PROMPTS.items():
        (folder / f"{name}.md").write_text(f"{system}\n---user---\n{{text}}\n", encoding="utf-8")
    (params / "prices.yaml").write_text(yaml.safe_dump(PRICES), encoding="utf-8")


def write_data(run: Run) -> None:
    """Sixty examples in each split."""
    folder = run.folder / "data"
    for split in ("train", "dev", "test", "sealed"):
        write_jsonl(folder / f"{split}.jsonl", [example(number, split) for number in range(60)])
    summary = DataSummary(version="d1", train=60, dev=60, test=60, sealed=60, demonstration_accuracy=1.0)
    report = DataReport(
        workload=run.workload.name, rows=240, summary=summary, quarantined={}, near_duplicates=0, warnings=()
    )
    write_record(folder / "report.json", report)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an empty record; creating its tables takes seconds, so there is one."""
    address = f"sqlite:///{tmp_path_factory.mktemp('record')}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        connect()
    return address


@pytest.fixture
def record(database: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client of the record that stages write to."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    return connect()
