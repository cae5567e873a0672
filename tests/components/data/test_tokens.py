"""Lengths in tokens: that they are what a model is given, and that the stage `data` refuses what is longer."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.prepare import Quarantined, Taken, prepare
from components.data.tokens import ConversationTokens, TokenLimit, TryTokens
from components.engines.chat import Chat
from components.errors import ConfigError, EngineError
from components.params import ApiParams, GateParams, Profile, load
from components.prompts import Prompt
from components.records import Example, read_jsonl
from components.stages.data import data, token_limits
from components.stages.run import Run
from components.tracking import NullTracker
from tests.components.data.conftest import MakeWorkload, Rows, WriteCsv

ROOT = Path(__file__).resolve().parents[3]
SPECIALS = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{%- for m in messages %}{%- if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}"
)
SHORT = Prompt("short", "Count.", "{text}")
LONG = Prompt("long", "Count, and then count again.", "the text: {text}")
# Of a system message: two special tokens, "system", "user", "assistant" with their line ends and two behind messages.
FRAME = len("<>system\n\n" + "<>user\n\n" + "<assistant\n")


def build(kind: str) -> Any:
    """Tokenizers of three kinds, two special tokens each.

    "bytes" has one token a byte, "merges" joins bytes, "words" marks the beginning of words as sentencepiece does.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = kind == "words"
    core = Tokenizer(models.BPE(unk_token="?"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first") if words else pre_tokenizers.ByteLevel(False)
    core.decoder = decoders.Metaspace() if words else decoders.ByteLevel()
    letters = [] if words else sorted(pre_tokenizers.ByteLevel.alphabet())
    size = 258 if kind == "bytes" else 330
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*SPECIALS, *"?"[:words]], initial_alphabet=letters, show_progress=False
    )
    # "user" at the beginning of a line only, so that sentencepiece's mark before it would cost a token.
    core.train_from_iterator([LONG.system, "system\nuser\nassistant\n", "count boxes \n again"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", chat_template=TEMPLATE)


build_once = cache(build)


def example(text: str, answer: str = "12345") -> Example:
    return Example(id=text, input={"text": text}, demonstration=answer, reference="", group="")


def test_prompt_answer_and_end_token_are_counted() -> None:
    tokens = ConversationTokens(build("bytes"))
    # One token a letter: the frame, "Count.", the text, the answer and one end token.
    assert tokens.longest([SHORT], [example("box"), example("boxes", "")]) == [
        FRAME + len("Count.") + len("box") + len("12345") + 1,
        FRAME + len("Count.") + len("boxes") + 0 + 1,
    ]


def test_the_prompt_that_makes_an_example_longest_counts() -> None:
    tokens = ConversationTokens(build("bytes"))
    twice = Prompt("twice", "", "{text}{text}")
    frame = FRAME - len("<>system\n\n")
    assert tokens.longest([SHORT, twice], [example("a", ""), example("b" * 50, "")]) == [
        FRAME + len("Count.") + 1 + 1,
        frame + 2 * 50 + 1,
    ]


@pytest.mark.parametrize("kind", ["bytes", "merges", "words"])
@given(texts=st.lists(st.text(alphabet="abcusen<|_im> \n") | st.sampled_from(["", "<|im_end|>", " again"]), min_size=1))
def test_tokens_are_those_of_the_whole_conversation(kind: str, texts: list[str]) -> None:
    tokenizer, examples = build_once(kind), [example(text) for text in texts]
    prompts = Chat(tokenizer).prompts([LONG.messages(row) for row in examples])
    answer = len(tokenizer("12345", add_special_tokens=False)["input_ids"])
    expected = [len(ids) + answer + 1 for ids in prompts]
    assert ConversationTokens(tokenizer).longest([LONG], examples) == expected


def test_a_tokenizer_is_given_blocks_of_texts_and_a_prompt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.data.tokens.AT_ONCE", 4)
    tokens, blocks = ConversationTokens(build("bytes")), list[int]()
    encoded = tokens._chat.encoded
    monkeypatch.setattr(tokens._chat, "encoded", lambda texts: blocks.append(len(texts)) or encoded(texts))
    examples = tuple(example("b" * n) for n in range(1, 10))
    shorter = tokens.longest([SHORT], examples)
    # Of 10 texts, the prompt's opening among them, and of the answer, which all share.
    assert blocks == [4, 4, 2, 1]
    assert shorter == [FRAME + len("Count.") + n + len("12345") + 1 for n in range(1, 10)]
    assert tokens.longest([SHORT, LONG], examples) == ConversationTokens(build("bytes")).longest([LONG], examples)
    assert blocks == [4, 4, 2, 1, 4, 4, 2]  # of LONG alone; the answers are known
    assert tokens.longest([SHORT], examples[:2]) == shorter[:2]


@pytest.mark.parametrize("kind", [ConversationTokens, TryTokens])
def test_a_tokenizer_without_a_chat_template_is_refused(kind: Callable[[Any], object]) -> None:
    tokenizer = build("bytes")
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="expected a chat template in the tokenizer, found none"):
        kind(tokenizer)


def test_a_prompt_that_the_chat_template_refuses_is_named() -> None:
    tokenizer = build("bytes")
    tokenizer.chat_template = "{{ raise_exception('no system messages here') }}"
    with pytest.raises(ConfigError, match=r"chat template takes, found: no system messages here \(prompt `short`\)"):
        ConversationTokens(tokenizer).longest([SHORT], [example("box")])


def characters(examples: Sequence[Example]) -> list[int]:
    return [100 * len(row.input["text"]) for row in examples]


def test_rows_beyond_a_limit_are_quarantined_with_number_and_limit(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows, out = [*good_rows, ["far too long " * 10, "refund", "1"]], tmp_path / "out"
    limits = [TokenLimit("context", 6_000, characters), TokenLimit("training", 12_900, characters)]
    report = prepare(make_workload(), write_csv(rows), out, NullTracker(), Taken(limits))
    # White space around texts goes: 10 times 13 letters, less the last.
    assert [(row.example.id, row.reasons) for row in read_jsonl(out / "quarantine.jsonl", Quarantined)] == [
        ("all-61", ("prompt and answer have 12,900 tokens, more than 6,000 (context)",))
    ]
    assert report.quarantined == {"prompt and answer are too long (context)": 1}
    page = (out / "data_docs" / "index.html").read_text(encoding="utf-8")
    assert "tokens.context" in page
    assert "tokens.training" in page


@pytest.fixture
def make_run(make_workload: MakeWorkload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run in a project of its own, its model a tokenizer of one token a byte, a config and one weight."""

    def make(config: dict[str, Any], max_tokens: int = 4_000, prompting: ApiParams | None = None) -> Run:
        import numpy as np
        from safetensors.numpy import save_file

        model, prompts = tmp_path / "model", tmp_path / "params" / "prompts" / "shop"
        prompts.mkdir(parents=True)
        for name, prompt in (("short", SHORT), ("loose", LONG)):
            (prompts / f"{name}.md").write_text(f"{prompt.system}\n---user---\n{prompt.user}\n", encoding="utf-8")
        build("bytes").save_pretrained(model)
        (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({"weight": np.zeros(1)}, model / "model.safetensors")
        nano = load(ROOT / "params" / "profiles" / "nano.yaml", Profile)
        changes = {
            "model": nano.model.model_copy(update={"path": str(model)}),
            "max_tokens": max_tokens,
            "prompting": prompting,
        }
        monkeypatch.chdir(tmp_path)
        return Run("shop-nano", make_workload(), nano.model_copy(update=changes), 1, GateParams())

    return make


def test_the_stage_refuses_what_training_or_the_context_cannot_hold(
    make_run: Any, write_csv: WriteCsv, good_rows: Rows
) -> None:
    answer = len('{"intent": "refund", "amount": null}') + 1
    short, long = FRAME + len("Count.") + answer, FRAME + len("Count, and then count again.the text: ") + answer
    run = make_run({"model_type": "llama", "max_position_embeddings": long + 110}, max_tokens=short + 100)
    folder = write_csv(
        [*good_rows, *([letter * n, "refund", ""] for letter, n in (("a", 100), ("b", 101), ("c", 111)))]
    )
    (folder / "shop").mkdir()
    (folder / "rows.csv").rename(folder / "shop" / "rows.csv")
    data(run, NullTracker())
    refused = read_jsonl(run.folder / "data" / "quarantine.jsonl", Quarantined)
    trained, context = f"more than {short + 100} (max_tokens)", f"more than {long + 110} (max_position_embeddings)"
    assert {row.example.id: row.reasons for row in refused} == {
        "all-62": (f"prompt and answer have {short + 101} tokens, {trained}",),
        "all-63": (
            f"prompt and answer have {short + 111} tokens, {trained}",
            f"prompt and answer have {long + 111} tokens, {context}",
        ),
    }


def test_prompts_that_go_to_an_api_need_not_fit_the_model(make_run: Any) -> None:
    limits = token_limits(make_run({"model_type": "llama", "max_position_embeddings": 77}, prompting=ApiParams()))
    assert [(limit.name, limit.most) for limit in limits] == [
        ("max_tokens", 4_000),
        ("max_position_embeddings", 77),
    ]
    assert limits[1].count([example("box")]) == limits[0].count([example("box")])


def test_a_model_without_a_context_has_no_such_limit(make_run: Any) -> None:
    assert [limit.name for limit in token_limits(make_run({"model_type": "mamba"}))] == ["max_tokens"]


def test_a_model_that_cannot_be_read_is_refused(make_run: Any) -> None:
    with pytest.raises(EngineError, match=r"expected a tokenizer and a config that transformers loads, .*/model\)"):
        token_limits(make_run({"model_type": "no such"}))
