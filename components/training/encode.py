"""Examples as token ids: the prompt in the model's chat template, then the answer and the tokenizer's end token.

Decides where the trained completion begins and ends: right after the template's generation prompt, where every engine
starts to generate, and with the end-of-sequence token that stops it. How a template renders finished assistant turns
does not matter. Nothing is truncated: examples that are too long are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.engines.chat import Chat
from components.engines.turns import Turns
from components.errors import DataError, TrainingError
from components.prompts import Prompt
from components.records import Example, Message, Trajectory
from components.tasks import unfit

IGNORED = -100  # the label that torch's cross-entropy ignores


@dataclass(frozen=True)
class Encoded:
    """An example as token ids; the completion ends with the tokenizer's end token."""

    id: str
    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    @property
    def input_ids(self) -> list[int]:
        """Prompt and completion."""
        return [*self.prompt, *self.completion]

    @property
    def labels(self) -> list[int]:
        """`IGNORED` for the prompt, then the completion's ids."""
        return [*([IGNORED] * len(self.prompt)), *self.completion]


@dataclass(frozen=True)
class EncodedTry:
    """A trajectory as token ids, built turn by turn like a rollout's; `sampled` marks the assistant's tokens."""

    id: str
    ids: tuple[int, ...]
    sampled: tuple[bool, ...]

    @property
    def input_ids(self) -> list[int]:
        """All tokens."""
        return list(self.ids)

    @property
    def labels(self) -> list[int]:
        """The assistant's tokens, and `IGNORED` for all others."""
        return [token if own else IGNORED for token, own in zip(self.ids, self.sampled, strict=True)]


def encode_trajectories(tokenizer: Any, trajectories: Sequence[Trajectory], max_tokens: int) -> list[EncodedTry]:
    """Each trajectory's token ids, in order; the loss covers only what the assistant says and calls.

    Raises:
        DataError: There are no trajectories, or one has no assistant turn, calls a tool without a schema, or has more
        than `max_tokens` tokens.
        EngineError: The chat template cannot render it.
        TrainingError: The tokenizer has no end token.
    """
    if not trajectories:
        raise DataError("expected at least one trajectory to train on, found none")
    if tokenizer.eos_token_id is None:
        raise TrainingError(
            f"expected an end-of-sequence token in the tokenizer, found none ({tokenizer.name_or_path})"
        )
    turns = Turns(tokenizer, [tokenizer.eos_token_id])
    encoded = [_encode_try(turns, trajectory) for trajectory in trajectories]
    long = [trajectory for trajectory in encoded if len(trajectory.ids) > max_tokens]
    if long:
        raise DataError(
            f"expected trajectories of at most {max_tokens:,} tokens (max_tokens), found {len(long[0].ids):,} in "
            f"{long[0].id}; {len(long):,} of {len(encoded):,} trajectories are too long"
        )
    return encoded


def _encode_try(turns: Turns, trajectory: Trajectory) -> EncodedTry:
    if problem := unfit(trajectory):
        raise DataError(f"expected a trajectory that can be learnt from, found {problem} ({trajectory.id})")
    messages = trajectory.messages
    starts = [turn for turn, message in enumerate(messages) if message.role == "assistant"]
    ids, sampled = turns.opening(messages[: starts[0]], trajectory.tools), list[bool]()
    sampled += [False] * len(ids)
    for turn, following in zip(starts, [*starts[1:], None], strict=True):
        reply = turns.reply(messages[turn])
        between = turns.between(messages[turn + 1 : following]) if following is not None else []
        ids += [*reply, *between]
        sampled += [True] * len(reply) + [False] * len(between)
    return EncodedTry(trajectory.id, tuple(ids), tuple(sampled))


def encode_prompts(tokenizer: Any, conversations: Sequence[list[Message]]) -> list[list[int]]:
    """Each conversation's token ids up to the start of the assistant's answer.

    Raises:
        TrainingError: The tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise TrainingError(f"expected a chat template in the tokenizer, found none ({tokenizer.name_or_path})")
    return Chat(tokenizer).prompts(conversations)


def encode_examples(tokenizer: Any, prompt: Prompt, examples: Sequence[Example], max_tokens: int) -> list[Encoded]:
    """Each example's prompt and demonstration as token ids, in order.

    Raises:
        DataError: There are no examples, or one has more than `max_tokens` tokens.
        TrainingError: The tokenizer has no chat template or no end token.
    """
    if not examples:
        raise DataError("expected at least one example to train on, found none")
    answers = encode_answers(tokenizer, [example.demonstration for example in examples])
    prompts = encode_prompts(tokenizer, [prompt.messages(example) for example in examples])
    encoded = [
        Encoded(example.id, tuple(prompt_ids), tuple(answer))
        for example, prompt_ids, answer in zip(examples, prompts, answers, strict=True)
    ]
    _refuse_too_long(encoded, max_tokens)
    return encoded


def encode_answers(tokenizer: Any, answers: Sequence[str]) -> list[list[int]]:
    """Each answer's token ids, with the end token.

    Raises:
        TrainingError: The tokenizer has no end token.
    """
    if tokenizer.eos_token_id is None:
        raise TrainingError(
            f"expected an end-of-sequence token in the tokenizer, found none ({tokenizer.name_or_path})"
        )
    ids = Chat(tokenizer).texts(answers)
    return [[*answer, tokenizer.eos_token_id] for answer in ids]


def _refuse_too_long(encoded: list[Encoded], max_tokens: int) -> None:
    """Name the first example that is too long, and count them."""
    lengths = {example.id: len(example.prompt) + len(example.completion) for example in encoded}
    long = [name for name, length in lengths.items() if length > max_tokens]
    if long:
        raise DataError(
            f"expected examples of at most {max_tokens:,} tokens (max_tokens), found {lengths[long[0]]:,} in "
            f"example {long[0]}; {len(long):,} of {len(encoded):,} examples are too long"
        )
