"""The likelihood of given answers under a model at temperature 1, by which off-policy evaluation weights logs."""

from collections.abc import Sequence
from pathlib import Path

from components.models import open_model
from components.prompts import Prompt
from components.records import Example
from components.training.encode import encode_answers, encode_prompts

BATCH = 16


def log_likelihoods(folder: Path, prompt: Prompt, answers: Sequence[tuple[Example, str]]) -> list[float]:
    """The natural log-probability of each whole answer, including its end token, in order.

    Raises:
        EngineError: The folder is not a loadable model.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from components.training.batches import collate
    from components.training.encode import IGNORED, Encoded

    model, tokenizer = open_model(folder)
    model = model.float().eval()
    prompts = encode_prompts(tokenizer, [prompt.messages(example) for example, _ in answers])
    answer_ids = encode_answers(tokenizer, [text for _, text in answers])
    rows = [Encoded("", tuple(prompt_ids), tuple(ids)) for prompt_ids, ids in zip(prompts, answer_ids, strict=True)]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    log_probabilities = [0.0] * len(rows)
    for start in range(0, len(order), BATCH):
        indices = order[start : start + BATCH]
        batch = collate(
            [{"input_ids": rows[index].input_ids, "labels": rows[index].labels} for index in indices],
            tokenizer.pad_token_id or 0,
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
        for index, loss in zip(indices, losses.view_as(labels_BA).sum(dim=1).tolist(), strict=True):
            log_probabilities[index] = -float(loss)
    return log_probabilities
