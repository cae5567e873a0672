"""What may be registered: the gate's winner, in a self-contained folder.

Decides which folders are refused and how a version is described; other modules store them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from components.errors import RegistryError
from components.models import REQUIRED_FILES
from components.records import Rung, Verdict
from components.registry.redaction import redact, safe

COST_TAG = "gradus.usd_per_call"
RUNG_RUN_TAG = "gradus.rung_run"  # id of the run that the rung was made in
SIGNATURE_TAG = "gradus.signature"
MOST_TAG_CHARACTERS = 5_000  # MLflow's limit for a tag; the card has the full text
_ADAPTER_MARKS = ("base_model.", ".lora_", ".base_layer.")


@dataclass(frozen=True)
class Candidate:
    """The gate's winner: its folder, its `result.json`, the verdict, and the id of the run that will store it.

    `card` describes it and its results in Markdown; `signature` gives its inputs and outputs in JSON.
    """

    workload: str
    rung: Rung
    folder: Path
    verdict: Verdict
    run_id: str
    usd_per_call: float | None = None
    card: str = ""
    signature: str = ""


def refuse_unfit(candidate: Candidate) -> None:
    """Refuse a rung that did not win, an empty folder and, for trained rungs, an incomplete model.

    Raises:
        RegistryError: One of these is the case.
    """
    verdict, folder = candidate.verdict, candidate.folder
    winner = verdict.challenger if verdict.decision == "promoted" else verdict.champion
    if candidate.rung.name != winner:
        raise RegistryError(f"expected the gate's winner `{winner}`, found `{candidate.rung.name}` ({folder})")
    if not folder.is_dir() or not any(folder.iterdir()):
        raise RegistryError(f"expected the folder of rung `{winner}`, found none or an empty one at {folder}")
    if candidate.rung.makes == "model":
        _refuse_half_models(folder)


def version_tags(candidate: Candidate) -> dict[str, str]:
    """A version's tags: its origin and the gate's verdict."""
    rung, verdict = candidate.rung, candidate.verdict
    return safe(
        {
            "rung": rung.name,
            "method": rung.method,
            "makes": rung.makes,
            "starts_from": rung.starts_from or "",
            "compared_with": rung.compared_with or "",
            "prompt": rung.prompt or "",
            "params_hash": rung.params_hash,
            "data_hash": rung.data_hash,
            "git_commit": rung.git_commit,
            "seed": rung.seed,
            "dev_score": "" if rung.dev_score is None else rung.dev_score,
            RUNG_RUN_TAG: rung.mlflow_run_id or "",
            SIGNATURE_TAG: candidate.signature[:MOST_TAG_CHARACTERS],
            COST_TAG: "" if candidate.usd_per_call is None else candidate.usd_per_call,
            "gate.decision": verdict.decision,
            "gate.champion": verdict.champion,
            "gate.challenger": verdict.challenger,
            "gate.reasons": json.dumps(verdict.reasons, ensure_ascii=False),
        }
    )


def description(candidate: Candidate) -> str:
    """The card and the gate's reasons, in Markdown, for MLflow's pages."""
    verdict = candidate.verdict
    outcome = "replaced" if verdict.decision == "promoted" else "did not replace"
    lines = [f"`{verdict.challenger}` {outcome} `{verdict.champion}`:", "", *(f"- {item}" for item in verdict.reasons)]
    return redact("\n".join([*([candidate.card, ""] if candidate.card else []), *lines]))


def _refuse_half_models(folder: Path) -> None:
    """Refuse a folder without weights or tokenizer, and weights with unmerged adapters."""
    for name in REQUIRED_FILES:
        if not (folder / name).is_file():
            raise RegistryError(f"expected a whole model with {name}, found none ({folder})")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise RegistryError(f"expected weights in safetensors, found none ({folder})")
    for path in weights:
        for key in _weight_names(path):
            if any(mark in key for mark in _ADAPTER_MARKS):
                raise RegistryError(f"expected adapters merged into the model, found the weight {key} ({path})")


def _weight_names(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise RegistryError(f"expected weights in safetensors, found {error} ({path})") from error
