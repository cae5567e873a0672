"""The work folder of a training, and the model folder that it produces.

Decides from which checkpoint a killed training resumes, whose checkpoint it must be, what is left of one that failed,
and what a result folder contains.
A checkpoint is complete once its trainer state, which is written last, can be read.
"""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from components.errors import TrainingError
from components.models import end_tokens, open_model
from components.training.launch import is_main

IDENTITY = "identity.json"
STATE = "trainer_state.json"
GENERATION = "generation_config.json"
# Copied from the base, whose end tokens may be completed; its card and records are not the result's.
KEPT_FILES = (
    "config.json", GENERATION, "chat_template.jinja", "chat_template.json", "tokenizer.json",
    "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt",
)  # fmt: skip


def claim(work: Path, identity: str) -> None:
    """Mark a work folder as this training's; where another made no checkpoint in it, that one's mark goes.

    Raises:
        TrainingError: The folder has checkpoints of other settings, data, scorers or starting models.
    """
    mark = work / IDENTITY
    owner = (_object(mark) or {}).get("identity", "no mark of a training") if mark.is_file() else None
    if owner == identity:
        return
    if any(work.glob("checkpoint-*")):
        raise TrainingError(
            f"expected checkpoints of these settings, data, scorers and model ({identity}), found others ({owner}) in "
            f"{work}; remove the folder to start again"
        )
    work.mkdir(parents=True, exist_ok=True)
    if is_main():  # while the others read what it may have replaced
        drop_other_best(work, set())
        write_json(mark, {"identity": identity})


def abandon(work: Path) -> None:
    """Remove mark, checkpoints and best weights of a training that would fail again; its main process does."""
    if is_main():
        (work / IDENTITY).unlink(missing_ok=True)
        drop_other_best(work, set())
        for checkpoint in work.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object to a temporary file of this process, then move it to `path`."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    part.replace(path)


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """The trainer state of a complete checkpoint, None for an incomplete one."""
    state = _object(checkpoint / STATE)
    return state if state and isinstance(state.get("log_history"), list) else None


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None if it contains anything else."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def last_checkpoint(work: Path) -> Path | None:
    """The latest complete checkpoint; incomplete ones are removed."""
    numbered = [path for path in work.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    checkpoints = sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))
    whole = [path for path in checkpoints if read_state(path)]
    for path in checkpoints:
        if path not in whole:
            shutil.rmtree(path, ignore_errors=True)  # another process of the same training may be faster
    return whole[-1] if whole else None


def best_folder(work: Path, step: int) -> Path:
    """The folder for the weights of a best-scoring step."""
    return work / f"best-{step}"


def drop_other_best(work: Path, steps: set[int]) -> None:
    """Remove the weights of other steps, once no complete checkpoint needs them."""
    for path in work.glob("best-*"):
        if path not in {best_folder(work, step) for step in steps}:
            shutil.rmtree(path)


def publish(base: Path, best: Path, out: Path) -> None:
    """Write the base with the trained weights, adapters merged, in the base's stored precision, then move it to `out`.

    Raises:
        EngineError: One of the folders is not a loadable model.
    """
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model, tokenizer = _trained_model(base, best)
    _to_stored_precision(model, base)
    model.save_pretrained(part)
    for name in KEPT_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, part / name)
    _name_ends(part / GENERATION, end_tokens(model, tokenizer))
    if out.exists():
        shutil.rmtree(out)
    part.rename(out)


def _name_ends(settings: Path, ends: frozenset[int]) -> None:
    """Name the tokens that end an answer in a file of generation settings, for whoever else serves the model."""
    content = _object(settings) or {}
    named = content.get("eos_token_id")
    if not ends <= set(named if isinstance(named, list) else [named]):
        settings.write_text(json.dumps({**content, "eos_token_id": sorted(ends)}, indent=2) + "\n", encoding="utf-8")


def _trained_model(base: Path, best: Path) -> tuple[Any, Any]:
    """(model, tokenizer) from a `best` folder, which has all weights or an adapter of the base."""
    if not (best / "adapter_config.json").is_file():
        return open_model(best)
    from peft import PeftModel

    model, tokenizer = open_model(base)
    adapted: Any = PeftModel.from_pretrained(model, str(best))
    return adapted.merge_and_unload(), tokenizer


def _to_stored_precision(model: Any, base: Path) -> None:
    """Cast each weight to its type in the base's file, which its config may not name."""
    from safetensors.torch import safe_open

    stored: dict[str, Any] = {}
    for path in base.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            stored |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 — not a mapping
    usual = Counter(stored.values()).most_common(1)[0][0]
    for name, weight in model.named_parameters():
        weight.data = weight.data.to(_torch_dtype(stored.get(name, usual)))


def _torch_dtype(name: str) -> Any:
    """The torch dtype for a name in a safetensors header."""
    import torch

    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}[name]
