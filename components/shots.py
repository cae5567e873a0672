"""Shots: answered examples that a prompt shows before it asks, the same ones always or those most like the input.

Decides which are shown and in which order; which examples may be shown at all is the business of whoever makes a
prompt. Likeness is the cosine of TF-IDF over characters' n-grams: no model, a millisecond an input, any language.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from components.records import Example, Record, read_record, write_record

FILE = "shots.json"
GRAMS = (2, 4)  # characters


class Shot(Record):
    """One answered example."""

    id: str
    input: dict[str, str]
    answer: str

    @property
    def text(self) -> str:
        """Its input as one text."""
        return "\n".join(self.input.values())

    @property
    def characters(self) -> int:
        """How long it is when it is shown, the prompt's own words left out."""
        return len(self.text) + len(self.answer)


class Shots(Record):
    """Answered examples beside a prompt, kept in its folder.

    `chosen` says which are shown: the first ones, or for each input the most similar, the most similar last, next to
    the question. Whole ones are left out where all together would be longer than `most_characters`.
    """

    chosen: Literal["first", "similar"]
    shown: int = Field(ge=1)
    most_characters: int = Field(ge=1)
    bank: tuple[Shot, ...]

    @property
    def version(self) -> str:
        """A hash of all of them and of how they are chosen."""
        return self._version

    @cached_property
    def _version(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def __str__(self) -> str:
        how = "the most similar" if self.chosen == "similar" else "the first"
        return f"{min(self.shown, len(self.bank))} of {len(self.bank):,}, {how}"

    def of(self, example: Example) -> list[Shot]:
        """What is shown before this example; it never shows itself.

        Another example with the same input may be shown, as to a request of production that people answered before.
        """
        kept: list[Shot] = []
        left = self.most_characters
        for shot in self._ranked(example):
            if not self._hidden(shot, example) and shot.characters <= left and len(kept) < self.shown:
                kept.append(shot)
                left -= shot.characters
        return kept[::-1] if self.chosen == "similar" else kept

    def _hidden(self, shot: Shot, example: Example) -> bool:
        return shot.id == example.id

    def _ranked(self, example: Example) -> Sequence[Shot]:
        if self.chosen == "first" or self._vectors is None:
            return self.bank
        vectors, vectorizer = self._vectors
        columns = self.bank[0].input
        asked = "\n".join(example.input[name] for name in columns if name in example.input)
        likeness: Any = (vectors @ vectorizer.transform([asked]).T).toarray()[:, 0]
        # Twice as many as are wanted, because some may be too long.
        return [self.bank[at] for at in (-likeness).argsort(kind="stable")[: 2 * self.shown + 1]]

    @cached_property
    def _vectors(self) -> tuple[Any, Any] | None:
        """The bank as rows of unit length, and what makes such rows of other texts; None for texts of one character."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=GRAMS, sublinear_tf=True)
        texts = [shot.text for shot in self.bank]
        terms = any(map(vectorizer.build_analyzer(), texts))
        return (vectorizer.fit_transform(texts), vectorizer) if terms else None


class OthersShots(Shots):
    """Shots of a teacher: none has the input that is asked, whichever example it is from."""

    def _hidden(self, shot: Shot, example: Example) -> bool:
        return all(example.input.get(name) == text for name, text in shot.input.items())


def shots_in(folder: Path) -> Shots | None:
    """The shots beside the prompt in a folder, None where it shows none.

    Raises:
        DataError: The file holds something else.
    """
    path = folder / FILE
    return read_record(path, Shots) if path.is_file() else None


def keep_shots(folder: Path, shots: Shots) -> None:
    """Put them beside the prompt in a folder."""
    write_record(folder / FILE, shots)
