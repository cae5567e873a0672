"""Opening a model folder: every way in which one can be wrong is refused with a sentence that names it.

Decides what counts as a model folder, and how a layer of it is computed whose reference is slow; which model is
opened, and what for, is decided elsewhere.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from components.errors import EngineError

if TYPE_CHECKING:
    from torch import Tensor

SETTLED = Path("state/models")
TEMPLATE = "chat_template.jinja"
REQUIRED_FILES = ("config.json", "tokenizer.json")
# How many kernels are kept, one for each shape that is met, by the CPU's library and once more by PyTorch: either
# keeps a kernel's memory. The default of 1,024 takes up to a gigabyte where shapes vary, as they do when
# answers end one by one. With 128 in the library alone a short RL stage took 2.27 GB instead of 2.68, and 6 % more
# processor time; with 128 in both a server's memory is constant, and its answers take as long as before.
KEPT_KERNELS = "128"
KERNELS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
# While transformers loads a model it replaces methods of its classes, and puts back what it found: of two loads that
# overlap the second would put back the first one's replacements, for good.
_LOADING = threading.Lock()


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\n{content}\n".encode())
    return total.hexdigest()


def open_model(folder: Path) -> tuple[Any, Any]:
    """Load (model, tokenizer) from a folder, the model in evaluation mode and in the precision its config names.

    Threads may call it at once; they wait for each other.

    Raises:
        EngineError: The folder, a file or a weight is missing or unreadable, or tokenizer and embeddings differ in
            size. Weights are never filled in at random.
    """
    check_files(folder)
    for name in KERNELS:
        os.environ.setdefault(name, KEPT_KERNELS)  # read when the first kernel is built
    with _LOADING:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # transformers raises a dozen kinds, each the folder's fault
            raise EngineError(f"expected a model that transformers loads, found {_brief(error)} ({folder})") from error
    model, report = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, report[kind])):
            raise EngineError(
                f"expected the weights of config.json, found {kind.replace('_', ' ')}: {keys[0]} ({folder})"
            )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise EngineError(f"expected a vocabulary of at most {rows:,} tokens, found {len(tokenizer):,} ({folder})")
    return model.eval(), tokenizer


def context_of(config: Any) -> int | None:
    """The most tokens that a model reads together; None where its config names no limit.

    With LongRoPE the limit is the original context: one token more, and all positions are encoded in another way, those
    that are in a cache and those of shorter texts in the same batch too.
    """
    text = config.get_text_config(decoder=True)
    most: int | None = getattr(text, "max_position_embeddings", None)
    rope: Mapping[str, Any] = getattr(text, "rope_parameters", None) or {}
    if most is None or rope.get("rope_type") != "longrope":
        return most
    return min(most, rope["original_max_position_embeddings"])


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: those that the model's generation settings name, and the tokenizer's.

    The tokenizer's is what trainings teach and vLLM stops at; the settings of a base need not name it.
    """
    named = model.generation_config.eos_token_id
    known = [*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id]
    return frozenset(token for token in known if token is not None)


def model_folder(name: str, template: Mapping[str, Any] = MappingProxyType({})) -> Path:
    """The folder of a model: `name` itself where it is one, else a copy of the Hugging Face hub's, from its cache.

    With settings for its chat template, a folder of links whose template has them.

    Raises:
        EngineError: There is no such folder, or the hub has no such model; nothing is fetched while HF_HUB_OFFLINE=1.
    """
    if Path(name).is_dir() or name.count("/") != 1 or name.startswith((".", "/", "models/")):
        check_files(Path(name))
        return settled(Path(name), template)
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # the hub's client raises what its network, cache and server raise
        raise EngineError(
            f"expected a model folder or a model of the Hugging Face hub, found {_brief(error)} ({name})"
        ) from error
    return settled(folder, template)


def settled(folder: Path, template: Mapping[str, Any]) -> Path:
    """A folder with the same model whose chat template has these settings; the folder itself where there are none.

    The template begins with them, and a rung that is trained from it takes it along: whoever opens that, also another
    server than this one, renders what was trained on. Files are links, so that no weights are copied.

    Raises:
        EngineError: The folder has no chat template, or a setting has a name that templates cannot have.
    """
    if not template:
        return folder
    from transformers import AutoTokenizer

    if odd := [name for name in template if not name.isidentifier()]:
        raise EngineError(f"model.chat_template_kwargs: expected names of variables, found {odd[0]!r}")
    text = AutoTokenizer.from_pretrained(folder).chat_template
    if not isinstance(text, str):
        raise EngineError(f"expected a chat template in the tokenizer, found none ({folder})")
    text = "".join(f"{{%- set {name} = {_literal(value)} %}}" for name, value in sorted(template.items())) + text
    files = sorted(path.resolve() for path in folder.iterdir() if path.is_file() and path.name != TEMPLATE)
    digest = hashlib.sha256("\n".join([str(folder.resolve()), *map(str, files), text]).encode()).hexdigest()[:16]
    settled_folder = SETTLED / digest
    if not settled_folder.is_dir():
        part = SETTLED / f"{digest}.{uuid4().hex}.part"
        part.mkdir(parents=True)
        for path in folder.iterdir():
            if path.is_file() and path.name != TEMPLATE:
                (part / path.name).symlink_to(path.resolve())
        (part / TEMPLATE).write_text(text, encoding="utf-8")
        with suppress(OSError):  # another was faster
            part.rename(settled_folder)
        shutil.rmtree(part, ignore_errors=True)
    return settled_folder


def _literal(value: Any) -> str:
    """A setting as Jinja writes it."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        inside = (f"{json.dumps(str(key), ensure_ascii=False)}: {_literal(member)}" for key, member in value.items())  # pyright: ignore[reportUnknownVariableType]
        return f"{{{', '.join(inside)}}}"
    return json.dumps(value, ensure_ascii=False)


def check_files(folder: Path) -> None:
    """Refuse a path that is not a folder, lacks a file, or holds weights that cannot be read."""
    if not folder.is_dir():
        raise EngineError(f"expected a model folder, found none at {folder}")
    for name in REQUIRED_FILES:
        if not (folder / name).is_file():
            raise EngineError(f"expected {name} in the model folder, found none ({folder})")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise EngineError(f"expected weights in safetensors, found none ({folder})")
    from safetensors import SafetensorError, safe_open

    for path in weights:
        try:
            with safe_open(path, framework="numpy"):  # which, unlike "pt", imports nothing large
                pass
        except (SafetensorError, OSError) as error:
            raise EngineError(f"expected weights in safetensors, found {_brief(error)} ({path})") from error


def computes_bf16() -> bool:
    """Whether matrix products in bfloat16 are fast here: on the GPU, or on the CPU where there is none."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return cpu_computes_bf16()


def cpu_computes_bf16() -> bool:
    """Whether the CPU has instructions for products in bfloat16."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported())  # pyright: ignore[reportPrivateUsage]


def widened(model: Any) -> Any:
    """The model, in float32 if its weights are of 16 bits and this machine multiplies such slowly.

    Most CPUs do: without AVX-512 BF16 a product of nano's matrices takes 40 times as long in bfloat16 as in float32.
    """
    import torch

    half = model.dtype == torch.bfloat16 and not computes_bf16()
    return model.float() if half or (model.dtype == torch.float16 and not torch.cuda.is_available()) else model


def _brief(error: Exception) -> str:
    """The first line of a library's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def fused_convolutions() -> Generator[None]:
    """Let LFM2 compute its short convolutions as sums of shifted products.

    Equal to the reference up to rounding. PyTorch's float32 gradient of a depthwise convolution takes 0.3 s a layer on
    8,192 tokens and two cores, more than the rest of the step together; in bfloat16 it is fast as it is.
    """
    from transformers.models.lfm2 import modeling_lfm2

    reference = modeling_lfm2.causal_conv1d_fn
    modeling_lfm2.causal_conv1d_fn = shifted_convolution
    try:
        yield
    finally:
        modeling_lfm2.causal_conv1d_fn = reference


def shifted_convolution(states: "Tensor", weight: "Tensor", bias: "Tensor | None" = None, **_: object) -> "Tensor":
    """Causal depthwise convolution of (B, C, T) states with (C, K) weights."""
    from torch.nn.functional import pad

    width, length = weight.shape[-1], states.shape[-1]
    padded = pad(states, (width - 1, 0))
    total = weight[:, 0, None] * padded[:, :, :length]
    for k in range(1, width):
        total = total + weight[:, k, None] * padded[:, :, k : k + length]
    return total if bias is None else total + bias[:, None]
