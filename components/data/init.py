"""`gradus init NAME --from FILE`: a first workload from a file, which runs as it is on the embedded model.

Decides where the drafts go, and that nothing is overwritten. They are written to a temporary folder first, read back
with the code that will read them later, and only then put in place; the pipeline, which gets a run, comes last.
"""

import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from components.data.columns import guess
from components.data.drafts import PROMPTS, nano_run, prompts, with_run, workload_yaml
from components.data.sources import read
from components.data.tables import kind_of, read_table
from components.errors import ConfigError
from components.params import Pipeline, Workload, load
from components.prompts import load_prompt

PIPELINE = Path("params/pipeline.yaml")


def init_workload(name: str, file: Path, root: Path, encoding: str = "utf-8") -> list[Path]:
    """Write settings and prompts for the workload `name` under `root`, copy `file` to data/<name>/, and add a run.

    The run is <name>-nano, in params/pipeline.yaml. Returns the paths written: the settings, the prompts, the data,
    the pipeline.

    Raises:
        ConfigError: The name is none, a file or the run is there already, or the pipeline is missing or wrong.
        DataError: The file cannot be read, or its columns give no text or no answer. Nothing is written then.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ConfigError(f"name must be of lower-case letters, digits, _ and -, found {name!r}")
    targets = [Path("params/workloads") / f"{name}.yaml"]
    targets += [Path("params/prompts") / name / f"{prompt}.md" for prompt in PROMPTS]
    targets.append(Path("data") / name / file.name)
    for target in targets:
        if (root / target).exists():
            raise ConfigError(f"expected a new name, found a file of the workload {name!r} at {root / target}")
    with tempfile.TemporaryDirectory() as draft:
        settings, *texts, data, pipeline = (Path(draft) / target for target in (*targets, PIPELINE))
        for path in (settings, *texts, data):
            path.parent.mkdir(parents=True, exist_ok=True)
        _add_run(name, root / PIPELINE, pipeline)
        guessed = guess(read_table(file, kind_of(file), encoding))
        settings.write_text(workload_yaml(name, file, encoding, guessed), encoding="utf-8")
        for path, text in zip(texts, prompts(name, guessed).values(), strict=True):
            path.write_text(text, encoding="utf-8")
        shutil.copyfile(file, data)
        _read_back(settings, texts, data.parent)
        return _put(Path(draft), targets, root)


def _add_run(name: str, pipeline: Path, draft: Path) -> None:
    """Write the pipeline with the workload's run to `draft`; the runs that it has must read as before.

    Raises:
        ConfigError: The pipeline is missing or wrong, has such a run, or is laid out so that none can be added.
    """
    before, run, added = load(pipeline, Pipeline), f"{name}-nano", nano_run(name)
    if run in before.runs:
        raise ConfigError(f"expected a new name, found the run {run} ({pipeline})")
    # As bytes, so that line ends stay what they are.
    draft.write_bytes(with_run(pipeline.read_bytes().decode("utf-8"), run, added).encode("utf-8"))
    with suppress(ConfigError):
        if load(draft, Pipeline) == before.model_copy(update={"runs": {**before.runs, run: added}}):
            return
    raise ConfigError(f"expected a line `runs:` with one run below the other, found none to add {run} to ({pipeline})")


def _read_back(settings: Path, texts: list[Path], folder: Path) -> None:
    """Read the drafts as a run does; what it refuses, the caller hears before anything is in place."""
    workload = load(settings, Workload)
    rows = read(workload, folder)
    for path in texts:
        load_prompt(path.parent, path.stem, tuple(rows[0].example.input))


def _put(draft: Path, targets: list[Path], root: Path) -> list[Path]:
    """Copy the drafts into place, the pipeline last and in one step; after a failure, what was copied is taken back."""
    written: list[Path] = []
    pipeline = root / PIPELINE
    part = pipeline.with_name(pipeline.name + ".part")
    try:
        for target in targets:
            path = root / target
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            shutil.copyfile(draft / target, path)
        shutil.copyfile(draft / PIPELINE, part)
        part.replace(pipeline)
    except BaseException:  # an interrupt too leaves nothing behind
        for path in (*written, part):
            with suppress(OSError):
                path.unlink()
        raise
    return [*written, pipeline]
