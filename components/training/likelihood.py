"""The likelihood of given answers under a model at temperature 1, by which off-policy evaluation weights logs."""

import gc
from collections.abc import Sequence
from pathlib import Path

from components.engines.planning import plan_batches
from components.models import open_model
from components.params import Precision
from components.prompts import Prompt
from components.records import Example
from components.training.encode import encode_answers, encode_prompts

BATCH_TOKENS = 4_096  # of prompts and answers, padded; an answer's token has a logit for each of the vocabulary


def log_likelihoods(
    folder: Path, prompt: Prompt, answers: Sequence[tuple[Example, str]], precision: Precision = "auto"
) -> list[float]:
    """The natural log-probability of each whole answer, including its end token, in order.

    The model is computed as it is served: on a GPU where there is one, in the precision that engines choose.

    Raises:
        EngineError: The folder is not a loadable model.
        TrainingError: The model has a table of positions.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from components.training.batches import collate, refuse_shifted
    from components.training.encode import IGNORED, Encoded
    from components.training.precision import Compute

    gc.collect()  # a trainer and its callbacks hold each other, and with them a trained model on the same GPU
    compute = Compute.choose(precision)
    model, tokenizer = open_model(folder)
    refuse_shifted(model)
    device = compute.state().device
    model = model.to(device=device, dtype=torch.bfloat16 if compute.bf16 else torch.float32)
    prompts = encode_prompts(tokenizer, [prompt.messages(example) for example, _ in answers])
    answer_ids = encode_answers(tokenizer, [text for _, text in answers])
    rows = [Encoded("", tuple(prompt_ids), tuple(ids)) for prompt_ids, ids in zip(prompts, answer_ids, strict=True)]
    log_probabilities = [0.0] * len(rows)
    for indices in plan_batches([len(row.input_ids) for row in rows], 0, 0, BATCH_TOKENS):
        collated = collate(
            [{"input_ids": rows[index].input_ids, "labels": rows[index].labels} for index in indices],
            tokenizer.pad_token_id or 0,
        )
        batch = {name: tensor.to(device) for name, tensor in collated.items()}
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
