"""llama.cpp's scheduler in this process: how it is started, and what it tells of a completion."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.engines.ending import Ending
from components.engines.gguf_files import Converted
from components.errors import EngineError
from components.params import LlamaCppParams

ROUND_TOKENS = 256  # llama.cpp rounds a sequence's room up to these


class Written:
    """Collects what llama.cpp tells of one completion, and passes its text on to `on_text` as it is written.

    `cut` says that `ending` ended it, and not the model or a limit.
    """

    def __init__(self, on_text: Callable[[str], None], ending: Ending) -> None:
        self._on_text, self._ending = on_text, ending
        self.text, self.count, self.error, self.cut = "", 0, None, False
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.reason: Any = None

    def __call__(self, reply: dict[str, Any]) -> bool:
        """Take the next part; says whether the completion should end here."""
        if "error" in reply:
            self.error = str(reply["error"].get("message", reply["error"]))
            return False
        choice = reply["choices"][0]
        self.logprobs += [token["logprob"] for token in (choice["logprobs"] or {}).get("content", ())]
        self.tokens += reply.get("__verbose", {}).get("tokens", ())
        self.text += choice["text"]
        if choice["finish_reason"] is not None:
            self.reason, self.count = choice["finish_reason"], reply["usage"]["completion_tokens"]
        if choice["text"]:
            self._on_text(choice["text"])
        if self.reason is None and (early := self._ending.reason()) is not None:
            self.reason, self.count, self.cut = early, reply["__verbose"]["tokens_predicted"], True
        return self.cut


def library(name: str) -> Any:
    """An optional library.

    Raises:
        EngineError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(
            f"engine.kind llama_cpp needs {name} (`pip install 'gradus[llama]'`), found none: {error}"
        ) from error


def started(model: Converted, params: LlamaCppParams, context: int, folder: Path) -> Any:
    """llama.cpp's scheduler over a model. It always listens: on a socket in `folder`, which only this user may open."""
    llama = library("xllamacpp")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = llama.CommonParams()
    asked.model.path = str(model.file)
    asked.hostnames = [str(folder / "llama.sock")]
    asked.n_parallel = params.parallel
    asked.n_ctx = params.parallel * (-(-(context + 1) // ROUND_TOKENS) * ROUND_TOKENS)
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = params.threads or cores
    if (
        model.weights == "f32"
    ):  # keys and values are kept in f16 otherwise; in f32 its own attention kernel is the slower one
        asked.cache_type_k = asked.cache_type_v = llama.ggml_type.GGML_TYPE_F32
        asked.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    asked.n_gpu_layers, asked.verbosity, asked.warmup = 0, -1, True
    asked.cache_ram_mib, asked.ctx_shift, asked.n_threads_http = 0, False, 1
    try:
        return llama.Server(asked)
    except Exception as error:  # xllamacpp raises RuntimeError and whatever C++ does
        raise EngineError(f"expected a model that llama.cpp loads, found {error} ({model.file})") from error
