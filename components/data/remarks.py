"""Remarks for the report on data problems that are not serious enough to stop.

Decides what is worth a remark: repeated inputs, labels in several forms, labels that cannot be learnt or are not
measured.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from components.data.checks import OTHER_ANSWER
from components.data.forms import plain
from components.data.labels import Labels, counted, forms, labels_of
from components.data.sources import Row
from components.data.split import Places
from components.params import ConflictingInputs, SplitName, Workload

MOST_NAMED = 5


def of_repeats(rows: Sequence[Row], repeats: Mapping[int, str], conflicts: ConflictingInputs) -> list[str]:
    """Remarks on rows that were left out because another row has their input."""
    other = [place for place, reason in repeats.items() if reason.endswith(OTHER_ANSWER)]
    same, remarks = len(repeats) - len(other), list[str]()
    if same:
        remarks.append(
            f"{_rows(same)} the input and the answer of another, and {'is' if same == 1 else 'are'} left out"
        )
    if other:
        stays = "none of them stays" if conflicts == "none" else "the first of them stays"
        place = min(other)
        remarks.append(
            f"{_rows(len(other))} the input of another with another answer, such as {rows[place].example.id} at "
            f"{rows[place].where}: {stays} (validation.conflicting_inputs)"
        )
    return remarks


def of_known(known: Mapping[int, str]) -> list[str]:
    """A remark on harvested rows that were left out because they resemble rows of the source."""
    n = len(known)
    rows, are = ("row resembles", "is") if n == 1 else ("rows resemble", "are")
    return [f"{n:,} harvested {rows} rows of the source, and {are} left out"] if n else []


def of_leaks(rows: Sequence[Row], leaked: Mapping[SplitName, int]) -> list[str]:
    """Remarks on published splits with rows that a less strict part of the source also has."""
    sizes = Counter(row.part for row in rows)
    return [
        f"{split}: {n:,} of {sizes[split]:,} rows have a near-duplicate in a less strict split, and were kept"
        for split, n in leaked.items()
    ]


def of_labels(rows: Sequence[Row], splits: Places, workload: Workload) -> list[str]:
    """Remarks on labels in several forms, labels in a single row, and labels missing in train."""
    labels = labels_of(rows, workload)
    return [*_of_forms(counted(labels), workload), *_of_lonely(labels, splits)]


def _of_forms(counts: Mapping[str, Counter[str]], workload: Workload) -> list[str]:
    """Remarks on labels that are the same word in several forms, with the frequency of each."""
    remarks: list[str] = []
    for field, several in forms(counts, workload).items():
        for some in several[:MOST_NAMED]:
            variants = " and ".join(f"`{_visible(label)}` ({counts[field][label]:,})" for label in some)
            why = "in case" if len({plain(label) for label in some}) > 1 else "in invisible characters or form"
            remarks.append(f"{field}: {variants} differ only {why}; validation.mend_labels makes them one")
        if len(several) > MOST_NAMED:
            remarks.append(f"{field}: so do {len(several) - MOST_NAMED} more labels")
    return remarks


def _of_lonely(labels: Sequence[Labels], splits: Places) -> list[str]:
    """Remarks on labels in a single row, or missing in train."""
    where: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for split, indices in splits.items():
        for field, counts in counted(labels[index] for index in indices).items():
            for label, count in counts.items():
                where[field][label][split] += count
    remarks: list[str] = []
    for field, by_label in where.items():
        sentences = [sentence for label, by_split in sorted(by_label.items()) if (sentence := _lonely(label, by_split))]
        more = f", and {len(sentences) - MOST_NAMED} more labels like these" if len(sentences) > MOST_NAMED else ""
        if sentences:
            remarks.append(f"{field}: {', '.join(sentences[:MOST_NAMED])}{more}")
    return remarks


def _lonely(label: str, by_split: Counter[str]) -> str:
    """A remark on a label; "" for one that train and another split have."""
    total, learnt = by_split.total(), by_split["train"]
    if total == 1:
        split = next(iter(by_split))
        return f"`{label}` has one row, in {split}: " + (
            "no split measures it" if learnt else "nothing is learnt about it"
        )
    if not learnt:
        return f"`{label}` has {total:,} rows, none of them in train: nothing is learnt about it"
    return ""


def _rows(count: int) -> str:
    return "1 row repeats" if count == 1 else f"{count:,} rows repeat"


def _visible(label: str) -> str:
    """A label with escapes for invisible characters."""
    return "".join(
        letter if letter.isprintable() and plain(f"a{letter}a") != "aa" else f"\\u{ord(letter):04x}" for letter in label
    )
