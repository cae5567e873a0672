"""What people should know of their data although nothing is wrong enough to stop: sentences for the report.

Decides what is worth a sentence: repeated inputs, labels in several forms, labels of which nothing can be learnt or
nothing is measured.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from components.data.checks import OTHER_ANSWER
from components.data.forms import plain
from components.data.labels import Labels, counted, forms, labels_of
from components.data.sources import Row
from components.data.split import Places
from components.params import ConflictingInputs, SplitName, Workload

MOST_TOLD = 5


def of_repeats(rows: Sequence[Row], repeats: Mapping[int, str], conflicts: ConflictingInputs) -> list[str]:
    """Rows that were left out because another row has their input."""
    other = [place for place, reason in repeats.items() if reason.endswith(OTHER_ANSWER)]
    same, found = len(repeats) - len(other), list[str]()
    if same:
        found.append(f"{_rows(same)} the input and the answer of another, and {'is' if same == 1 else 'are'} left out")
    if other:
        stays = "none of them stays" if conflicts == "none" else "the first of them stays"
        place = min(other)
        found.append(
            f"{_rows(len(other))} the input of another with another answer, such as {rows[place].example.id} at "
            f"{rows[place].where}: {stays} (validation.conflicting_inputs)"
        )
    return found


def of_leaks(rows: Sequence[Row], leaked: Mapping[SplitName, int]) -> list[str]:
    """Published splits that have rows which a less strict part of the source has too."""
    sizes = Counter(row.part for row in rows)
    return [
        f"{split}: {n:,} of {sizes[split]:,} rows have a near-duplicate in a less strict split, and were kept"
        for split, n in leaked.items()
    ]


def of_labels(rows: Sequence[Row], splits: Places, workload: Workload) -> list[str]:
    """Labels in several forms, those that stand in one row alone, and those of which train has none."""
    labels = labels_of(rows, workload)
    return [*_of_forms(counted(labels), workload), *_of_lonely(labels, splits)]


def _of_forms(counts: Mapping[str, Counter[str]], workload: Workload) -> list[str]:
    """Labels that are one word in several forms, with how often each is there."""
    found: list[str] = []
    for field, several in forms(counts, workload).items():
        for some in several[:MOST_TOLD]:
            told = " and ".join(f"`{_visible(label)}` ({counts[field][label]:,})" for label in some)
            why = "in case" if len({plain(label) for label in some}) > 1 else "in invisible characters or form"
            found.append(f"{field}: {told} differ only {why}; validation.mend_labels makes them one")
        if len(several) > MOST_TOLD:
            found.append(f"{field}: so do {len(several) - MOST_TOLD} more labels")
    return found


def _of_lonely(labels: Sequence[Labels], splits: Places) -> list[str]:
    """Labels that stand in one row alone, or in none of train."""
    where: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for split, places in splits.items():
        for field, counts in counted(labels[place] for place in places).items():
            for label, count in counts.items():
                where[field][label][split] += count
    found: list[str] = []
    for field, by_label in where.items():
        told = [sentence for label, by_split in sorted(by_label.items()) if (sentence := _lonely(label, by_split))]
        more = f", and {len(told) - MOST_TOLD} more labels like these" if len(told) > MOST_TOLD else ""
        if told:
            found.append(f"{field}: {', '.join(told[:MOST_TOLD])}{more}")
    return found


def _lonely(label: str, by_split: Counter[str]) -> str:
    """What is to be said of a label; nothing of one that train and another split have."""
    total, learnt = by_split.total(), by_split["train"]
    if total == 1:
        split = next(iter(by_split))
        return f"`{label}` has one row, in {split}: " + (
            "no split measures it" if learnt else "nothing is learnt of it"
        )
    if not learnt:
        return f"`{label}` has {total:,} rows, none of them in train: nothing is learnt of it"
    return ""


def _rows(count: int) -> str:
    return "1 row repeats" if count == 1 else f"{count:,} rows repeat"


def _visible(label: str) -> str:
    """A label with escapes for what nobody sees."""
    return "".join(
        letter if letter.isprintable() and plain(f"a{letter}a") != "aa" else f"\\u{ord(letter):04x}" for letter in label
    )
