"""Embeddings of a version's reference, its answers before release; kept beside the lake.

They are computed once for a version, with the served model itself.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.engines.embedding import embed
from components.records import Observation
from monitoring.columns import text_of

VECTORS = "reference.npy"


def embedded(model: Path, observations: Sequence[Observation]) -> np.ndarray:
    """The embeddings of inputs, [observations, size]."""
    return embed(model, [text_of(observation) for observation in observations])


def reference_vectors(model: Path, observations: Sequence[Observation], folder: Path) -> np.ndarray:
    """The embeddings of a version's reference, computed at the first call and cached in `folder`."""
    path = folder / VECTORS
    if path.is_file():
        vectors = np.load(path)
        if len(vectors) == len(observations):
            return vectors
    vectors = embedded(model, observations)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{VECTORS}.part.npy"
    np.save(part, vectors)
    part.replace(path)
    return vectors
