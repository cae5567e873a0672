import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.engines.transformers_engine import TransformersEngine
from components.errors import TrainingError
from components.models import open_model
from components.params import LoraParams
from components.training import checkpoints
from components.training.checkpoints import claim, drop_other_best, last_checkpoint, publish
from components.training.run import adapter


def checkpoint(work: Path, step: int, state: str) -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(state)
    return folder


def test_a_folder_with_checkpoints_of_another_training_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "work", "aaaa")
    checkpoint(tmp_path / "work", 10, "{}")
    claim(tmp_path / "work", "aaaa")
    with pytest.raises(TrainingError, match=r"\(bbbb\), found others \(aaaa\)"):
        claim(tmp_path / "work", "bbbb")


def test_a_training_that_made_no_checkpoint_leaves_its_folder_to_another(tmp_path: Path) -> None:
    claim(tmp_path, "aaaa")
    (tmp_path / "best-0").mkdir()
    claim(tmp_path, "bbbb")
    checkpoint(tmp_path, 10, "{}")
    claim(tmp_path, "bbbb")
    assert not (tmp_path / "best-0").exists()


def test_checkpoints_that_no_training_claims_are_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10, "{}")
    with pytest.raises(TrainingError, match=r"found others \(None\)"):
        claim(tmp_path, "aaaa")


def test_the_last_whole_checkpoint_is_found_by_its_number_and_torn_ones_go(tmp_path: Path) -> None:
    nine = checkpoint(tmp_path, 9, '{"log_history": []}')
    ten = checkpoint(tmp_path, 10, '{"log_history": []}')
    torn = checkpoint(tmp_path, 11, '{"log_his')
    assert last_checkpoint(tmp_path) == ten
    assert nine.exists()
    assert not torn.exists()


def test_a_torn_checkpoint_that_another_process_removes_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten = checkpoint(tmp_path, 10, '{"log_history": []}')
    torn, read = checkpoint(tmp_path, 11, '{"log_his'), checkpoints.read_state

    def read_and_gone(path: Path) -> Any:
        state = read(path)
        if path == torn:
            shutil.rmtree(torn)
        return state

    monkeypatch.setattr(checkpoints, "read_state", read_and_gone)
    assert last_checkpoint(tmp_path) == ten


def test_only_the_best_weights_stay(tmp_path: Path) -> None:
    for step in (3, 6):
        (tmp_path / f"best-{step}").mkdir()
    drop_other_best(tmp_path, {6})
    assert [path.name for path in tmp_path.iterdir()] == ["best-6"]


def test_the_result_is_stored_as_the_base_is_even_if_its_config_says_otherwise(
    model_folder: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    base = tmp_path / "base"
    shutil.copytree(model_folder(bf16=True), base)
    config = json.loads((base / "config.json").read_text()) | {"dtype": "float32"}
    (base / "config.json").write_text(json.dumps(config))
    (base / "README.md").write_text("The card of the base.")
    model, _ = open_model(base)
    with torch.no_grad():
        model.lm_head.weight += 1.0
    model.save_pretrained(tmp_path / "best")
    tokenizer.save_pretrained(tmp_path / "best")
    publish(base, tmp_path / "best", tmp_path / "out")
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert {name: tensor.dtype for name, tensor in after.items()} == {n: torch.bfloat16 for n in before}
    torch.testing.assert_close(open_model(tmp_path / "out")[0].lm_head.weight, model.lm_head.weight, atol=0.01, rtol=0)
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == config
    assert not (tmp_path / "out" / "README.md").exists()


@pytest.mark.parametrize("adapters", [False, True])
def test_a_result_ends_where_its_training_did_though_the_base_names_another_end_token(
    model_folder: Callable[..., Path], tokenizer: Any, tmp_path: Path, adapters: bool
) -> None:
    from peft import get_peft_model

    base, pad, end = tmp_path / "base", tokenizer.pad_token_id, tokenizer.eos_token_id
    shutil.copytree(model_folder("Llama"), base)
    for name in ("config.json", "generation_config.json"):
        content = json.loads((base / name).read_text())
        (base / name).write_text(json.dumps(content | {"eos_token_id": pad}))
    model, _ = open_model(base)
    trained = get_peft_model(model, adapter(LoraParams(rank=2, alpha=4))) if adapters else model
    trained.save_pretrained(str(tmp_path / "best"))
    tokenizer.save_pretrained(tmp_path / "best")
    publish(base, tmp_path / "best", tmp_path / "out")
    assert TransformersEngine(model, tokenizer).ends == {pad, end}  # as dev is scored, and before the first step
    assert TransformersEngine.open(tmp_path / "out", 4096, "fp32").ends == {pad, end}
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == [pad, end]
    assert (tmp_path / "out" / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_settings_that_name_the_end_token_are_copied_as_they_are(
    model_folder: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    publish(model_folder(), model_folder(), tmp_path / "out")
    name = "generation_config.json"
    assert (tmp_path / "out" / name).read_bytes() == (model_folder() / name).read_bytes()


def test_a_merged_adapter_answers_as_the_adapter_did(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    from peft import get_peft_model

    base = model_folder("Llama")
    adapted = get_peft_model(open_model(base)[0], adapter(LoraParams(rank=2, alpha=4)))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(str(tmp_path / "best"))
    publish(base, tmp_path / "best", tmp_path / "out")
    ids = torch.arange(12)[None]
    with torch.no_grad():
        expected = adapted.eval()(ids).logits
        torch.testing.assert_close(open_model(tmp_path / "out")[0](ids).logits, expected, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(open_model(base)[0](ids).logits, expected, atol=1e-2)
