"""Embeddings of a version's reference, its answers before release; kept beside the last look.

They are computed once for a version, with the served model itself.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.engines.embedding import embed
from components.records import Observation
from monitoring.columns import text_of

log = logging.getLogger(__name__)
VECTORS = "reference"  # prefix of the files' names


def embedded(model: Path, observations: Sequence[Observation]) -> np.ndarray:
    """The embeddings of inputs, [observations, size]."""
    return embed(model, [text_of(observation) for observation in observations])


def reference_vectors(model: Path, digest: str, observations: Sequence[Observation], folder: Path) -> np.ndarray:
    """The embeddings of a version's reference, cached in `folder` by the digest of the model's files and the texts.

    Computed at the first call, and where the cached ones cannot be read; those of other models or texts are removed.
    """
    path = folder / f"{VECTORS}-{_hash(digest, observations)}.npy"
    vectors = _cached(path)
    if vectors is None:
        vectors = embedded(model, observations)
        _keep(path, vectors)
    return vectors


def _hash(digest: str, observations: Sequence[Observation]) -> str:
    """A hash of a model, by its digest, and of the texts that it embeds."""
    known = json.dumps([digest, *map(text_of, observations)])
    return hashlib.sha256(known.encode()).hexdigest()[:32]


def _cached(path: Path) -> np.ndarray | None:
    """The vectors in a file, None if there is none or it holds something else."""
    try:
        return np.load(path)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError) as error:  # cut off by a power cut
        log.warning("%s: expected embeddings, found %s; computed anew.", path, error)
        return None


def _keep(path: Path, vectors: np.ndarray) -> None:
    """Write vectors beside the file first, then remove the others of the workload."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")  # numpy wants this ending
    np.save(part, vectors)
    part.replace(path)
    for old in path.parent.rglob(f"{VECTORS}*.npy"):  # earlier releases had a folder for each version
        if not old.name.startswith(f"{path.stem}."):  # nor what another process writes of the same ones
            old.unlink(missing_ok=True)
