from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ConfigError
from components.methods.sft.trainer import answer_places
from components.methods.sft.training import train_sft
from components.models import open_model
from components.params import LoraParams
from components.tracking import NullTracker
from components.training import TrainingTask
from components.training.encode import IGNORED, Encoded
from components.training.packing import (
    Packing,
    compiled,
    decoder_of,
    lay_out,
    packed_rows,
    packed_states,
    refuse_changed_logits,
    visible,
)
from tests.components.training.test_sft import PARAMS, Judge, weights

MakeTask = Callable[..., TrainingTask]
PACKED = PARAMS.model_copy(update={"packed_tokens": 200})
ROW_TOKENS = 60


def encoded(lengths: list[int]) -> list[Encoded]:
    """Examples of these lengths, the last token of each the answer."""
    return [Encoded(str(at), tuple(range(1, length)), (at,)) for at, length in enumerate(lengths)]


@pytest.fixture
def without_compiling() -> Iterator[None]:
    """Compilation takes half a minute and changes no result beyond rounding."""
    with torch.compiler.set_stance("force_eager"):
        yield


@given(st.lists(st.integers(1, ROW_TOKENS), min_size=1, max_size=200), st.integers(0, 99))
def test_every_example_comes_once_and_no_row_overflows(lengths: list[int], seed: int) -> None:
    rows = packed_rows(lengths, ROW_TOKENS, torch.Generator().manual_seed(seed))
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= ROW_TOKENS for row in rows)


def test_rows_are_nearly_full() -> None:
    lengths = [15 + at % 10 for at in range(300)]
    rows = packed_rows(lengths, ROW_TOKENS, torch.Generator().manual_seed(0))
    assert sum(lengths) / (len(rows) * ROW_TOKENS) > 0.9


def test_steps_hold_the_rows_of_one_epoch_after_the_other() -> None:
    packing = Packing.plan(encoded([30] * 8), ROW_TOKENS, batch=4, seed=5)
    assert (packing.rows, packing.epoch_rows) == (2, 4)  # two examples fill a row
    assert packing.divided(4) == (1, 2)
    batches = list(packing.loader(4, 1, 2))
    assert [batch["input_ids"].shape for batch in batches] == [(2, ROW_TOKENS)] * 4
    answers = [batch["labels"][batch["labels"] != IGNORED].tolist() for batch in batches]
    assert sorted(answers[0] + answers[1]) == sorted(answers[2] + answers[3]) == list(range(8))
    assert answers[:2] != answers[2:]
    again = [batch["labels"][batch["labels"] != IGNORED].tolist() for batch in packing.loader(4, 1, 2)]
    assert again == answers


@pytest.mark.parametrize(
    ("device_batch", "parts", "rows"), [(10, 1, 5), (8, 2, 3), (6, 2, 3), (4, 3, 2), (2, 5, 1), (1, 5, 1)]
)
def test_a_step_has_the_same_examples_however_it_is_divided(device_batch: int, parts: int, rows: int) -> None:
    packing = Packing.plan(encoded([30] * 40), ROW_TOKENS, batch=10, seed=5)
    assert packing.rows == 5
    assert packing.divided(device_batch) == (parts, rows)
    steps: list[list[int]] = []
    for number, batch in enumerate(packing.loader(3, parts, rows)):
        assert batch["input_ids"].shape == (rows, ROW_TOKENS)  # one shape, for which layers are compiled
        answers = batch["labels"][batch["labels"] != IGNORED].tolist()
        assert answers
        steps += [[]] if number % parts == 0 else []
        steps[-1] += answers
    whole = [batch["labels"][batch["labels"] != IGNORED].tolist() for batch in packing.loader(3, 1, 5)]
    assert steps == whole


def test_a_row_that_holds_more_than_a_batch_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert Packing.plan(encoded([10] * 12), ROW_TOKENS, batch=6, seed=5).rows == 1
    assert not caplog.records
    assert Packing.plan(encoded([10] * 12), ROW_TOKENS, batch=2, seed=5).rows == 1
    assert "A row of 60 tokens has 6.0 examples, and a batch only 2." in caplog.text


@pytest.mark.usefixtures("without_compiling")
def test_packed_steps_do_not_depend_on_how_much_a_device_holds(make_task: MakeTask, tmp_path: Path) -> None:
    many = [
        example.model_copy(update={"id": f"{example.id}-{turn}"}) for turn in range(4) for example in make_task().train
    ]
    settings = {"batch_examples": 8, "epochs": 1, "evaluations": 1, "packed_tokens": 200}
    curves = [
        train_sft(
            make_task(train=many, work=tmp_path / str(device)),
            PARAMS.model_copy(update={**settings, "device_batch_examples": device}),
            NullTracker(),
        ).curves["loss"]
        for device in (8, 4, 1)
    ]
    assert len(curves[0]) == 4
    for curve in curves[1:]:
        assert [step for step, _ in curve] == [step for step, _ in curves[0]]
        assert [loss for _, loss in curve] == pytest.approx([loss for _, loss in curves[0]], rel=1e-3)


def test_models_that_change_their_logits_are_refused(
    make_task: MakeTask, model_folder: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    import transformers

    shape: dict[str, Any] = open_model(model_folder("Llama"))[0].config.to_dict()
    shape |= {"model_type": "granite", "logits_scaling": 8.0}
    config = transformers.AutoConfig.for_model(**shape)
    scaled = transformers.AutoModelForCausalLM.from_config(config)
    scaled.save_pretrained(tmp_path / "granite")
    tokenizer.save_pretrained(tmp_path / "granite")
    with pytest.raises(ConfigError, match=r"sft\.packed_tokens .* found GraniteForCausalLM, which changes them"):
        train_sft(make_task(model=tmp_path / "granite"), PACKED, NullTracker())
    for architecture in ("Llama", "Lfm2", "Qwen3"):
        refuse_changed_logits(open_model(model_folder(architecture))[0].train(), [1, 2, 3])


def test_a_row_is_laid_out_example_by_example() -> None:
    batch = lay_out([[Encoded("a", (7, 8), (9,)), Encoded("b", (), (4, 5))]], 6)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 4, 5, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 9, IGNORED, 5, IGNORED]]
    assert batch["positions"].tolist() == [[0, 1, 2, 0, 1, 0]]
    assert batch["numbers"].tolist() == [[1, 1, 1, 2, 2, 0]]


def test_an_example_sees_its_own_earlier_tokens_alone() -> None:
    assert visible(torch.tensor([[1, 1, 2]]))[0, 0].tolist() == [
        [True, False, False],
        [True, True, False],
        [False, False, True],
    ]


def test_packed_examples_have_the_states_that_they_have_alone(tokenizer: Any) -> None:
    from tests.components.training.conftest import tiny_model

    model = tiny_model("Llama", tokenizer).eval()
    examples = [Encoded("a", (5, 6, 7), (8, 9)), Encoded("b", (10, 11), (12,))]
    packed = packed_states(model, model.base_model, lay_out([examples], 12))[0]
    alone = [model.base_model(torch.tensor([example.input_ids])).last_hidden_state[0] for example in examples]
    torch.testing.assert_close(packed[:8], torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [False, True])
def test_compiled_layers_have_the_states_and_the_gradients_of_the_others(tokenizer: Any, adapters: bool) -> None:
    from peft import LoraConfig, get_peft_model

    from tests.components.training.conftest import tiny_model

    batch = lay_out([[Encoded("a", (5, 6, 7), (8, 9)), Encoded("b", (10, 11), (12,))]], 12)
    both: list[tuple[torch.Tensor, torch.Tensor]] = []
    for kind in ("plain", "compiled"):
        model: Any = tiny_model("Lfm2", tokenizer)
        if adapters:
            torch.manual_seed(0)
            config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
            model = get_peft_model(model, config)
        layers = decoder_of(model)
        states = packed_states(model, compiled(layers) if kind == "compiled" else layers, batch)
        states[:, :8].square().sum().backward()
        gradients = [weight.grad.flatten() for weight in layers.parameters() if weight.requires_grad]
        both.append((states.detach(), torch.cat(gradients)))
    for plain, fast in zip(*both, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-3 if adapters else 1e-4)  # adapters are large here


@pytest.mark.usefixtures("without_compiling")
def test_training_on_packed_rows_learns_and_goes_on_after_a_kill_with_the_same_weights(
    make_task: MakeTask, tmp_path: Path
) -> None:
    whole = train_sft(make_task(score_dev=Judge(0.1, 0.2, 0.3), work=tmp_path / "a"), PACKED, NullTracker())
    losses = [value for _, value in whole.curves["loss"]]
    assert losses[-1] < 0.8 * losses[0]
    kept = weights(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        train_sft(make_task(score_dev=Judge(0.1)), PACKED, NullTracker())
    train_sft(make_task(score_dev=Judge(0.2, 0.3)), PACKED, NullTracker())
    for name, tensor in weights(tmp_path / "out").items():
        torch.testing.assert_close(tensor, kept[name], rtol=0, atol=0)


@pytest.mark.usefixtures("without_compiling")
def test_rows_hold_the_longest_example_that_may_be(make_task: MakeTask, tmp_path: Path) -> None:
    curves = [
        train_sft(
            make_task(work=tmp_path / f"work{tokens}"),
            PARAMS.model_copy(update={"packed_tokens": tokens}),
            NullTracker(),
        ).curves["loss"]
        for tokens in (32, PARAMS.max_tokens)
    ]
    assert curves[0] == curves[1]


@pytest.mark.usefixtures("without_compiling")
def test_adapters_learn_the_same_from_packed_rows(make_task: MakeTask, tmp_path: Path) -> None:
    lora = LoraParams(rank=4, alpha=8)
    whole = {"batch_examples": 8, "device_batch_examples": 8, "epochs": 3, "evaluations": 1, "lora": lora}
    plain, packed = (
        train_sft(make_task(work=tmp_path / str(tokens)), PARAMS.model_copy(update={**whole, "packed_tokens": tokens}),
                  NullTracker()).curves["loss"]
        for tokens in (None, 200)
    )  # fmt: skip
    assert len(plain) == 3
    assert [step for step, _ in packed] == [step for step, _ in plain]
    assert [loss for _, loss in packed] == pytest.approx([loss for _, loss in plain], rel=1e-3)
    assert packed[-1][1] < packed[0][1]


def test_several_processes_are_refused(make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import PartialState

    PartialState(cpu=True)
    monkeypatch.setitem(PartialState._shared_state, "num_processes", 2)
    with pytest.raises(ConfigError, match=r"sft\.packed_tokens is for one process"):
        train_sft(make_task(), PACKED.model_copy(update={"device_batch_examples": 2}), NullTracker())


def test_answers_fill_whole_blocks_and_what_fills_them_up_is_ignored() -> None:
    labels = torch.full((1000,), IGNORED)
    labels[100:400] = torch.arange(300)
    places, wanted = answer_places(labels)
    assert len(places) == len(wanted) == 512
    assert places[:300].tolist() == list(range(100, 400))
    assert wanted[:300].tolist() == list(range(300))
    assert (wanted[300:] == IGNORED).all()
