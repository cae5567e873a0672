"""GRPO on tries of an agent: from the loop's tokens to a step."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from components.engines.transformers_engine import TransformersEngine
from components.errors import ConfigError, DataError
from components.methods.grpo.probe import selected
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.tries import TrajectoryReward, Tries, TryProbe, as_rollouts, train_on_tries
from components.params import Limits
from components.prompts import Prompt
from components.records import Example, Message, ToolCall, Trajectory, Usage
from components.tasks import Dialogue, Rolled
from components.tasks.environment import spec_of
from components.tracking import NullTracker
from components.training import TrainingTask
from components.training.encode import IGNORED, encode_trajectories
from components.training.precision import Compute

NANO = Path(__file__).parents[3] / "models" / "nano"


class Bell:
    """A bell to ring."""

    def reset(self, text: str) -> None:
        self._rung = 0

    def ring(self, times: int) -> str:
        """Ring the bell.

        Args:
            times: How often.
        """
        self._rung += 1
        return "ding"


def ringing(folder: Path, n: int) -> TrainingTask:
    """A task with n examples."""
    examples = [
        Example(id=f"e{at}", input={"text": f"Ring {at}."}, demonstration="", reference="", group="") for at in range(n)
    ]
    return TrainingTask(
        model=NANO, train=examples, prompt=Prompt("short", "Help.", "{text}"), score_dev=lambda model, tokenizer: 0.5,
        seed=3, work=folder / "work", out=folder / "out", precision="fp32",
    )  # fmt: skip


def at_the_bell(reward: TrajectoryReward, **limits: int) -> Tries:
    return Tries(spec_of(Bell, "Bell"), Limits(**limits), reward, TransformersEngine)


def test_tries_become_rollouts_with_their_mask_and_an_empty_one_a_token_that_nobody_sampled() -> None:
    nothing = Usage(input_tokens=0, output_tokens=0)
    record = Trajectory(id="a#0", example_id="a", messages=(), stop_reason="completed", usage=nothing)
    spoken = Dialogue("a", 0, (), [], ids=[1, 2, 3, 4, 5], prompt_tokens=2, mask=[1, 0, 1])
    silent = Dialogue("b", 0, (), [])
    rollouts = as_rollouts([Rolled(record, spoken), Rolled(record, silent)], end=9)
    assert rollouts["prompt_ids"] == [[1, 2], [9]]
    assert rollouts["completion_ids"] == [[3, 4, 5], [9]]
    assert rollouts["env_mask"] == [[1, 0, 1], [0]]


def test_tasks_whose_tries_differ_in_reward_are_chosen_before_others(tmp_path: Path) -> None:
    from components.models import open_model

    task = ringing(tmp_path, 4)
    trials: list[tuple[str, int]] = []

    def reward(asked: list[Example], tries: list[Trajectory]) -> list[float]:
        trials.extend((attempt.example_id, attempt.trial) for attempt in tries)
        return [float(example.id == "e2" and attempt.trial == 1) for example, attempt in zip(asked, tries, strict=True)]

    params = GrpoParams(
        steps=3, learning_rate=1e-4, prompts_per_step=2, generations=2, device_batch_rollouts=4, max_new_tokens=16,
        probe_prompts=4, probe_generations=2, easy_share=0.0, evaluations=1,
    )  # fmt: skip
    tries = at_the_bell(reward, turns=1, turn_tokens=8)
    compute, opened = Compute.choose("fp32"), open_model(NANO)
    task.work.mkdir()
    mix = selected(task, params, opened, TryProbe(tries, compute))
    assert (mix.varied, mix.easy) == ((2,), ())
    assert trials == [(f"e{at}", trial) for at in range(4) for trial in range(2)]
    unprobed = selected(task, params.model_copy(update={"probe_prompts": 0}), opened, TryProbe(tries, compute))
    assert unprobed.varied == (1, 2, 0, 3)  # random.Random(3).sample(range(4), 4)
    assert len(trials) == 8


def test_a_model_is_trained_on_its_own_tries_with_one_reward_each(tmp_path: Path) -> None:
    task = ringing(tmp_path, 2)
    seen: list[tuple[list[str], list[Trajectory]]] = []

    def reward(asked: list[Example], tries: list[Trajectory]) -> list[float]:
        seen.append(([example.id for example in asked], tries))
        return [float(at % 2) for at in range(len(tries))]

    params = GrpoParams(
        steps=1, learning_rate=1e-4, prompts_per_step=2, generations=2, device_batch_rollouts=4, max_new_tokens=16,
        probe_prompts=0, evaluations=1, temperature=3.0,
    )  # fmt: skip
    tries = at_the_bell(reward, turns=2, turn_tokens=16)
    trained = train_on_tries(task, params, tries, NullTracker())
    (asked, made), *_ = seen
    assert sorted(asked) == ["e0", "e0", "e1", "e1"]
    assert [attempt.example_id for attempt in made] == asked and {attempt.trial for attempt in made} == {0, 1}
    assert trained.curves["turns"][0][1] >= 1 and trained.curves["reward"][0][1] == 0.5
    assert (tmp_path / "out" / "model.safetensors").is_file()
    first, second = (attempt for attempt in made if attempt.example_id == "e0")
    assert first.messages != second.messages  # trials draw apart


def test_tries_are_not_drawn_by_vllm_and_it_is_not_started_for_them(tmp_path: Path) -> None:
    params = GrpoParams(
        steps=1, learning_rate=1e-4, prompts_per_step=2, generations=2, device_batch_rollouts=4, max_new_tokens=16,
        probe_prompts=0, evaluations=1, rollouts="vllm",
    )  # fmt: skip
    tries = at_the_bell(lambda asked, made: [0.0 for _ in made])
    with pytest.raises(ConfigError, match=r"grpo\.rollouts: expected transformers for an agent's tries, found vllm"):
        train_on_tries(ringing(tmp_path, 2), params, tries, NullTracker())


def test_processes_that_would_share_a_task_s_tries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = GrpoParams(
        steps=1, learning_rate=1e-4, prompts_per_step=2, generations=8, device_batch_rollouts=4, max_new_tokens=16,
        probe_prompts=0,
    )  # fmt: skip
    monkeypatch.setattr(Compute, "state", lambda self: SimpleNamespace(num_processes=4))
    tries = at_the_bell(lambda asked, made: [0.0 for _ in made])
    with pytest.raises(ConfigError, match=r"grpo\.prompts_per_step: expected a multiple of the 4 processes"):
        train_on_tries(ringing(tmp_path, 2), params, tries, NullTracker())


def trajectory(**changes: Any) -> Trajectory:
    call = ToolCall(id="c", name="ring", arguments='{"times": 2}')
    said = (
        Message(role="system", content="Help."),
        Message(role="user", content="Ring twice."),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="ding", tool_call_id="c"),
        Message(role="assistant", content="Rung."),
        Message(role="user", content="Thanks."),
    )
    record: dict[str, Any] = {"messages": said, "tools": spec_of(Bell, "Bell").tools, **changes}
    nothing = Usage(input_tokens=0, output_tokens=0)
    return Trajectory(id="e#0", example_id="e", stop_reason="completed", usage=nothing, **record)


def test_only_what_the_assistant_said_and_called_is_trained_on() -> None:
    tokenizer = AutoTokenizer.from_pretrained(NANO)
    (encoded,) = encode_trajectories(tokenizer, [trajectory()], 2048)
    kept = [token for token in encoded.labels if token != IGNORED]
    call = '<tool_call>{"name": "ring", "arguments": {"times": 2}}</tool_call>'
    assert tokenizer.decode(kept) == f"{call}<|im_end|>Rung.<|im_end|>"
    messages = [message.openai for message in trajectory().messages[:5]]
    whole = tokenizer.apply_chat_template(messages, tools=[tool.openai for tool in trajectory().tools], tokenize=False)
    assert tokenizer.decode(encoded.input_ids) == whole.removesuffix("\n")


def test_tries_that_cannot_be_trained_on_are_refused_by_name() -> None:
    tokenizer = AutoTokenizer.from_pretrained(NANO)
    for odd, said in (
        (trajectory(tools=()), r"no schema of the tool 'ring' \(e#0\)"),
        (trajectory(messages=trajectory().messages[:2]), r"no turn of the assistant.*e#0"),
    ):
        with pytest.raises(DataError, match=said):
            encode_trajectories(tokenizer, [odd], 2048)
    with pytest.raises(DataError, match=r"at most 32 tokens.*e#0"):
        encode_trajectories(tokenizer, [trajectory()], 32)
    with pytest.raises(DataError, match="at least one"):
        encode_trajectories(tokenizer, [], 32)
