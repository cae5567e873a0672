import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.errors import ConfigError, DataError, TrainingError
from components.methods.grpo.probe import selected
from components.methods.grpo.selection import schedule
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import require_whole_groups, train_rl
from components.models import open_model
from components.params import LoraParams
from components.records import Example
from components.tracking import NullTracker
from components.training import Draws, Sample, TrainingTask
from components.training.precision import Compute

PARAMS = GrpoParams(
    steps=4,
    learning_rate=0.01,
    prompts_per_step=2,
    generations=4,
    device_batch_rollouts=8,
    max_new_tokens=6,
    probe_prompts=6,
    probe_generations=4,
    evaluations=2,
    patience=4,
)
MakeTask = Callable[..., TrainingTask]


def reward(examples: list[Example], completions: list[str]) -> list[float]:
    """How many of a completion's bytes are letters: easy to raise, and never the same for long."""
    assert len(examples) == len(completions)
    return [sum(letter.isalpha() for letter in text) / 6 for text in completions]


class Judge:
    """Scores in a given order; stops the run where the order ends."""

    def __init__(self, *scores: float) -> None:
        self.left = list(scores)

    def __call__(self, model: Any, tokenizer: Any) -> float:
        if not self.left:
            raise KeyboardInterrupt
        return self.left.pop(0)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_run_records_its_curves_and_leaves_a_model_folder(make_task: MakeTask, sample: Sample) -> None:
    task = make_task(score_dev=Judge(0.1, 0.2, 0.3))
    trained = train_rl(task, PARAMS, reward, NullTracker(), sample)
    curves = trained.curves
    assert curves["dev_score"] == [(0, 0.1), (2, 0.2), (4, 0.3)]
    assert [step for step, _ in curves["reward"]] == [1, 2, 3, 4]
    assert [step for step, _ in curves["kl"]] == [2, 4]
    assert 0 < curves["kl"][-1][1] < 10
    assert all(0 <= share <= 1 for _, share in curves["zero_variance_share"])
    assert all(1 <= tokens <= 6 for _, tokens in curves["completion_tokens"])
    assert curves["entropy"][0][1] == pytest.approx(torch.tensor(264.0).log().item(), rel=0.05)  # random weights
    open_model(task.out)


def test_the_reward_rises(make_task: MakeTask, sample: Sample) -> None:
    longer = PARAMS.model_copy(
        update={"steps": 12, "prompts_per_step": 4, "device_batch_rollouts": 16, "evaluations": 1}
    )
    rewards = [value for _, value in train_rl(make_task(), longer, reward, NullTracker(), sample).curves["reward"]]
    assert sum(rewards[-3:]) > sum(rewards[:3])


def test_where_nothing_is_better_the_result_is_the_starting_model(make_task: MakeTask, sample: Sample) -> None:
    task = make_task(score_dev=Judge(0.9, 0.2, 0.3))
    assert train_rl(task, PARAMS, reward, NullTracker(), sample).best_step == 0
    for name, tensor in weights(task.model).items():
        torch.testing.assert_close(weights(task.out)[name], tensor, rtol=0, atol=0)


def test_a_killed_training_ends_with_the_same_weights(make_task: MakeTask, sample: Sample, tmp_path: Path) -> None:
    train_rl(make_task(score_dev=Judge(0.1, 0.2, 0.3), work=tmp_path / "a"), PARAMS, reward, NullTracker(), sample)
    whole = weights(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        train_rl(make_task(score_dev=Judge(0.1, 0.2)), PARAMS, reward, NullTracker(), sample)
    train_rl(make_task(score_dev=Judge(0.3)), PARAMS, reward, NullTracker(), sample)
    for name, tensor in weights(tmp_path / "out").items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=0)


def test_prompts_are_probed_with_the_callers_sampler_and_chosen_by_variance(
    make_task: MakeTask, sample: Sample
) -> None:
    task = make_task()

    def answer(model: Any, tokenizer: Any, prompts: list[list[int]], draws: Draws) -> list[list[list[int]]]:
        texts = tokenizer.batch_decode(prompts, skip_special_tokens=True)
        if len(prompts) < 8:
            return sample(model, tokenizer, prompts, draws)
        assert (draws.n, draws.temperature, draws.max_new_tokens) == (4, 1.0, 6)
        varied = [text.split("\nassistant")[0].endswith(("1", "3")) for text in texts]
        letters: list[list[int]] = tokenizer(["a", "bb", "a", "a"])["input_ids"]
        return [letters if varies else [letters[0]] * 4 for varies in varied]

    all_probed = PARAMS.model_copy(update={"probe_prompts": 100, "easy_share": 0.0})
    trained = train_rl(task, all_probed, reward, NullTracker(), answer)
    kept = json.loads((task.work / "selection.json").read_text())
    assert {name: kept[name] for name in ("probed", "varied", "easy")} == {"probed": 8, "varied": [1, 3], "easy": []}
    assert trained.prepared == kept["seconds"] > 0


class Counted:
    """A probe in which every prompt varies; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def rewards(self, task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probed: list[int]) -> Any:
        self.asked += 1
        return [[0.0, 1.0] for _ in probed]


def test_without_a_probe_a_short_training_takes_a_seeded_part_of_the_prompts(make_task: MakeTask) -> None:
    unprobed, probe = PARAMS.model_copy(update={"probe_prompts": 0}), Counted()
    taken = {
        seed: schedule(selected(make_task(seed=seed), unprobed, (None, None), probe), 2, random.Random(seed))
        for seed in (1, 2)
    }
    # random.Random(1).sample(range(8), 8) begins with 2 and 4, that of 2 with 0 and 7
    assert {seed: sorted(rows) for seed, rows in taken.items()} == {1: [2, 4], 2: [0, 7]}
    assert probe.asked == 0


def test_a_choice_of_prompts_is_kept_for_its_training_and_made_again_for_another(make_task: MakeTask) -> None:
    task, probe = make_task(), Counted()
    task.work.mkdir()
    model: Any = SimpleNamespace(eval=lambda: None, train=lambda: None)
    first = selected(task, PARAMS, (model, None), probe, "one")
    assert selected(task, PARAMS, (model, None), probe, "one") == first
    assert (probe.asked, len(first.varied)) == (1, 6)
    selected(task, PARAMS, (model, None), probe, "another")
    assert probe.asked == 2


def test_checkpoints_that_learnt_from_another_reward_are_refused(make_task: MakeTask, sample: Sample) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_rl(make_task(score_dev=Judge(0.1, 0.2), rewarded_by="before"), PARAMS, reward, NullTracker(), sample)
    with pytest.raises(TrainingError, match=r"expected checkpoints of these settings, data, scorers and model"):
        train_rl(make_task(score_dev=Judge(0.3), rewarded_by="after"), PARAMS, reward, NullTracker(), sample)
    train_rl(make_task(score_dev=Judge(0.3), rewarded_by="before"), PARAMS, reward, NullTracker(), sample)


@pytest.mark.parametrize("name", ["rewarded_by", "measured_by"])
def test_what_rewards_and_what_measures_is_part_of_a_training_s_identity(make_task: MakeTask, name: str) -> None:
    assert make_task().identity(PARAMS) == make_task(**{name: ""}).identity(PARAMS)
    assert make_task().identity(PARAMS) != make_task(**{name: "a scorer"}).identity(PARAMS)


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("chat_template.jinja", True),
        ("tokenizer.json", True),
        ("tokenizer_config.json", True),
        ("generation_config.json", True),
        ("README.md", False),
    ],
)
def test_the_same_weights_with_another_template_or_tokenizer_are_another_training(
    make_task: MakeTask, tmp_path: Path, file: str, counts: bool
) -> None:
    folder = shutil.copytree(make_task().model, tmp_path / "copy")
    assert make_task(model=folder).identity(PARAMS) == make_task().identity(PARAMS)  # wherever it lies
    with (folder / file).open("a", encoding="utf-8") as text:
        text.write(" ")
    assert (make_task(model=folder).identity(PARAMS) != make_task().identity(PARAMS)) is counts


def test_the_reward_gets_the_example_of_each_completion(make_task: MakeTask, sample: Sample) -> None:
    seen: list[str] = []

    def watch(examples: list[Example], completions: list[str]) -> list[float]:
        seen.extend(example.id for example in examples)
        return [float(len(text) % 3) for text in completions]

    unprobed = PARAMS.model_copy(update={"probe_prompts": 0})
    train_rl(make_task(), unprobed, watch, NullTracker(), sample)
    groups = [seen[start : start + 4] for start in range(0, len(seen), 4)]
    assert all(len(set(group)) == 1 for group in groups)
    assert sorted(group[0] for group in groups) == [f"E{n}" for n in range(8)]  # 4 steps of 2 prompts: one pass


def test_adapters_train_and_are_merged(make_task: MakeTask, sample: Sample, model_folder: Callable[..., Path]) -> None:
    task = make_task(model=model_folder("Llama"))
    trained = train_rl(
        task, PARAMS.model_copy(update={"lora": LoraParams(rank=2, alpha=4)}), reward, NullTracker(), sample
    )
    assert trained.curves["kl"][0][1] >= 0
    assert weights(task.out).keys() == weights(task.model).keys()


def test_no_examples_are_refused_before_anything_is_written(make_task: MakeTask, sample: Sample) -> None:
    task = make_task(train=[])
    with pytest.raises(DataError, match="at least one example"):
        train_rl(task, PARAMS, reward, NullTracker(), sample)
    assert not task.work.exists()


def test_processes_that_would_share_a_group_are_refused_before_anything_is_written(
    make_task: MakeTask, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compute, "state", lambda self: SimpleNamespace(num_processes=4))
    task, shared = make_task(), PARAMS.model_copy(update={"generations": 8, "device_batch_rollouts": 4})
    said = r"grpo\.prompts_per_step: expected a multiple of the 4 processes .*grpo\.generations \(8\).*, found 2"
    with pytest.raises(ConfigError, match=said):
        train_rl(task, shared, reward, NullTracker(), sample)
    assert not task.work.exists()
    require_whole_groups(shared.model_copy(update={"prompts_per_step": 8}), Compute.choose("fp32"))


def test_rollouts_by_vllm_are_asked_of_trl(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.methods.grpo.training import rollout_settings

    vllm = PARAMS.model_copy(update={"rollouts": "vllm"})
    assert rollout_settings(PARAMS, 100) == {}
    colocated = rollout_settings(vllm, 100)
    assert (colocated["vllm_mode"], colocated["vllm_max_model_length"]) == ("colocate", 106)
    monkeypatch.setenv("GRADUS_VLLM_SERVER", "http://10.0.0.2:8000")
    assert rollout_settings(vllm, 100) == {
        "use_vllm": True,
        "vllm_mode": "server",
        "vllm_server_base_url": "http://10.0.0.2:8000",
    }


def test_rewards_judge_answers_and_not_the_thoughts_before_them(tokenizer: Any) -> None:
    from components.methods.grpo.training import of_answers

    judged = of_answers(lambda examples, texts: [float(text == "{}") for text in texts], tokenizer)
    assert judged([], ["<think>\n{1}\n</think>\n{}", "{}", "<think>{}"]) == [1.0, 1.0, 0.0]
