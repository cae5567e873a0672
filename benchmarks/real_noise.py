"""Plants systematic errors, like people's, in SNIPS' demonstrations, and evaluates the label audit on them.

Each habit is an annotator's rule that always errs in the same way, where it applies. A share of all frames is made
wrong, spread evenly over the habits; a seed decides which of the applicable frames are affected.

    python -m benchmarks.real_noise --splits FOLDER --out suspects.json

writes the audit's suspects for each share and seed of the experiment, because the audit takes minutes on a CPU.
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
SUBSET = 4000  # demonstrations per training in the experiment
HELD_OUT = 2000  # from the rest of train, for measuring together with the test split
SMALL_WORDS = ("playlist_owner", "sort", "spatial_relation", "object_select", "music_item", "movie_type")
REVIEWED = 400  # suspects that a person reviews: a tenth of the subset
RARE = 40  # of the subset: rarer fields have too little data to be audited


def renamed(frame: Frame, intent: str, old: str, new: str) -> Frame | None:
    """The frame with a slot renamed; None if that is not possible."""
    slots = frame["slots"]
    if frame["intent"] != intent or old not in slots or new in slots:
        return None
    return {"intent": intent, "slots": {new if name == old else name: words for name, words in slots.items()}}


def film_as_work(frame: Frame) -> Frame | None:
    """A request for a film's showtimes is taken for a search for the film."""
    if frame["intent"] != "SearchScreeningEvent" or "movie_name" not in frame["slots"]:
        return None
    return {"intent": "SearchCreativeWork", "slots": {"object_name": frame["slots"]["movie_name"]}}


def work_as_music(frame: Frame) -> Frame | None:
    """A search for a song or an album is taken for a request to play it."""
    slots = frame["slots"]
    kinds = {"song": "track", "album": "album", "soundtrack": "album", "track": "track"}
    kind = kinds.get(" ".join(slots.get("object_type", [])))
    if frame["intent"] != "SearchCreativeWork" or kind is None or "object_name" not in slots:
        return None
    return {"intent": "PlayMusic", "slots": {kind: slots["object_name"]}}


def small_words_left_out(frame: Frame) -> Frame | None:
    """Slots with small words ("my", "best", "near") are overlooked."""
    slots = {name: words for name, words in frame["slots"].items() if name not in SMALL_WORDS}
    return {"intent": frame["intent"], "slots": slots} if len(slots) < len(frame["slots"]) else None


def article_left_out(frame: Frame) -> Frame | None:
    """A name's leading "the" or "a" is omitted."""
    slots = {
        name: [word.split(" ", 1)[1] if word.startswith(("the ", "a ")) else word for word in words]
        for name, words in frame["slots"].items()
    }
    return {"intent": frame["intent"], "slots": slots} if slots != frame["slots"] else None


def time_cut_short(frame: Frame) -> Frame | None:
    """Only the last words of a time are marked."""
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


def _one_more(name: str, candidates: Any, examples: Sequence[Example], wrong: dict[int, str]) -> bool:
    """Apply a habit to another frame; return False if none is left."""
    for index in candidates:
        frame = HABITS[name](json.loads(examples[index].reference)) if index not in wrong else None
        if frame is not None:
            wrong[index] = to_json(frame)
            return True
    return False


def subset(train: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """`SUBSET` examples for training, and up to `HELD_OUT` others with different texts for measuring."""
    drawn = list(train)
    random.Random(f"subset/{seed}").shuffle(drawn)
    taken, rest = drawn[:SUBSET], drawn[SUBSET:]
    texts = {example.input["text"] for example in taken}
    return taken, [example for example in rest if example.input["text"] not in texts][:HELD_OUT]


def flat(examples: Sequence[Example]) -> tuple[list[Example], dict[str, Any]]:
    """Frames in the audit's form, with their schema: the intent, and the presence of each slot."""
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
    """The ids of the label audit's suspects, the most probable first."""
    flattened, schema = flat(examples)
    params = AuditParams()
    doubts_by_field = doubts(flattened, schema, ("text",), params, seed)
    return list(dict.fromkeys(suspect.example_id for suspect in suspects(flattened, doubts_by_field, params, schema)))


def reviewed(examples: Sequence[Example], suspected: Sequence[str]) -> list[Example]:
    """The examples after a person has reviewed the most probable suspects and corrected the wrong ones."""
    seen = set(suspected[:REVIEWED])
    return [
        example.model_copy(update={"demonstration": example.reference}) if example.id in seen else example
        for example in examples
    ]


def main() -> None:
    """Audit each share and seed, and print how many planted errors were found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    train = [row for split in ("train", "sealed") for row in read_jsonl(arguments.splits / f"{split}.jsonl", Example)]
    suspects_by_key: dict[str, list[str]] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    for share in (0.1, 0.0, 0.2, 0.05):
        for seed in SEEDS:
            key = f"{share:g}/{seed}"
            if key in suspects_by_key:
                continue
            examples = plant(subset(train, seed)[0], share, seed)
            suspects_by_key[key] = audited(examples, seed)
            wrong = {example.id for example in examples if example.demonstration != example.reference}
            right, seen = len(wrong & set(suspects_by_key[key])), len(wrong & set(suspects_by_key[key][:REVIEWED]))
            counts = f"{len(suspects_by_key[key])} suspects, {right} of them planted, {seen} among the first {REVIEWED}"
            print(f"{key}: {len(wrong)} planted, {counts}", flush=True)
            arguments.out.write_text(json.dumps(suspects_by_key))


if __name__ == "__main__":
    main()
