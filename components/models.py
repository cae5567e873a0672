"""Opening a model folder: every way in which one can be wrong is refused with a sentence that names it.

Decides what counts as a model folder; which model is opened, and what for, is decided elsewhere.
"""

from pathlib import Path
from typing import Any

from components.errors import EngineError

REQUIRED_FILES = ("config.json", "tokenizer.json")


def open_model(folder: Path) -> tuple[Any, Any]:
    """Load (model, tokenizer) from a folder, the model in evaluation mode and in the precision its config names.

    Raises:
        EngineError: The folder, a file or a weight is missing or unreadable, or tokenizer and embeddings differ in
            size. Weights are never filled in at random.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _check_files(folder)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers raises a dozen kinds, each the folder's fault
        raise EngineError(f"expected a model that transformers loads, found {_brief(error)} ({folder})") from error
    model, report = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, report[kind])):
            raise EngineError(
                f"expected the weights of config.json, found {kind.replace('_', ' ')}: {keys[0]} ({folder})"
            )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise EngineError(f"expected a vocabulary of at most {rows:,} tokens, found {len(tokenizer):,} ({folder})")
    return model.eval(), tokenizer


def _check_files(folder: Path) -> None:
    """Refuse what is no folder, lacks a file, or holds weights that cannot be read."""
    if not folder.is_dir():
        raise EngineError(f"expected a model folder, found none at {folder}")
    for name in REQUIRED_FILES:
        if not (folder / name).is_file():
            raise EngineError(f"expected {name} in the model folder, found none ({folder})")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise EngineError(f"expected weights in safetensors, found none ({folder})")
    from safetensors import SafetensorError, safe_open

    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise EngineError(f"expected weights in safetensors, found {_brief(error)} ({path})") from error


def _brief(error: Exception) -> str:
    """The first line of a library's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
