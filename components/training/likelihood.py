"""How likely a model is to draw given answers, at temperature 1: what off-policy evaluation weighs logs by."""

from collections.abc import Sequence
from pathlib import Path

from components.models import open_model
from components.prompts import Prompt
from components.records import Example
from components.training.encode import encode_answers, encode_prompts

BATCH = 16


def log_likelihoods(folder: Path, prompt: Prompt, answers: Sequence[tuple[Example, str]]) -> list[float]:
    """The natural logarithm of the probability of each whole answer, its end token included, in order.

    Raises:
        EngineError: The folder does not open as a model.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from components.training.batches import collate
    from components.training.encode import IGNORED, Encoded

    model, tokenizer = open_model(folder)
    model = model.float().eval()
    asked = encode_prompts(tokenizer, [prompt.messages(example) for example, _ in answers])
    told = encode_answers(tokenizer, [text for _, text in answers])
    rows = [Encoded("", tuple(one), tuple(other)) for one, other in zip(asked, told, strict=True)]
    order = sorted(range(len(rows)), key=lambda at: len(rows[at].input_ids))
    found = [0.0] * len(rows)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        batch = collate(
            [{"input_ids": rows[at].input_ids, "labels": rows[at].labels} for at in places], tokenizer.pad_token_id or 0
        )
        labels_BA = batch["labels"][:, 1:]
        with torch.inference_mode():
            logits = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False,
                logits_to_keep=labels_BA.shape[1] + 1,
            ).logits[:, :-1]  # fmt: skip
        losses = cross_entropy(
            logits.flatten(0, 1).float(), labels_BA.flatten(), ignore_index=IGNORED, reduction="none"
        )
        for at, loss in zip(places, losses.view_as(labels_BA).sum(dim=1).tolist(), strict=True):
            found[at] = -float(loss)
    return found
