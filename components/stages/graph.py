"""What each stage of a run reads and writes: the graph that DVC runs, derived from the ladder.

Decides, for every stage, which files, folders and settings it depends on. `gradus graph` and `gradus run` write it to
runs/<run>/dvc.yaml, with the resolved settings in settings.yaml and the hashes of installed code in code.yaml beside
it; these files are not edited.
"""

import os.path
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.data.opinions import KINDS
from components.ladder import PlannedRung
from components.methods import NAMES
from components.models import model_folder
from components.own_code import ADDRESS, own, package, server_files, with_imports
from components.params import (
    BASE,
    MCP,
    Environment,
    GeneratedSource,
    HuggingFaceSource,
    Profile,
    ScorerParams,
    Settings,
    load_named,
)
from components.stages.answers import answers_folder
from components.stages.audit import SUSPECTS, audit_folder
from components.stages.certified import permit_file
from components.stages.certify import LABELS, tried_on
from components.stages.code import CODE, hashed, key, located, parted
from components.stages.run import DATA, PRICES, PROFILES, PROMPTS, RESULT, Run
from components.stages.rungs import feedback_files, reads_audit, reads_feedback, reads_prices
from components.stages.standing import standing_folder

RUNS = Path("runs")
HEADER = "# Derived from params/ by `gradus run` and `gradus graph`: change the settings, not this file.\n"
RUBRICS = "params/rubrics"
JOB = "components/methods/job.py"
IMPORTED = r"from components\.methods\.(\w+)"
USED = r"from (components\.(?:data|evaluation)\.\w+) import"
ENGINES, SCORERS, TRAINING = "components/engines", "components/scorers", "components/training"
TASKS = "components/tasks"
OPENING, SHOTS = "components/opening.py", "components/shots.py"
Words = str | tuple[str, str]


@dataclass(frozen=True)
class StageNode:
    """A stage of a run: its name, its command's words, its dependencies and outputs.

    `settings` are dotted paths into the run's resolved settings; `environment` is the one that its process needs.
    """

    name: str
    command: tuple[str, ...]
    deps: tuple[str, ...]
    settings: tuple[str, ...]
    outs: tuple[str, ...]
    environment: Environment = "base"


def nodes(run: Run) -> list[StageNode]:
    """The stages of a run, each after those that it depends on; a first look ends with the evaluation."""
    every = [*_prepared(run), *_made(run), *_judged(run)]
    if run.first_look is None:
        return every
    kept = [node for node in every if node.name not in ("gate", "report")]
    audited = any(dep.startswith(str(audit_folder(run))) for node in kept for dep in node.deps)
    return [node for node in kept if audited or node.name != "audit"]


def feeds(out: Path, dep: Path) -> bool:
    """Whether a stage's output is, is in, or contains another's dependency."""
    return out == dep or out in dep.parents or dep in out.parents


def write_graph(run: Run) -> Path:
    """Write the run's graph where it has changed; returns the file that DVC reads."""
    folder = RUNS / run.name
    folder.mkdir(parents=True, exist_ok=True)
    installed = [path for node in nodes(run) for path in parted(node.deps)[1]]
    contents = {"settings.yaml": settings(run), "dvc.yaml": graph(run)}
    for name, content in (contents | ({CODE: hashed(installed)} if installed else {})).items():
        text = HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return folder / "dvc.yaml"


def graph(run: Run) -> dict[str, Any]:
    """The content of the run's dvc.yaml."""
    return {"stages": {node.name: _stage(RUNS / run.name, node) for node in nodes(run)}}


def _stage(folder: Path, node: StageNode) -> dict[str, Any]:
    """A stage of dvc.yaml."""
    deps, installed = parted(sorted(set(node.deps)))
    settings, code = sorted(node.settings), sorted(map(key, installed))
    params = [{str(folder / name): names} for name, names in (("settings.yaml", settings), (CODE, code)) if names]
    return {
        "wdir": "../..",
        "cmd": f"exec python -m components.stages {' '.join(node.command)}",
        "deps": deps,
        **({"params": params} if params else {}),
        "outs": list(node.outs),
        **({"meta": {"environment": node.environment}} if node.environment != "base" else {}),
    }


def settings(run: Run) -> dict[str, Any]:
    """The run's settings, resolved from workload, profile, ladder and pipeline."""
    return {
        "seed": run.seed,
        **({"first_look": run.first_look.model_dump()} if run.first_look else {}),
        "workload": run.workload.model_dump(mode="json"),
        "profile": run.profile.model_dump(mode="json", exclude={"pretrain", "midtrain", "methods", "environment"}),
        "rungs": {
            rung.name: {
                "method": rung.made_by,
                "from": rung.starts_from,
                "compare": rung.compared_with,
                "settings": rung.settings.model_dump(mode="json"),
            }
            for rung in run.rungs
        },
        **{name: getattr(run, name).model_dump(mode="json") for name in ("gate", "certificate", "hacking", "audit")},
    }


def _prepared(run: Run) -> Iterator[StageNode]:
    """The stages `data` and `audit`."""
    yield _node(
        run, "data",
        deps=[
            *_source(run), *_tokenizer(run), "components/data", "components/workloads/asking.py", _prompts(run),
            *_agent_files(run), "components/stages/data.py",
        ],
        settings=[
            "workload.agent", "workload.source", "workload.harvest", "workload.output", "workload.validation",
            "workload.prompts", "workload.trained_prompt", "profile.model", "profile.prompting", "profile.max_tokens",
            *(["first_look", "seed"] if run.first_look else []),
        ],
        outs=[str(run.folder / "data")],
    )  # fmt: skip
    yield _node(
        run, "audit",
        deps=[
            *(f"components/evaluation/{name}.py" for name in ("doubt", "label_audit", "pointing", "try_audit")),
            _split(run, "train"), "components/stages/audit.py", *_judging_files(run),
        ],
        settings=[
            "workload.agent", "workload.output", *_columns(run), "seed", "audit",
            *(["workload.scorer"] if run.workload.agent else []),
        ],
        outs=[str(audit_folder(run))],
    )  # fmt: skip


def _made(run: Run) -> Iterator[StageNode]:
    """The rungs in order, with `best` after each group and `certify` before the first rewarded rung."""
    certified, groups = False, run.groups
    for at, rung in enumerate(run.rungs):
        if rung.rewarded and not certified:
            certified = True
            yield _certify(run)
        yield _node(
            run, ("rung", rung.name),
            deps=[
                *_rung_files(run, rung.name), *_scorer_files(run), *_method_files(rung.made_by),
                ENGINES, SCORERS, RUBRICS, OPENING, SHOTS, *_agent_files(run), "components/evaluation/classical.py",
                *([TRAINING] if rung.makes == "model" else []),
                _prompt_file(run, rung.prompt or run.workload.trained_prompt), _split(run, "train"), _split(run, "dev"),
                str(run.folder / "data" / "report.json"),
                *([str(permit_file(run))] if rung.rewarded else []),
                *([str(audit_folder(run) / "audit.json")] if reads_audit(rung) else []),
                *_needed(run, rung), *_named(rung.settings),
                *(_feedback(run) if reads_feedback(rung) else []),
                *([str(PRICES), "components/economics"] if reads_prices(rung) else []),
            ],
            settings=[
                "seed", f"rungs.{rung.name}", *_columns(run), "workload.agent", "workload.output", "workload.scorer",
                "workload.sealed_scorer", "workload.constrained", "workload.incumbent",
                *(["workload.harvest"] if reads_feedback(rung) else []),
                *(["profile.machine"] if reads_prices(rung) else []),
                *([] if rung.prompt else ["workload.trained_prompt"]), "profile.model", "profile.engine",
                "profile.prompting", "profile.dev_examples", "hacking",
                *(["workload.validation"] if "novelty" in rung.needs else []),
                *(["workload.source", "workload.slices"] if rung.takes("source") else []),
            ],
            outs=[str(run.rung_folder(rung.name))],
        )  # fmt: skip
        later = [later_rung.group for later_rung in run.rungs[at + 1 :]]
        if rung.group and rung.group not in later:
            yield _node(
                run, ("best", rung.group),
                deps=[
                    *(str(run.rung_folder(later_rung.name) / RESULT) for later_rung in groups[rung.group]),
                    "components/stages/rungs.py",
                ],
                settings=[], outs=[str(run.folder / "best" / f"{rung.group}.json")],
            )  # fmt: skip


def _certify(run: Run) -> StageNode:
    labels = run.data_source / LABELS
    return _node(
        run, "certify",
        deps=[
            ENGINES, "components/evaluation", SCORERS, RUBRICS, OPENING, SHOTS, *_scorer_files(run), *_agent_files(run),
            *([str(labels)] if labels.is_file() else []), _prompt_file(run, run.workload.trained_prompt),
            _split(run, "train"), _split(run, "dev"), *(str(run.rung_folder(name)) for name in tried_on(run)),
            "components/stages/certify.py",
        ],
        settings=[
            "seed", "certificate", *_columns(run), "workload.agent", "workload.output", "workload.scorer",
            "workload.sealed_scorer", "workload.probes", "workload.constrained", "workload.incumbent",
            "workload.trained_prompt", "profile.model", "profile.engine",
        ],
        outs=[str(run.folder / "certificate")],
    )  # fmt: skip


def _judged(run: Run) -> Iterator[StageNode]:
    """The stages `answer`, `evaluate`, `gate` and `report`."""
    for rung in run.rungs:
        base = _weights(run) if rung.makes == "prompt" else []
        yield _node(
            run, ("answer", rung.name),
            deps=[
                *base, *_scorer_files(run), ENGINES, SCORERS, RUBRICS, OPENING, SHOTS, *_agent_files(run),
                "components/evaluation/judged.py", "components/evaluation/classical.py",
                str(run.rung_folder(rung.name)), _split(run, "test"),
                *([] if run.first_look else [_split(run, "sealed")]), "components/stages/answers.py",
                *([str(run.folder / "best" / f"{rung.group}.json")] if rung.group else []),
            ],
            settings=[
                "seed", *_columns(run), "workload.agent", "workload.output", "workload.scorer", "workload.constrained",
                "workload.incumbent", "workload.must_pass", "profile.model", "profile.engine", "profile.prompting",
            ],
            outs=[str(answers_folder(run, rung.name))],
        )  # fmt: skip
    answers = [str(answers_folder(run, rung.name)) for rung in run.rungs]
    answers += [str(run.folder / "best" / f"{group}.json") for group in run.groups]
    results = [str(run.rung_folder(rung.name) / RESULT) for rung in run.rungs]
    prompts = [str(run.rung_folder(rung.name)) for rung in run.rungs if rung.makes == "prompt"]
    yield _node(
        run, "evaluate",
        deps=[
            *answers, *results, *prompts, _split(run, "test"), str(PRICES), "components/economics",
            "components/evaluation", "components/stages/evaluate.py",
        ],
        settings=[
            "seed", *_columns(run), "workload.agent", "workload.output", "workload.slices", "workload.traffic",
            "workload.incumbent", "workload.economics", "profile.machine", "profile.prompting",
        ],
        outs=[str(run.folder / "evaluation")],
    )  # fmt: skip
    yield _node(
        run, "gate",
        deps=[
            *answers, str(run.folder / "evaluation"), str(standing_folder(run)), _split(run, "sealed"),
            "components/evaluation", "components/stages/climb.py", "components/stages/gate.py",
        ],
        settings=["seed", "gate", "workload.agent", "workload.slices", "workload.must_pass"],
        outs=[str(run.folder / "gate")],
    )  # fmt: skip
    yield _node(
        run, "report",
        deps=[
            *answers, *results, *prompts, str(run.folder / "evaluation"), str(run.folder / "gate"),
            str(run.folder / "data" / "report.json"), _split(run, "test"), _split(run, "train"),
            str(audit_folder(run)), str(run.advice_folder), str(PRICES),
            *([str(run.folder / "certificate")] if any(rung.rewarded for rung in run.rungs) else []),
            *(str(record) for record in records(run)),
            "components/advice", "components/economics", "components/report", "components/stages/report.py",
        ],
        settings=[
            "seed", *_columns(run), "workload.agent", "workload.description", "workload.simulated", "workload.output",
            "workload.incumbent", "workload.traffic", "workload.economics", "profile.machine", "profile.model",
        ],
        outs=[str(run.report)],
    )  # fmt: skip


def _node(run: Run, stage: Words, deps: Sequence[str], settings: Sequence[str], outs: Sequence[str]) -> StageNode:
    """A stage; `stage` is its name, or its name and that of its rung or group."""
    name, *part = [stage] if isinstance(stage, str) else stage
    full = "-".join((name, *part))
    record = str(run.folder / "stages" / f"{full}.json")
    opens_the_model = "profile.engine" in settings and (name == "certify" or run.planned(*part).makes != "classifier")
    environment = run.profile.environment if opens_the_model else "base"
    return StageNode(full, (name, run.name, *part), tuple(deps), tuple(settings), (*outs, record), environment)


def records(run: Run) -> Iterator[Path]:
    """The stage records of all stages before the report."""
    names = ["data", "audit", "evaluate", "gate", *(f"best-{group}" for group in run.groups)]
    names += [f"{stage}-{rung.name}" for rung in run.rungs for stage in ("rung", "answer")]
    names += ["certify"] if any(rung.rewarded for rung in run.rungs) else []
    yield from (run.folder / "stages" / f"{name}.json" for name in names)


def _feedback(run: Run) -> list[str]:
    """The feedback files that exist; if there are none, those that are missing."""
    files = [path for kind in KINDS for path in feedback_files(run, kind)]
    return [str(path) for path in ([path for path in files if path.is_file()] or files)]


def _split(run: Run, name: str) -> str:
    return str(run.folder / "data" / f"{name}.jsonl")


def _prompts(run: Run) -> str:
    return str(PROMPTS / run.workload.name)


def _prompt_file(run: Run, name: str) -> str:
    return str(PROMPTS / run.workload.name / f"{name}.md")


def _rung_files(run: Run, name: str) -> list[str]:
    """The files of what a rung starts from, and for a prompt those of the base model."""
    planned = run.planned(name)
    return [*(_weights(run) if planned.makes == "prompt" else []), *_left_by(run, planned.starts_from)]


def _left_by(run: Run, start: str | None) -> list[str]:
    """The files of a rung or of the base model; for a group those of all its rungs, and the choice of the best."""
    if start is None:
        return []
    if start == BASE:
        return _weights(run)
    if start in run.groups:
        rungs = [str(run.rung_folder(rung.name)) for rung in run.groups[start]]
        return [str(run.folder / "best" / f"{start}.json"), *rungs]
    return [str(run.rung_folder(start))]


def _needed(run: Run, rung: PlannedRung) -> Iterator[str]:
    """The files that a method's needs add, apart from the reward's permit."""
    if (judge := getattr(rung.settings, "judge", None)) is not None:
        yield from (str(PRICES), judge.rubric)
    if "novelty" in rung.needs:
        yield from (_split(run, "test"), _split(run, "sealed"))
        yield from (f"components/data/{name}.py" for name in ("novelty", "similarity"))
    if rung.takes("source"):
        yield from _source(run)
    if "suspects" in rung.needs:
        yield str(audit_folder(run) / SUSPECTS)
    if "suspects" in rung.needs or rung.takes("audit"):
        yield from (f"components/evaluation/{name}.py" for name in ("doubt", "pointing"))
    if "teacher" in rung.needs:
        yield from _teacher_files(run, rung)


def _teacher_files(run: Run, rung: PlannedRung) -> Iterator[str]:
    """The files of a teacher, and of the prompt that it is asked with."""
    teacher = getattr(rung.settings, "teacher", None)
    for asked in (teacher, rung.settings):
        if prompt := getattr(asked, "prompt", None):
            yield _prompt_file(run, prompt)
    if rung.teacher is not None:
        yield from _left_by(run, rung.teacher)
        named = run.groups.get(rung.teacher) or [member for member in run.rungs if member.name == rung.teacher]
        yield from _weights(run) if any(member.makes == "prompt" for member in named) else ()
    if name := getattr(teacher, "profile", None):
        path = PROFILES / f"{name}.yaml"
        folder = load_named(path, Profile).model.path
        yield from (str(path), *([folder] if Path(folder).is_dir() else []))


def _method_files(name: str) -> list[str]:
    """The code of a method: its file or folder, and what that imports: the project's own, methods, data and evaluation.

    Of `job.py`, which all methods are given, only the file itself: stages depend on the rest anyway.
    """
    waiting, files = [*_code(NAMES.get(name, name)), JOB], list[str]()
    used = set[str]()
    while waiting:
        path = waiting.pop()
        code = located(path)
        if path not in files and code.exists():
            files.append(path)
            parts = sorted(code.rglob("*.py")) if code.is_dir() else [code]
            texts = [part.read_text(encoding="utf-8") for part in parts]
            waiting += [_module(f"components.methods.{word}") for text in texts for word in re.findall(IMPORTED, text)]
            used |= {_module(word) for text in texts if path != JOB for word in re.findall(USED, text)}
    return [*files, *sorted(used)]


def _module(name: str) -> str:
    """The path of a module's file or folder, relative to the project or to the installed package."""
    path = Path(name.replace(".", "/"))
    file, package = path.with_suffix(".py"), located(path / "__init__.py").is_file()
    return str(path if package or (located(path).is_dir() and not located(file).is_file()) else file)


def _code(address: str) -> list[str]:
    """The code at `module:name`: its file or folder, and the project's own that it imports; none if it is installed."""
    path = _module(address.partition(":")[0])
    return with_imports([path]) if located(path).exists() else []


def _source(run: Run) -> list[str]:
    """The source of the data: a generator's code, or the workload's own folder."""
    source = run.workload.source
    if isinstance(source, GeneratedSource):
        return _code(source.generator)
    if isinstance(source, HuggingFaceSource) and not Path(source.dataset).exists():
        return []
    return [str(Path(source.dataset) if isinstance(source, HuggingFaceSource) else DATA / run.workload.name)]


def _scorer_files(run: Run) -> list[str]:
    """Files that the scorers' settings name, and code named as `module:…`: its package, and what that imports.

    With a judge also the prices, since a stage records what its verdicts cost.
    """
    scorers = _scorers(run)
    packages = [path for address in _addresses(scorers) if (path := package(address)) and located(path).exists()]
    prices = [str(PRICES)] if any(params.judge for params in scorers) and PRICES.is_file() else []
    return list(dict.fromkeys([*with_imports(packages), *_named(*scorers), *prices]))


def _scorers(run: Run) -> list[ScorerParams]:
    return [params for params in (run.workload.scorer, run.workload.sealed_scorer) if params is not None]


def _addresses(scorers: Sequence[ScorerParams]) -> list[str]:
    """What scorers' settings name as `module:name`."""
    texts = [text for params in scorers for text in (*params.weighted, *_texts(params.model_dump(mode="json")))]
    return [text for text in dict.fromkeys(texts) if re.fullmatch(ADDRESS, text)]


def _named(*params: Settings) -> list[str]:
    """The files that settings name."""
    texts = [text for each in params for text in _texts(each.model_dump(mode="json"))]
    # Path.is_file raises where a text is too long for a name.
    return [str(Path(text)) for text in texts if os.path.isfile(text)]


def _agent_files(run: Run) -> list[str]:
    """The code that runs tries and an agent's environment; for an MCP server the files and modules in its command."""
    agent = run.workload.agent
    if agent is None:
        return []
    if agent.environment.startswith(MCP):
        return [TASKS, *server_files(agent.environment.removeprefix(MCP))]
    return [TASKS, *_code(agent.environment)]


def read_by_all(run: Run) -> list[str]:
    """What reading a run's settings opens, for whichever stage: its own code, and files of scorers and environments."""
    source, agent = run.workload.source, run.workload.agent
    addresses = [rung.made_by for rung in run.rungs if ":" in rung.made_by] + _addresses(_scorers(run))
    addresses += [source.generator] if isinstance(source, GeneratedSource) else []
    addresses += [agent.environment] if agent and not agent.environment.startswith(MCP) else []
    packages = [path for address in addresses if (path := own(address.partition(":")[0])) is not None]
    return [*with_imports(packages), *_scorer_files(run), *_agent_files(run)]


def _judging_files(run: Run) -> list[str]:
    """The code that scores an agent's demonstrations; answers are audited without a scorer."""
    return [SCORERS, *_scorer_files(run), *_agent_files(run)] if run.workload.agent else []


def _texts(value: Any) -> Iterator[str]:
    """All strings in nested settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _columns(run: Run) -> list[str]:
    """The settings that decide which columns prompts may refer to; a generator's columns are read from a row."""
    if isinstance(run.workload.source, GeneratedSource):
        return ["workload.source.generator", "workload.source.seed"]
    return ["workload.source.columns.input"]


def _weights(run: Run) -> list[str]:
    """All files of the base model that affect its answers."""
    return [*_tokenizer(run), *_of_the_model(run, "*.safetensors")]


def _tokenizer(run: Run) -> list[str]:
    """The base model's files without its weights, which decide how text becomes tokens."""
    kinds = ("*config.json", "*token*.json", "chat_template*", "vocab*", "merges.txt", "tokenizer.model")
    return [file for kind in kinds for file in _of_the_model(run, kind)]


def _of_the_model(run: Run, kind: str) -> list[str]:
    """The base model's files of a kind; for a model on a hub, the profile that names it."""
    folder = Path(run.profile.model.path)
    if not folder.is_dir():
        return [str(PROFILES / f"{run.profile.name}.yaml")]
    return [str(path) for path in sorted(model_folder(str(folder)).glob(kind))]
