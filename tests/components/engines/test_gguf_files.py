"""A model's folder as llama.cpp's file: made once, whole or not at all, and only of what it describes rightly."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch

from components.engines import Sampling
from components.errors import EngineError
from components.params import LlamaCppParams
from tests.components.engines.conftest import SPECIALS, TEMPLATE, chat_request, saved
from tests.flows.conftest import save_tiny_model

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
from components.engines import gguf_files
from components.engines.gguf_files import converted
from components.engines.llama_cpp_engine import LlamaCppEngine

SETTINGS = LlamaCppParams(weights="f32", parallel=4, threads=1)
MakeModel = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf") / "model"
    save_tiny_model(folder)
    return folder


def test_a_model_is_converted_once_for_its_weights_and_outside_of_its_folder(folder: Path, tmp_path: Path) -> None:
    before = sorted(folder.iterdir())
    first = converted(folder, "q8_0", tmp_path)
    written = first.file.stat().st_mtime_ns
    assert converted(folder, "q8_0", tmp_path) == first and first.file.stat().st_mtime_ns == written
    assert sorted(folder.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == [first.file.parent.name]  # nothing half-written beside it
    q8 = LlamaCppEngine.open(folder, SETTINGS.model_copy(update={"weights": "q8_0"}), files=tmp_path)
    assert q8.generate([chat_request("a", "hello")], Sampling(max_new_tokens=3))[0].error is None
    other = tmp_path / "other"
    save_tiny_model(other)
    (other / "prompt.md").write_text("another folder\n", encoding="utf-8")
    assert converted(other, "q8_0", tmp_path).file != first.file


def test_two_processes_that_convert_at_once_leave_one_whole_file(folder: Path, tmp_path: Path) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        both = [pool.submit(converted, folder, "f16", tmp_path) for _ in range(2)]
        assert both[0].result() == both[1].result()
    assert len(list(tmp_path.iterdir())) == 1


def test_two_threads_that_convert_at_once_do_not_write_to_the_same_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert, begun = gguf_files._convert, Barrier(2, timeout=30)

    def together(*given: Any) -> None:
        begun.wait()
        convert(*given)

    monkeypatch.setattr(gguf_files, "_convert", together)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: converted(folder, "f16", tmp_path), range(2))
    assert first == second and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            ("qwen3", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
            "found .*sliding_attent",
        ),
        (("llama", {"attention_bias": True}), "layers without biases, found attention_bias"),
        (("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}), "found linear"),
        (("llama", {"hidden_act": "gelu"}), "the activation silu, found gelu"),
    ],
)
def test_models_that_would_be_described_wrongly_are_refused(
    changed: tuple[str, dict[str, Any]], message: str, make_model: MakeModel, tokenizer: Any, tmp_path: Path
) -> None:
    saved(make_model(changed[0], **changed[1]), tokenizer, tmp_path / "model")
    with pytest.raises(EngineError, match=message):
        LlamaCppEngine.open(tmp_path / "model", SETTINGS, files=tmp_path / "files")
    assert list((tmp_path / "files").iterdir()) == []


def test_an_architecture_that_is_not_converted_is_named(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("gpt2", n_layer=1, n_head=2, n_embd=16, vocab_size=50, n_positions=64)
    saved(AutoModelForCausalLM.from_config(config), tokenizer, tmp_path / "model")
    with pytest.raises(EngineError, match="a model of type lfm2 or llama or qwen3, found gpt2"):
        LlamaCppEngine.open(tmp_path / "model", SETTINGS, files=tmp_path / "files")


def test_an_answer_ends_at_the_tokenizer_s_end_token_too(make_model: MakeModel, tokenizer: Any, tmp_path: Path) -> None:
    for named, ends in ((5, (2, 5)), ([2, 5], (2, 5)), (None, (2,))):
        model = make_model("llama")
        model.generation_config.eos_token_id = model.config.eos_token_id = named
        saved(model, tokenizer, tmp_path / f"{named}")
        assert converted(tmp_path / f"{named}", "f32", tmp_path / "files").ends == ends


def test_pieces_are_streamed_though_the_vocabulary_has_their_bytes_too(make_model: MakeModel, tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokenizer = byte_fallback_tokenizer(letters)
    model = make_model("llama", vocab_size=len(tokenizer))
    model.generation_config.eos_token_id = 2
    with torch.no_grad():
        model.lm_head.weight[: -len(letters)] = 0  # only letters are likely
    saved(model, tokenizer, tmp_path / "model")
    engine, pieces = LlamaCppEngine.open(tmp_path / "model", SETTINGS, files=tmp_path / "files"), list[str]()
    (answer,) = engine.stream([chat_request("a", "hello")], Sampling(max_new_tokens=30), {0: pieces.append})
    (whole,) = engine.generate([chat_request("a", "hello")], Sampling(max_new_tokens=30))
    assert len(whole.text) == 30 and set(whole.text) <= set(letters)
    assert "".join(pieces) == answer.text == whole.text


def byte_fallback_tokenizer(letters: str) -> Any:
    """Its vocabulary is like those of SentencePiece: control tokens, all bytes, then pieces."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    pieces = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, [], byte_fallback=True))
    pieces.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    pieces.add_special_tokens(SPECIALS)
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="<|pad|>", eos_token="<|im_end|>", chat_template=TEMPLATE
    )


def test_weights_that_their_precision_cannot_hold_are_refused(
    make_model: MakeModel, tokenizer: Any, tmp_path: Path
) -> None:
    model = make_model("llama")
    model.generation_config.eos_token_id = 2
    for value, refused in ((1e5, {"f16"}), (float("nan"), {"f16", "f32", "bf16"})):
        with torch.no_grad():
            model.lm_head.weight[0, 0] = value
        saved(model, tokenizer, tmp_path / f"{value}")
        for weights in ("f16", "f32", "bf16"):
            if weights in refused:
                with pytest.raises(EngineError, match=f"weights that {weights} can hold, found others in output"):
                    converted(tmp_path / f"{value}", weights, tmp_path / "files")
            else:
                assert converted(tmp_path / f"{value}", weights, tmp_path / "files").file.is_file()


def test_more_ends_than_llama_cpp_knows_are_refused(make_model: MakeModel, tokenizer: Any, tmp_path: Path) -> None:
    saved(make_model("llama"), tokenizer, tmp_path / "model")
    with pytest.raises(EngineError, match="at most 6 tokens that end an answer, found 8"):
        converted(tmp_path / "model", "f16", tmp_path / "files")
