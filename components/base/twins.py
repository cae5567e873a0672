"""A vocabulary in which a word is one piece with or without the blank before it, and embeddings that know that.

With blanks joined to words text takes half the tokens, but a small model then has to learn anew for every word that
`word` in quotes is ` word` in running text. So every piece that starts words gets a twin with a blank in front,
cut the same way, and while the base model is trained twins, and capitals, share one vector and differ by another that
all of them have in common.
"""

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

BLANK = "Ġ"  # how byte-level BPE writes it
JOINTS = (BLANK, "_")  # what a word may begin with: `amount`, ` amount` and the end of `total_amount`


def with_twins(plain: Tokenizer, texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """The tokenizer with a twin for every piece that needs one in `texts`, what they need least left out.

    `plain` was trained on words without blanks, with more merges than fit; the result has at most `vocabulary` tokens.
    """
    content = json.loads(plain.to_str())
    merges = [tuple(pair) for pair in content["model"]["merges"]]
    used = _uses(_rebuilt(content, _twinned(merges)), texts)
    kept = _cheapest(_twinned(merges), used, vocabulary - 1 - _alphabet(content))
    return _rebuilt(content, kept)


def _alphabet(content: dict) -> int:  # pyright: ignore
    produced = {"".join(pair) for pair in content["model"]["merges"]}
    return len([token for token in content["model"]["vocab"] if token not in produced])


def _twinned(merges: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Every merge, each followed by the one that makes its twin; first the blank joins single signs."""
    singles = dict.fromkeys(sign for pair in merges for sign in pair if len(sign) == 1)
    singles |= dict.fromkeys("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    made: list[tuple[str, str]] = [(joint, sign) for joint in JOINTS for sign in singles if sign not in JOINTS]
    for first, second in merges:
        made.append((first, second))
        if not first.startswith(JOINTS):
            made += [(joint + first, second) for joint in JOINTS]
    return list(dict.fromkeys(made))


def _rebuilt(content: dict, merges: list[tuple[str, str]]) -> Tokenizer:  # pyright: ignore
    """The tokenizer with these merges instead of its own."""
    produced = {"".join(pair) for pair in content["model"]["merges"]}
    old = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
    tokens = [token for token, _ in old if token not in produced]
    tokens += dict.fromkeys("".join(pair) for pair in merges)
    model = {
        **content["model"],
        "vocab": {token: at for at, token in enumerate(dict.fromkeys(tokens))},
        "merges": [list(pair) for pair in merges],
    }
    return Tokenizer.from_str(json.dumps({**content, "model": model}))


def _uses(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, int]:
    """How often each token occurs."""
    counts: dict[str, int] = {}
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        for token in encoding.tokens:
            counts[token] = counts.get(token, 0) + 1
    return counts


def _cheapest(merges: list[tuple[str, str]], used: dict[str, int], room: int) -> list[tuple[str, str]]:
    """The merges with the most used products, those that these are made of, and for a twin its plain form."""
    whole = {first + second: (first, second) for first, second in reversed(merges)}
    kept: set[str] = set()
    for token in sorted((token for token in whole if token in used), key=lambda token: -used[token]):
        needed, waiting = set[str](), [token]
        while waiting:
            part = waiting.pop()
            if part in whole and part not in kept and part not in needed:
                needed.add(part)
                waiting += whole[part]
                if part.startswith(JOINTS):  # a word is cut alike with its blank and without
                    waiting.append(part[1:])
        if len(kept) + len(needed) <= room:
            kept |= needed
    made = kept | {token for pair in merges for token in pair if token not in whole}
    return [pair for pair in merges if "".join(pair) in kept and made.issuperset(pair)]


def common_pieces(tokens: list[str]) -> tuple[list[int], list[list[float]]]:
    """For each token the number of its common piece, and its form: whether it has each joint before it, and a capital."""
    pieces: dict[str, int] = {}
    forms: list[list[float]] = []
    numbers: list[int] = []
    known = set(tokens)
    for token in tokens:
        bare = token[1:] if token.startswith(JOINTS) and len(token) > 1 else token
        small = bare.lower() if bare.isascii() else bare  # others are bytes in disguise
        tied = len(bare) > 1 and small != bare and small in known
        numbers.append(pieces.setdefault(small if tied else bare, len(pieces)))
        forms.append([float(bare != token and token.startswith(joint)) for joint in JOINTS] + [float(tied)])
    return numbers, forms


def piece_texts(tokens: list[str]) -> list[str]:
    """The text of each common piece, in the order of their numbers."""
    numbers, _ = common_pieces(tokens)
    texts: dict[int, str] = {}
    for token, number in zip(tokens, numbers, strict=True):
        bare = token[1:] if token.startswith(JOINTS) and len(token) > 1 else token
        texts[number] = bare.lower() if bare.isascii() else bare
    return [texts[number] for number in range(len(texts))]


LENS_SCALE = 0.1  # so that one step of the optimiser moves an embedding through its senses no further than by itself


class TwinEmbedding(nn.Module):
    """Embeddings (V, H) made of a vector a piece (P, H), one a form (3, H), and perhaps what senses (P, S) tell of pieces.

    Senses are given and stay: a learned matrix (S, H) turns them, so that what is learned of one word holds for words
    near it, those never met among them.
    """

    def __init__(self, tokens: list[str], width: int, senses: Tensor | None = None, deviation: float = 0.02) -> None:
        super().__init__()
        numbers, forms = common_pieces(tokens)
        self.pieces = nn.Parameter(torch.randn(max(numbers) + 1, width) * deviation)
        self.forms = nn.Parameter(torch.zeros(len(forms[0]), width))
        self.register_buffer("numbers", torch.tensor(numbers), persistent=False)
        self.register_buffer("has_form", torch.tensor(forms), persistent=False)
        self.register_buffer("senses", senses, persistent=False)
        self.lens = None if senses is None else nn.Parameter(torch.randn(senses.shape[1], width) * deviation / LENS_SCALE)

    def table(self) -> Tensor:
        """The embeddings of all tokens, in float32."""
        with torch.autocast(self.pieces.device.type, enabled=False):
            pieces = self.pieces if self.lens is None else self.pieces + LENS_SCALE * (self.senses @ self.lens)
            return pieces[self.numbers] + self.has_form @ self.forms

    def forward(self, tokens_B_T: Tensor) -> Tensor:
        """The embeddings of some tokens."""
        return functional.embedding(tokens_B_T, self.table())
