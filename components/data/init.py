"""`gradus init NAME --from FILE`: a first workload from a file, which runs as it is.

Decides where the drafts go, and that nothing is overwritten. They are written to a temporary folder first, read back
with the code that will read them later, and only then put in place.
"""

import re
import shutil
import tempfile
from pathlib import Path

from components.data.columns import guess
from components.data.drafts import PROMPTS, prompts, workload_yaml
from components.data.sources import read
from components.data.tables import kind_of, read_table
from components.errors import ConfigError
from components.params import Workload, load
from components.prompts import load_prompt


def init_workload(name: str, file: Path, root: Path, encoding: str = "utf-8") -> list[Path]:
    """Write settings and prompts for the workload `name` under `root`, and copy `file` to data/<name>/.

    Returns the paths written: the settings, the prompts, the data.

    Raises:
        ConfigError: The name is none, or a file is there already.
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
    guessed = guess(read_table(file, kind_of(file), encoding))
    with tempfile.TemporaryDirectory() as draft:
        settings, *texts, data = (Path(draft) / target for target in targets)
        for path in (settings, *texts, data):
            path.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(workload_yaml(name, file, encoding, guessed), encoding="utf-8")
        for path, text in zip(texts, prompts(name, guessed).values(), strict=True):
            path.write_text(text, encoding="utf-8")
        shutil.copyfile(file, data)
        _read_back(settings, texts, data.parent)
        return _put(Path(draft), targets, root)


def _read_back(settings: Path, texts: list[Path], folder: Path) -> None:
    """Read the drafts as a run does; what it refuses, the caller hears before anything is in place."""
    workload = load(settings, Workload)
    rows = read(workload, folder)
    for path in texts:
        load_prompt(path.parent, path.stem, tuple(rows[0].example.input))


def _put(draft: Path, targets: list[Path], root: Path) -> list[Path]:
    """Copy the drafts into place; after a failure, what was copied is taken back."""
    written: list[Path] = []
    try:
        for target in targets:
            path = root / target
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            shutil.copyfile(draft / target, path)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written
