"""Embeddings of texts by a served model: the mean of its last hidden states.

Input drift is measured in the served model's own embeddings. The caller decides which texts are embedded, and what
the vectors are compared with.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from components.engines.chat import Chat
from components.models import open_model, widened

BATCH_TOKENS = 8192
MOST_TOKENS = 512  # of each text; later ones are not read


def embed(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Vectors [texts, hidden size] in float32, in order; an empty text has a vector of zeros.

    Raises:
        EngineError: The folder holds no model that loads.
    """
    model, tokenizer = open_model(folder)
    body: Any = widened(model).get_decoder().to("cuda" if torch.cuda.is_available() else "cpu").eval()
    tokens = [ids[:MOST_TOKENS] for ids in Chat(tokenizer).texts(texts)]
    vectors_TH = np.zeros((len(tokens), model.config.get_text_config(decoder=True).hidden_size), np.float32)
    with torch.inference_mode(), tqdm(total=len(tokens), desc="embeddings", unit="text") as bar:
        for rows in _batches([len(ids) for ids in tokens]):
            vectors_TH[rows] = _means(body, [tokens[row] for row in rows])
            bar.update(len(rows))
    return vectors_TH


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Batches of rows of similar length, without empty rows."""
    batches: list[list[int]] = [[]]
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: lengths[row]):
        if (len(batches[-1]) + 1) * lengths[row] > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return [batch for batch in batches if batch]


def _means(body: Any, tokens: list[list[int]]) -> np.ndarray:
    """The mean of each row's hidden states, padding left out."""
    lengths_R = torch.tensor([len(ids) for ids in tokens])
    width = int(lengths_R.max())
    ids_RL = torch.zeros(len(tokens), width, dtype=torch.long)
    for row, ids in enumerate(tokens):
        ids_RL[row, : len(ids)] = torch.tensor(ids)
    seen_RL = (torch.arange(width) < lengths_R[:, None]).to(body.device)
    hidden_RLH = body(input_ids=ids_RL.to(body.device), attention_mask=seen_RL.long()).last_hidden_state.float()
    return ((hidden_RLH * seen_RL[..., None]).sum(1) / seen_RL.sum(1, keepdim=True)).cpu().numpy()
