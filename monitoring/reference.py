"""The usual: what a version answered before it was let out, with its inputs' embeddings, kept beside the lake.

Decides what is computed once for a version; embeddings are the served model's own.
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
    return embed(model, [text_of(one) for one in observations])


def reference_vectors(model: Path, observations: Sequence[Observation], folder: Path) -> np.ndarray:
    """The embeddings of a version's reference, computed at the first call and kept in `folder`."""
    path = folder / VECTORS
    if path.is_file():
        found = np.load(path)
        if len(found) == len(observations):
            return found
    found = embedded(model, observations)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{VECTORS}.part.npy"
    np.save(part, found)
    part.replace(path)
    return found
