import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.errors import EngineError
from components.models import KERNELS, computes_bf16, model_folder, open_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "models/nano", tmp_path / "model")
    return tmp_path / "model"


def test_the_shipped_model_opens_and_is_small_enough() -> None:
    model, tokenizer = open_model(ROOT / "models/nano")
    assert not model.training
    assert len(tokenizer) == model.config.vocab_size
    parts = [ROOT / "models/nano" / name for name in ("model.safetensors", "tokenizer.json")]
    assert sum(path.stat().st_size for path in parts) <= 16e6


def test_models_opened_by_several_threads_are_loaded_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, PreTrainedModel

    monkeypatch.setattr(PreTrainedModel, "tie_weights", PreTrainedModel.tie_weights)  # put back if this test fails
    load, loading, most = AutoModelForCausalLM.from_pretrained, list[Path](), list[int]()

    def slowly(folder: Path, **settings: Any) -> Any:
        loading.append(folder)
        most.append(len(loading))
        time.sleep(0.1)
        try:
            return load(folder, **settings)
        finally:
            loading.pop()

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", slowly)
    with ThreadPoolExecutor(3) as threads:
        assert len(list(threads.map(open_model, [ROOT / "models/nano"] * 3))) == 3
    assert most == [1, 1, 1]


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="expected a model folder, found none"):
        open_model(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(EngineError, match=f"expected {name}"):
        open_model(folder)


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="expected weights in safetensors, found none"):
        open_model(folder)


def test_torn_weights_are_refused(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EngineError, match="expected weights in safetensors"):
        open_model(folder)


def test_weights_of_another_model_are_never_filled_in_at_random(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    taken = next(name for name in weights if "layers.1" in name)
    save_file({name: value for name, value in weights.items() if name != taken}, folder / "model.safetensors")
    with pytest.raises(EngineError, match=f"missing keys: {taken}"):
        open_model(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["intermediate_size"] //= 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineError):
        open_model(folder)


def test_a_tokenizer_larger_than_the_embeddings_is_refused(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": 5_000, "content": "<extra>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(EngineError, match="expected a vocabulary of at most"):
        open_model(folder)


def test_a_folder_is_its_own_model_folder(folder: Path) -> None:
    assert model_folder(str(folder)) == folder


def test_a_model_of_the_hub_is_not_fetched_while_offline() -> None:
    with pytest.raises(EngineError, match=r"expected a model folder or a model of the Hugging Face hub, .*some/model"):
        model_folder("some/model")


def test_settings_of_the_chat_template_are_part_of_what_is_rendered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinks = "{{ 'thinks' if enable_thinking is not defined or enable_thinking }}"
    template = thinks + "{{ note }}{{ n is none }}{{ many[1]['a'] }}"
    (folder / "chat_template.jinja").write_text(template)
    monkeypatch.chdir(tmp_path)
    settings = {"enable_thinking": False, "note": 'say "ä" 🙂\n', "n": None, "many": [1, {"a": True}]}
    set_up = model_folder(str(folder), settings)
    model, tokenizer = open_model(set_up)
    assert tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False) == 'say "ä" 🙂\nTrueTrue'
    assert model.config.vocab_size == len(tokenizer)
    assert model_folder(str(folder), settings) == set_up
    assert model_folder(str(folder), {"enable_thinking": True}) != set_up
    assert model_folder(str(folder)) == folder
    with pytest.raises(EngineError, match="expected names of variables, found 'a b'"):
        model_folder(str(folder), {"a b": 1})


SHAPES = """
import ctypes, sys
from pathlib import Path

class Heap(ctypes.Structure):  # struct mallinfo2 of glibc
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c mapped d e used free keep".split()]

import torch
from components.models import open_model

open_model(Path(sys.argv[1]))
used = ctypes.CDLL(None).mallinfo2
used.restype = Heap
weight = torch.ones(256, 256, dtype=torch.bfloat16)

def meet(first, last):
    with torch.inference_mode():
        for rows in range(first, last):
            torch.nn.functional.linear(torch.ones(rows, 256, dtype=torch.bfloat16), weight)
    return used().used

before = meet(1, 201)
print(meet(201, 601) - before)
"""


@pytest.mark.slow  # imports of a process of its own
@pytest.mark.skipif(not computes_bf16() or torch.cuda.is_available(), reason="a CPU with bfloat16 keeps such kernels")
def test_the_memory_of_kernels_ceases_to_grow_however_many_shapes_are_met() -> None:
    """Four hundred more shapes took 108 MB where one of the two caches kept a thousand."""
    inherited = {name: value for name, value in os.environ.items() if name not in KERNELS}
    done = subprocess.run(
        [sys.executable, "-c", SHAPES, str(ROOT / "models/nano")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=inherited,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20e6
