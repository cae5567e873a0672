"""A reference's embeddings are computed once, and anew for another model, other texts or a file that is cut off."""

from pathlib import Path

import numpy as np
import pytest

from components.records import Observation
from monitoring import reference
from monitoring.reference import reference_vectors


def asked(*texts: str) -> list[Observation]:
    return [Observation(input={"message": text}, text="{}", output_tokens=1, valid=True) for text in texts]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The texts of each computation; a text's vector is its length."""
    seen: list[list[str]] = []

    def embed(model: Path, texts: list[str]) -> np.ndarray:
        seen.append(texts)
        return np.array([[len(text)] for text in texts], np.float32)

    monkeypatch.setattr(reference, "embed", embed)
    return seen


def test_vectors_are_computed_once_for_a_model_and_its_texts(
    tmp_path: Path, model: Path, computed: list[list[str]]
) -> None:
    folder = tmp_path / "watch"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "reference.npy").write_bytes(b"of an earlier release")
    for _ in range(2):
        assert reference_vectors(model, "1", asked("a", "bb"), folder).tolist() == [[1.0], [2.0]]
    assert computed == [["a", "bb"]]
    assert reference_vectors(model, "1", asked("a", "ccc"), folder).tolist() == [[1.0], [3.0]]  # as many, but others
    reference_vectors(model, "2", asked("a", "ccc"), folder)
    assert len(computed) == 3
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("left", [0, 100, 130])  # nothing, a part of the header, a part of the numbers
def test_vectors_that_a_power_cut_left_in_part_are_computed_anew(
    tmp_path: Path, model: Path, computed: list[list[str]], left: int
) -> None:
    rows = asked("a", "bb", "ccc")
    first = reference_vectors(model, "1", rows, tmp_path / "watch")
    (path,) = (tmp_path / "watch").iterdir()
    path.write_bytes(path.read_bytes()[:left])
    for _ in range(2):
        assert np.array_equal(reference_vectors(model, "1", rows, tmp_path / "watch"), first)
    assert len(computed) == 2


def test_two_who_compute_the_same_vectors_at_once_both_get_them(
    tmp_path: Path, model: Path, computed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, save = asked("a", "bb"), np.save

    def while_another_looks(part: Path, vectors: np.ndarray) -> None:
        save(part, vectors)
        monkeypatch.setattr(np, "save", save)
        monkeypatch.setattr(reference.os, "getpid", lambda: -1)
        assert reference_vectors(model, "1", rows, tmp_path / "watch").tolist() == [[1.0], [2.0]]

    monkeypatch.setattr(np, "save", while_another_looks)
    assert reference_vectors(model, "1", rows, tmp_path / "watch").tolist() == [[1.0], [2.0]]
    assert len(computed) == 2 and len(list((tmp_path / "watch").iterdir())) == 1
