"""A model's folder as the one file that llama.cpp reads, made once for the same weights.

Decides which architectures are converted, and what the file says of tokens. It is read by token ids alone: no text is
encoded with it, and none of its control tokens has a name. So texts are those of the model's own tokenizer, whatever
its kind, and llama.cpp ends an answer where the model's settings do, not where it knows a token's name.
"""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from components.engines.constraint import Vocabulary
from components.errors import EngineError
from components.models import check_files, end_tokens, folder_digest, open_model

FILES = Path("state/gguf")
FORM = 3  # of the files: part of their folders' names, so that those of an earlier form are made anew
MODEL, FACTS = "model.gguf", "facts.json"
SPARE_TOKENS = 512  # of context beyond the model's, so that this engine's limit holds and not llama.cpp's
KNOWN_LAYERS = {"full_attention", "conv"}
END_KEYS = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")  # tokens that llama.cpp ends an answer with
MOST_F16 = float(np.finfo(np.float16).max)
_BYTE = re.compile("<0x[0-9A-F]{2}>")  # a token of one byte, in vocabularies that have all bytes beside their pieces
NAMELESS = "\ue000"  # a private character, which no byte is written as
Weights = Literal["f32", "f16", "bf16", "q8_0"]


@dataclass(frozen=True)
class Converted:
    """A converted model: its file, the tokens that end an answer, its context and its vocabulary's size in tokens."""

    file: Path
    weights: Weights
    ends: tuple[int, ...]
    context: int
    size: int


def converted(folder: Path, weights: Weights, files: Path = FILES) -> Converted:
    """The model of a folder, converted where that was not done before; `files` keeps what was.

    Threads, processes and machines may convert the same model at once: a file is either whole or not there.

    Raises:
        EngineError: The folder holds no model that loads, or one that is not converted.
    """
    check_files(folder)
    kept = files / f"{folder_digest(folder)[:32]}-{weights}-{FORM}"
    if not kept.is_dir():
        part = files / f"{kept.name}.{uuid4().hex}.part"
        part.mkdir(parents=True)
        try:
            _convert(folder, weights, part)
            with suppress(OSError):  # another was faster
                part.rename(kept)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    facts = json.loads((kept / FACTS).read_text(encoding="utf-8"))
    return Converted(kept / MODEL, weights, tuple(facts["ends"]), facts["context"], facts["size"])


def _convert(folder: Path, weights: Weights, out: Path) -> None:
    """Write model and facts of a folder."""
    import gguf

    model, tokenizer = open_model(folder)
    config = model.config.get_text_config(decoder=True)
    _check(config, folder)
    ends = sorted(end_tokens(model, tokenizer))
    if len(ends) > len(END_KEYS):
        raise EngineError(f"expected at most {len(END_KEYS)} tokens that end an answer, found {len(ends)} ({folder})")
    tensors = dict(_tensors(model, config))
    most = MOST_F16 if weights == "f16" else float(np.finfo(np.float32).max)
    if odd := [name for name, (values, _) in tensors.items() if not (np.abs(values) <= most).all()]:
        raise EngineError(f"expected weights that {weights} can hold, found others in {odd[0]} ({folder})")
    writer = gguf.GGUFWriter(out / MODEL, config.model_type)
    _describe(writer, config, tensors)
    _list_tokens(writer, tokenizer, config.vocab_size, ends)
    kind = gguf.GGMLQuantizationType[weights.upper()]
    for name, (values, exact) in tensors.items():
        stored = _stored(values, gguf.GGMLQuantizationType.F32 if exact else kind)
        writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    facts = {"ends": ends, "context": config.max_position_embeddings, "size": config.vocab_size}
    (out / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _check(config: Any, folder: Path) -> None:
    """Refuse a model that the file would describe wrongly."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    activation = getattr(config, "hidden_act", "silu")
    biased = [name for name in BIASES if getattr(config, name, False)]
    wanted: dict[str, tuple[bool, object]] = {
        f"a model of type {' or '.join(ARCHITECTURES)}": (config.model_type in ARCHITECTURES, config.model_type),
        f"layers of {' or '.join(sorted(KNOWN_LAYERS))}": (kinds <= KNOWN_LAYERS, " and ".join(sorted(kinds))),
        "positions without scaling": (rope == "default", rope),
        "the activation silu": (activation in ("silu", "swish"), activation),
        "layers without biases": (not biased, ", ".join(biased)),
    }
    for expected, (holds, seen) in wanted.items():
        if not holds:
            raise EngineError(f"engine.kind llama_cpp: expected {expected}, found {seen} ({folder})")


# Model type → whether llama.cpp turns neighbouring pairs of a head's values by their position, where transformers turns
# those that are half a head apart.
ARCHITECTURES = {"lfm2": False, "llama": True, "qwen3": False}
BIASES = ("attention_bias", "mlp_bias", "conv_bias")


def _tensors(model: Any, config: Any) -> Iterator[tuple[str, tuple[np.ndarray, bool]]]:
    """Each tensor's name in the file, its values in float32, and whether they are stored as they are."""
    import gguf

    architecture = gguf.MODEL_ARCH[config.model_type.upper()]
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for key, weight in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise EngineError(f"engine.kind llama_cpp: expected weights of {config.model_type}, found {key}")
        values: np.ndarray = weight.detach().float().cpu().numpy()
        if "conv.conv" in key:
            values = values.squeeze(1)
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
        if heads and ARCHITECTURES[config.model_type]:
            values = _neighbouring(values, heads)
        yield name, (np.ascontiguousarray(values), values.ndim == 1 or "shortconv.conv" in name)


def _neighbouring(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys, reordered so that those that are turned together are neighbours."""
    rows, width = values.shape
    return values.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def _stored(values: np.ndarray, kind: Any) -> Any:
    """How a tensor is stored: where its rows cannot be cut into a quantised kind's blocks, in float16."""
    import gguf

    block = gguf.GGML_QUANT_SIZES[kind][0]
    return kind if values.shape[-1] % block == 0 else gguf.GGMLQuantizationType.F16


def _describe(writer: Any, config: Any, tensors: dict[str, tuple[np.ndarray, bool]]) -> None:
    """The architecture's sizes."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings + SPARE_TOKENS)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(tensors["blk.0.ffn_gate.weight"][0].shape[0])
    writer.add_vocab_size(config.vocab_size)
    writer.add_head_count(config.num_attention_heads)
    if "conv" in kinds:
        writer.add_head_count_kv([config.num_key_value_heads if kind == "full_attention" else 0 for kind in kinds])
        writer.add_shortconv_l_cache(config.conv_L_cache)
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_layer_norm_rms_eps(config.norm_eps if hasattr(config, "norm_eps") else config.rms_norm_eps)
    writer.add_rope_freq_base(float((config.rope_parameters or {}).get("rope_theta", 10_000.0)))


def _list_tokens(writer: Any, tokenizer: Any, size: int, ends: Sequence[int]) -> None:
    """The vocabulary: each token's bytes, as byte-level tokenizers write them."""
    import gguf

    texts = list(_texts(tokenizer, size, ends))
    kinds = [gguf.TokenType.NORMAL if text is not None else gguf.TokenType.CONTROL for text in texts]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"{NAMELESS}{at}" if text is None else text for at, text in enumerate(texts)])
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])  # there must be one
    writer.add_add_bos_token(False)
    writer.add_pad_token_id(ends[0] if ends else 0)
    for key, id in zip(END_KEYS, ends, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", id)


def _texts(tokenizer: Any, size: int, ends: Sequence[int]) -> Iterator[str | None]:
    """Each token's text; None for control tokens, and for those whose bytes are unknown or another token's.

    A text is one token's only: a piece's rather than that of a token for one byte, which models write only where no
    piece has it.
    """
    from gguf.vocab import bytes_to_unicode

    try:
        known = Vocabulary(tokenizer, size, ends).tokens
    except EngineError:  # answers cannot be held to a schema then; for others the ids suffice
        yield from [None] * size
        return
    signs, owners = bytes_to_unicode(), dict[str, int]()
    single = {id for name, id in tokenizer.get_vocab().items() if _BYTE.fullmatch(name)}
    texts = {
        id: "".join(signs[byte] for byte in known.decode_bytes([id]))
        for id in range(size)
        if id not in ends and not known.is_special_token(id)
    }
    for id in sorted(texts, key=lambda id: (id in single, id)):
        owners.setdefault(texts[id], id)
    for id in range(size):
        text = texts.get(id)
        yield text if text and owners[text] == id else None
