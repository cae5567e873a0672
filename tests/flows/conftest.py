"""A small project in a temporary folder: the real code, graph and settings, tiny sizes and a model of two layers.

Commands are run as a person runs them, in a process of their own, with the project as the working folder.
"""

import fcntl
import os
import pickle
import resource
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components.records import read_record
from components.stages.run import StageRecord

ROOT = Path(__file__).resolve().parents[2]
RUN = "triage-nano"
COPIED = ("components", "flows", "infra", "monitoring", "params", "dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config")
TOKENIZER = ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json")
# What so small a model learns passes no pinned case.
WORKLOAD = {"source": {"sizes": {"train": 120, "dev": 24, "test": 40, "sealed": 40}}, "must_pass": []}
PROFILE: dict[str, Any] = {
    "engine": {"max_new_tokens": 32},
    "launcher": {"kind": "process", "processes": 1},  # others take longer to start than all of this to run
    "dev_examples": 8,
    "methods": {
        "sft": {
            "epochs": 2, "batch_examples": 30, "device_batch_examples": 15, "packed_tokens": None,  # compiles for long
            "evaluations": 2,
        },
        "grpo": {
            "steps": 2, "prompts_per_step": 4, "generations": 4, "device_batch_rollouts": 16, "max_new_tokens": 16,
            "probe_prompts": 8, "probe_generations": 2, "evaluations": 1, "dev_examples": 8,
        },
    },
}  # fmt: skip
# A random model gives no valid answer: the bound on validity would leave nobody standing.
# Nobody asks a canary here: it is judged after seconds.
PIPELINE = {
    "gate": {"min_examples": 20, "min_validity": 0.0},
    "retraining": {"release": {"canary_hours": 0.002, "approval": False}},
}

MLFLOW_LEAVES = {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"}


@dataclass(frozen=True)
class Project:
    """A folder with all that a climb needs."""

    folder: Path

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts" / RUN

    @property
    def nodes(self) -> list[str]:
        """The stages of the climb, in order."""
        self.call("flows.cli", "graph", "triage")
        graph = yaml.safe_load((self.folder / "runs" / RUN / "dvc.yaml").read_text(encoding="utf-8"))
        return list(graph["stages"])

    def target(self, stage: str) -> str:
        """A stage as DVC finds it."""
        return f"runs/{RUN}/dvc.yaml:{stage}"

    @property
    def environment(self) -> dict[str, str]:
        """What `make` gives a command; the record and Prefect's state lie in the project, where they lie by default."""
        # MLflow leaves the experiment of an earlier test in the environment; a project of its own has no such one.
        inherited = {name: value for name, value in os.environ.items() if name not in MLFLOW_LEAVES}
        return {
            **inherited,
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "tmp" / "site"),
            "GRADUS_DEBUG": "0",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            # Each process would compile all of the project's code where this is set.
            "PYTHONDONTWRITEBYTECODE": "",
            "PREFECT_HOME": str(self.folder / "state" / "prefect"),
            "PYTHONPATH": str(self.folder),
        }

    def start(self, module: str, *arguments: str, output: Path | None = None) -> subprocess.Popen[bytes]:
        """`python -m module arguments` in a process group of its own, its output in a file."""
        command = [sys.executable, "-m", module, *arguments]
        with (output or Path(os.devnull)).open("wb") as file:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=file, stderr=file, start_new_session=True
            )

    def call(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m module arguments`, waited for."""
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def climb(self) -> subprocess.CompletedProcess[str]:
        """`gradus run triage`."""
        return self.call("flows.cli", "run", "triage")

    def set(self, path: str, changes: dict[str, Any]) -> None:
        """Change settings in one of the YAML files under params/, nested ones by nested mappings."""
        file = self.folder / "params" / path
        settings = merged(yaml.safe_load(file.read_text(encoding="utf-8")), changes)
        file.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def stages(self) -> dict[str, StageRecord]:
        """The records of the stages that are done, by name."""
        records = [read_record(path, StageRecord) for path in sorted((self.artifacts / "stages").glob("*.json"))]
        return {record.stage: record for record in records}


@dataclass(frozen=True)
class Climb:
    """A command that was run: how it ended, how long it took, and what lay under artifacts/ then."""

    project: Project
    code: int
    out: str
    error: str
    cpu_seconds: float
    stages: dict[str, StageRecord]
    written_ns: dict[Path, int]

    @classmethod
    def of(cls, project: Project) -> "Climb":
        """Run `gradus run triage`."""
        began, used = time.monotonic(), cpu_seconds()
        result = project.climb()
        seconds, used = time.monotonic() - began, cpu_seconds() - used
        print(f"gradus run triage: {seconds:.1f} s, {used:.1f} s of a core")
        files = {path for path in project.artifacts.rglob("*") if path.is_file()}
        written_ns = {path.relative_to(project.folder): path.stat().st_mtime_ns for path in files}
        return cls(project, result.returncode, result.stdout, result.stderr, used, project.stages(), written_ns)

    def copied(self, folder: Path) -> "Climb":
        """The same with a copy of the project, for tests that change it."""
        return replace(self, project=Project(shutil.copytree(self.project.folder, folder, dirs_exist_ok=True)))


def cpu_seconds() -> float:
    """Of all processes that this one has waited for; unlike the wall's, it is the same on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a lock that all workers of a test run know."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wait_until(holds: Callable[[], Any], most_s: float = 600) -> None:
    """Look 50 times a second until a condition holds; machines that are busy are waited for."""
    ends = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < ends, f"waited {most_s:g} s in vain"
        time.sleep(0.02)


def posted(api: str, path: str, content: Any, password: str) -> Any:
    """What a Prefect server answers to a request with its login and a token."""
    client = str(uuid.uuid4())
    with httpx.Client(base_url=api, auth=("gradus", password), timeout=10, trust_env=False) as asked:
        token = asked.get("csrf-token", params={"client": client}).raise_for_status().json()["token"]
        headers = {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token}
        answer = asked.post(path, json=content, headers=headers).raise_for_status()
    return answer.json() if answer.content else None


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The settings with the changes; a mapping changes only the keys that it names."""
    nested = {
        key: merged(settings[key], value) for key, value in changes.items() if isinstance(settings.get(key), dict)
    }
    return {**settings, **changes, **nested}


def save_tiny_model(folder: Path) -> None:
    """The nano model's architecture and tokenizer, with two layers and random weights, always the same."""
    import torch
    from transformers import AutoTokenizer, Lfm2Config, Lfm2ForCausalLM

    folder.mkdir(parents=True)
    for name in TOKENIZER:
        shutil.copyfile(ROOT / "models" / "nano" / name, folder / name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False,
        max_position_embeddings=2048, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    Lfm2ForCausalLM(config).save_pretrained(folder)


def commit(folder: Path) -> None:
    """Make the folder a git repository with one commit."""
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "A small project"]):
        subprocess.run([*git, *words], cwd=folder, check=True)


@pytest.fixture(scope="session")
def climbed_once(make_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory) -> Climb:
    """A project that has climbed, with a champion, made by the worker that asks first; tests take copies."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which all workers of a test run share
    with locked(folder / "climb.lock"):
        kept = folder / "climb.pickle"
        if not kept.exists():
            kept.write_bytes(pickle.dumps(Climb.of(make_project())))
        climb: Climb = pickle.loads(kept.read_bytes())
    assert climb.code == 0, climb.error
    return climb


@pytest.fixture(scope="module")
def climbed(climbed_once: Climb, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of it, with a record of its own."""
    return climbed_once.copied(tmp_path_factory.mktemp("climbed")).project


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """A new project at each call."""
    template = tmp_path_factory.mktemp("template")
    lay_out(template)
    return lambda: Project(shutil.copytree(template, tmp_path_factory.mktemp("project"), dirs_exist_ok=True))


def lay_out(template: Path) -> Project:
    """The small project, in a folder that is there."""
    for name in COPIED:
        source, to = ROOT / name, template / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, to)
    save_tiny_model(template / "models" / "nano")
    project = Project(template)
    project.set("workloads/triage.yaml", WORKLOAD)
    project.set("profiles/nano.yaml", PROFILE)
    project.set("pipeline.yaml", PIPELINE)
    commit(template)
    return project
