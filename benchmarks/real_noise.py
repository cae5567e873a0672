"""Wrong demonstrations planted in SNIPS' frames, systematic as people's are, and what the label audit says of them.

Each habit is a rule that some annotator follows: it always errs in the same way, and only where it applies. A share of
all frames is made wrong, spread evenly over the habits; which of the frames that a habit applies to, a seed decides.

    python -m benchmarks.real_noise --splits FOLDER --out suspects.json

writes the audit's suspects for each share and seed of the experiment, since the audit takes minutes on a CPU.
"""

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.evaluation.label_audit import doubts, suspects
from components.params import AuditParams
from components.records import Example, read_jsonl, to_json

Frame = dict[str, Any]
SHARES = (0.0, 0.05, 0.1, 0.2)
SEEDS = (1, 2, 3)
SUBSET = 4000  # demonstrations of one training of the experiment
HELD_OUT = 2000  # of the rest of train, which measure together with the test split
SMALL_WORDS = ("playlist_owner", "sort", "spatial_relation", "object_select", "music_item", "movie_type")
REVIEWED = 400  # suspects that a person looks at: a tenth of the subset
RARE = 40  # of the subset: fields that are there less often say too little to be audited


def renamed(frame: Frame, intent: str, old: str, new: str) -> Frame | None:
    """The frame with one slot under another name; None where that is not possible."""
    slots = frame["slots"]
    if frame["intent"] != intent or old not in slots or new in slots:
        return None
    return {"intent": intent, "slots": {new if name == old else name: words for name, words in slots.items()}}


def film_as_work(frame: Frame) -> Frame | None:
    """When a film is shown is taken for a search for the film."""
    if frame["intent"] != "SearchScreeningEvent" or "movie_name" not in frame["slots"]:
        return None
    return {"intent": "SearchCreativeWork", "slots": {"object_name": frame["slots"]["movie_name"]}}


def work_as_music(frame: Frame) -> Frame | None:
    """A song or an album that is looked for is taken for one to be played."""
    slots = frame["slots"]
    kinds = {"song": "track", "album": "album", "soundtrack": "album", "track": "track"}
    kind = kinds.get(" ".join(slots.get("object_type", [])))
    if frame["intent"] != "SearchCreativeWork" or kind is None or "object_name" not in slots:
        return None
    return {"intent": "PlayMusic", "slots": {kind: slots["object_name"]}}


def small_words_left_out(frame: Frame) -> Frame | None:
    """Slots of small words ("my", "best", "near") are overlooked."""
    kept = {name: words for name, words in frame["slots"].items() if name not in SMALL_WORDS}
    return {"intent": frame["intent"], "slots": kept} if len(kept) < len(frame["slots"]) else None


def article_left_out(frame: Frame) -> Frame | None:
    """A name's leading "the" or "a" is not taken along."""
    slots = {
        name: [word.split(" ", 1)[1] if word.startswith(("the ", "a ")) else word for word in words]
        for name, words in frame["slots"].items()
    }
    return {"intent": frame["intent"], "slots": slots} if slots != frame["slots"] else None


def time_cut_short(frame: Frame) -> Frame | None:
    """Of a time of several words only the last ones are marked."""
    times = frame["slots"].get("timeRange", [])
    if not any(word.count(" ") > 1 for word in times):
        return None
    short = [" ".join(word.split(" ")[-2:]) if word.count(" ") > 1 else word for word in times]
    return {"intent": frame["intent"], "slots": {**frame["slots"], "timeRange": short}}


HABITS: dict[str, Callable[[Frame], Frame | None]] = {
    "film_as_work": film_as_work,
    "work_as_music": work_as_music,
    "small_words_left_out": small_words_left_out,
    "article_left_out": article_left_out,
    "time_cut_short": time_cut_short,
    "state_as_city": lambda frame: renamed(frame, "GetWeather", "state", "city"),
    "artist_as_entity": lambda frame: renamed(frame, "AddToPlaylist", "artist", "entity_name"),
    "track_as_album": lambda frame: renamed(frame, "PlayMusic", "track", "album"),
}


def plant(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """The same examples, `share` of them with a wrong demonstration; references stay right."""
    rng = random.Random(f"noise/{seed}")
    order = list(range(len(examples)))
    rng.shuffle(order)
    wrong: dict[int, str] = {}
    waiting = {name: iter(order) for name in HABITS}
    while waiting and len(wrong) < round(share * len(examples)):
        for name in list(waiting):
            if len(wrong) == round(share * len(examples)):
                break
            if not _one_more(name, waiting[name], examples, wrong):
                del waiting[name]
    return [
        example.model_copy(update={"demonstration": wrong[number]}) if number in wrong else example
        for number, example in enumerate(examples)
    ]


def _one_more(name: str, places: Any, examples: Sequence[Example], wrong: dict[int, str]) -> bool:
    """Let one habit err once more; whether there was a frame left that it applies to."""
    for place in places:
        made = HABITS[name](json.loads(examples[place].reference)) if place not in wrong else None
        if made is not None:
            wrong[place] = to_json(made)
            return True
    return False


def subset(train: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """`SUBSET` examples to train on, and up to `HELD_OUT` others to measure by, texts of their own."""
    drawn = list(train)
    random.Random(f"subset/{seed}").shuffle(drawn)
    taken, rest = drawn[:SUBSET], drawn[SUBSET:]
    texts = {example.input["text"] for example in taken}
    return taken, [example for example in rest if example.input["text"] not in texts][:HELD_OUT]


def flat(examples: Sequence[Example]) -> tuple[list[Example], dict[str, Any]]:
    """Frames as the audit reads them, with their schema: the intent, and for each slot whether it is there."""
    frames = [json.loads(example.demonstration) for example in examples]
    names = sorted({name for frame in frames for name in frame["slots"]})
    often = [name for name in names if sum(name in frame["slots"] for frame in frames) >= RARE]
    flattened = [
        example.model_copy(
            update={
                "demonstration": to_json({"intent": frame["intent"]} | {name: name in frame["slots"] for name in often})
            }
        )
        for example, frame in zip(examples, frames, strict=True)
    ]
    intents: Mapping[str, Any] = {"enum": sorted({frame["intent"] for frame in frames})}
    return flattened, {"properties": {"intent": intents} | {name: {"type": "boolean"} for name in often}}


def audited(examples: Sequence[Example], seed: int) -> list[str]:
    """Ids of the demonstrations that the label audit suspects, the surest first."""
    flattened, schema = flat(examples)
    params = AuditParams()
    found = doubts(flattened, schema, ("text",), params, seed)
    return list(dict.fromkeys(suspect.example_id for suspect in suspects(flattened, found, params, schema)))


def reviewed(examples: Sequence[Example], suspected: Sequence[str]) -> list[Example]:
    """The examples after a person has looked at the surest suspects and put right those that are wrong."""
    seen = set(suspected[:REVIEWED])
    return [
        example.model_copy(update={"demonstration": example.reference}) if example.id in seen else example
        for example in examples
    ]


def main() -> None:
    """Audit each share and seed, and say how many of the planted errors were found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    train = [row for split in ("train", "sealed") for row in read_jsonl(arguments.splits / f"{split}.jsonl", Example)]
    found: dict[str, list[str]] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    for share in (0.1, 0.0, 0.2, 0.05):
        for seed in SEEDS:
            key = f"{share:g}/{seed}"
            if key in found:
                continue
            examples = plant(subset(train, seed)[0], share, seed)
            found[key] = audited(examples, seed)
            wrong = {example.id for example in examples if example.demonstration != example.reference}
            right, seen = len(wrong & set(found[key])), len(wrong & set(found[key][:REVIEWED]))
            counts = f"{len(found[key])} suspects, {right} of them planted, {seen} among the first {REVIEWED}"
            print(f"{key}: {len(wrong)} planted, {counts}", flush=True)
            arguments.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
