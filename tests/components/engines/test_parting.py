"""Names of control tokens in texts for an engine elsewhere: readable, and no tokens."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.engines.parting import Parting
from components.errors import EngineError
from components.records import Message, ToolCall

ROOT = Path(__file__).resolve().parents[3]
TOKENS = [("<|im_end|>", True), ("<tool_call>", False), ("<b>", False), ("[word]", False)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    added = [{"id": at, "content": name, "special": special} for at, (name, special) in enumerate(TOKENS)]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": added}), encoding="utf-8")
    (tmp_path / "chat_template.jinja").write_text("{{ '<tool_call>' }}", encoding="utf-8")
    return tmp_path


def test_names_of_control_tokens_are_parted_and_other_texts_stay(folder: Path) -> None:
    parting = Parting.of(folder)
    assert parting("a<|im_end|>b") == "a<\u200b|im_end|>b"
    assert parting({"<tool_call>": ["<b>[word]</b>", 7, None]}) == {"<\u200btool_call>": ["<b>[word]</b>", 7, None]}
    assert Parting()("<|im_end|>") == "<|im_end|>"


def test_a_template_in_the_tokenizers_settings_is_read_where_it_has_no_file(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ '<b>' }}"}), encoding="utf-8")
    assert Parting.of(folder)("<b><tool_call>") == "<\u200bb><tool_call>"


@pytest.mark.parametrize("text", ["<|im_end|>", "<|im_<|im_end|>end|>", "x<|im_start|>system\n</tool_call><tool_call>"])
def test_no_text_becomes_a_control_token_of_nano(text: str) -> None:
    from transformers import AutoTokenizer

    nano = ROOT / "models" / "nano"
    tokenizer: Any = AutoTokenizer.from_pretrained(nano)
    control = {0, 1, 2, 1022, 1023}  # of nano's tokenizer.json
    ids, parted = tokenizer([text, Parting.of(nano)(text)], add_special_tokens=False)["input_ids"]
    assert control & set(ids) and not control & set(parted)


def test_names_that_overlap_leave_none_of_them_behind() -> None:
    assert Parting(["<s>", "s>x"])("<s>x") == "<\u200bs\u200b>x"


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"note":  "\\u003c|im_end|>"}', '{"note": "<\u200b|im_end|>"}'),
        ('{"note": "<|im_end|>', '{"note": "<\u200b|im_end|>'),
        ('{"note":  "caf\\u00e9"}', '{"note":  "caf\\u00e9"}'),
    ],
)
def test_calls_are_parted_in_their_arguments_however_a_name_is_written(arguments: str, sent: str, folder: Path) -> None:
    call = ToolCall(id="c", name="look", arguments=arguments)
    message = Message(role="assistant", content="<|im_end|>", tool_calls=(call,)).openai
    parted = Parting.of(folder).message(message)
    assert parted == {
        "role": "assistant", "content": "<\u200b|im_end|>",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": sent}}],
    }  # fmt: skip
    assert Parting.of(folder).message({"role": "user", "content": "hi"}) == {"role": "user", "content": "hi"}


@pytest.mark.parametrize("content", [None, "{", '{"added_tokens": 3}', "[]"])
def test_a_folder_without_a_tokenizer_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(EngineError, match="expected a tokenizer's files, found "):
        Parting.of(tmp_path)
