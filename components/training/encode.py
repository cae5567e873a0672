"""Examples to token ids: the prompt by the model's chat template, then the answer and the tokenizer's end token.

Decides where the trained completion begins and ends: directly behind the template's generation prompt, which is where
every engine starts to generate, and with the end-of-sequence token that stops it. How a template renders finished
assistant turns plays no part. Nothing is cut: what is too long is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.engines.chat import Chat
from components.engines.turns import Turns
from components.errors import DataError, TrainingError
from components.prompts import Prompt
from components.records import Example, Message, Trajectory

IGNORED = -100  # the label that torch's cross-entropy leaves out


@dataclass(frozen=True)
class Encoded:
    """One example as token ids; the completion ends with the tokenizer's end token."""

    id: str
    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    @property
    def input_ids(self) -> list[int]:
        """Prompt and completion."""
        return [*self.prompt, *self.completion]

    @property
    def labels(self) -> list[int]:
        """The completion's ids at their places, `IGNORED` over the prompt."""
        return [*([IGNORED] * len(self.prompt)), *self.completion]


@dataclass(frozen=True)
class EncodedTry:
    """A trajectory as token ids, built as a rollout's are: turn behind turn; `sampled` marks the assistant's tokens."""

    id: str
    ids: tuple[int, ...]
    sampled: tuple[bool, ...]

    @property
    def input_ids(self) -> list[int]:
        """All tokens."""
        return list(self.ids)

    @property
    def labels(self) -> list[int]:
        """The assistant's tokens at their places, `IGNORED` over everything else."""
        return [token if own else IGNORED for token, own in zip(self.ids, self.sampled, strict=True)]


def encode_trajectories(tokenizer: Any, trajectories: Sequence[Trajectory], max_tokens: int) -> list[EncodedTry]:
    """Token ids of each trajectory, in order: what the assistant said and called is trained on, nothing else.

    Raises:
        DataError: There is none, one has no turn of the assistant or calls a tool without its schema, or more than
            `max_tokens` tokens.
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
    encoded = [_encode_try(turns, one) for one in trajectories]
    long = [one for one in encoded if len(one.ids) > max_tokens]
    if long:
        raise DataError(
            f"expected trajectories of at most {max_tokens:,} tokens (max_tokens), found {len(long[0].ids):,} in "
            f"{long[0].id}; {len(long):,} of {len(encoded):,} trajectories are too long"
        )
    return encoded


def _encode_try(turns: Turns, trajectory: Trajectory) -> EncodedTry:
    messages = trajectory.messages
    said = [at for at, message in enumerate(messages) if message.role == "assistant"]
    if not said or said[0] == 0:
        raise DataError(f"expected a trajectory in which the assistant answers, found none ({trajectory.id})")
    if unknown := {call.name for call in trajectory.calls} - {tool.name for tool in trajectory.tools}:
        raise DataError(f"expected the schema of each called tool, found none of {min(unknown)!r} ({trajectory.id})")
    ids, sampled = turns.opening(messages[: said[0]], trajectory.tools), list[bool]()
    sampled += [False] * len(ids)
    for at, following in zip(said, [*said[1:], None], strict=True):
        reply = turns.reply(messages[at])
        between = turns.between(messages[at + 1 : following]) if following is not None else []
        ids += [*reply, *between]
        sampled += [True] * len(reply) + [False] * len(between)
    return EncodedTry(trajectory.id, tuple(ids), tuple(sampled))


def encode_prompts(tokenizer: Any, conversations: Sequence[list[Message]]) -> list[list[int]]:
    """Token ids of each conversation up to where the assistant's answer begins.

    Raises:
        TrainingError: The tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise TrainingError(f"expected a chat template in the tokenizer, found none ({tokenizer.name_or_path})")
    return Chat(tokenizer).prompts(conversations)


def encode_examples(tokenizer: Any, prompt: Prompt, examples: Sequence[Example], max_tokens: int) -> list[Encoded]:
    """Token ids of each example's prompt and demonstration, in order.

    Raises:
        DataError: There is no example, or one has more than `max_tokens` tokens.
        TrainingError: The tokenizer has no chat template or no end token.
    """
    if not examples:
        raise DataError("expected at least one example to train on, found none")
    answers = encode_answers(tokenizer, [example.demonstration for example in examples])
    prompts = encode_prompts(tokenizer, [prompt.messages(example) for example in examples])
    encoded = [
        Encoded(example.id, tuple(asked), tuple(answer))
        for example, asked, answer in zip(examples, prompts, answers, strict=True)
    ]
    _refuse_too_long(encoded, max_tokens)
    return encoded


def encode_answers(tokenizer: Any, answers: Sequence[str]) -> list[list[int]]:
    """Token ids of each answer, with the end token that stops it.

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
    """Name the first example that is longer than the limit, and count them."""
    lengths = {one.id: len(one.prompt) + len(one.completion) for one in encoded}
    long = [name for name, length in lengths.items() if length > max_tokens]
    if long:
        raise DataError(
            f"expected examples of at most {max_tokens:,} tokens (max_tokens), found {lengths[long[0]]:,} in "
            f"example {long[0]}; {len(long):,} of {len(encoded):,} examples are too long"
        )
