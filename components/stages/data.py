"""The stage `data`: a source, validated and split."""

from collections.abc import Sequence
from functools import partial

from components.data.prepare import Taken, prepare
from components.data.tokens import ConversationTokens, TokenLimit, TryTokens
from components.errors import EngineError
from components.evaluation.sample import places
from components.models import context_of
from components.params import SplitName
from components.records import Example
from components.stages.run import Run
from components.tracking import Tracker


def data(run: Run, tracker: Tracker) -> None:
    """Source → train, dev, test and sealed examples, the quarantine, a report and Data Docs."""
    draw = partial(first_look, run) if run.first_look else None
    prepare(run.workload, run.data_source, run.folder / "data", tracker, Taken(token_limits(run), draw))


def first_look(run: Run, split: SplitName, examples: Sequence[Example]) -> Sequence[int]:
    """The positions in a split that a first look takes; none in the sealed split, which only a decision may read."""
    assert run.first_look is not None
    return places(examples, run.first_look.model_dump().get(split, 0), run.seed)


def token_limits(run: Run) -> list[TokenLimit]:
    """The limits on an example's length: max_tokens with the trained prompt, the model's context with every prompt.

    They apply to all splits, so that measured examples are like those trained on. Prompts that go to an API need not
    fit the model, and a model whose config names no context has no such limit.

    Raises:
        ConfigError: The model's tokenizer has no chat template.
        EngineError: The profile's model is missing, or its tokenizer or config is unreadable.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = run.base_model
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        config = AutoConfig.from_pretrained(folder).get_text_config(decoder=True)
    except Exception as error:  # transformers raises a dozen kinds, all because of the folder
        problem = f"{type(error).__name__}: {error}"[:200]
        raise EngineError(
            f"expected a tokenizer and a config that transformers loads, found {problem} ({folder})"
        ) from error
    tokens = ConversationTokens(tokenizer) if run.workload.agent is None else TryTokens(tokenizer)
    trained, most = run.trained_prompt, run.workload.max_tokens(run.profile.max_tokens)
    tried = () if run.profile.prompting else (run.prompt(name) for name in run.workload.prompts)
    limits = [TokenLimit("max_tokens", most, partial(tokens.longest, [trained]))]
    if (context := context_of(config)) is not None:
        limits.append(TokenLimit("max_position_embeddings", context, partial(tokens.longest, [*tried, trained])))
    return limits
