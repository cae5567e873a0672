"""The tokenizer, byte-level BPE whose splits make copying easy, and the chat template.

Each digit, and each capital of an identifier, is a token of its own, and a space is never merged with a word, so that
a word is the same token in running text, in a list and in quotes. With the usual merged spaces, a model of this size
had not learned to find a word of the message in the prompt after 18 M tokens.
"""

from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, START, END, CALL, CALL_END = "<|pad|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"
SPECIAL = (PAD, START, END)
TOOL_MARKS = (CALL, CALL_END)

CUTS = r"\p{Lu}?\p{Ll}+|\p{L}|\p{N}|[^\s\p{L}\p{N}]+ ?|\n+|\s"

CHAT_TEMPLATE = """\
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n' }}{% endif %}
{{- 'You can call these tools:' }}
{%- for tool in tools %}
{%- set offered = tool.function if tool.function is defined else tool %}
{%- set schema = offered.parameters or {} %}
{{- '\\n- ' + offered.name + '(' }}
{%- for name, argument in (schema.properties or {}).items() %}
{{- (', ' if not loop.first else '') + name + ('' if name in (schema.required or []) else '?') + ': ' }}
{%- if argument.enum %}{{- argument.enum | join('|') }}
{%- elif argument.type is string and argument.type not in ('object', 'array') %}{{- argument.type }}
{%- else %}{{- argument | tojson }}
{%- endif %}
{%- endfor %}
{{- '): ' + (offered.description or '') }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- generation %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{%- set called = call.function if call.function is defined else call %}
{{- '<tool_call>{"name": "' + called.name + '", "arguments": ' }}
{{- called.arguments if called.arguments is string else called.arguments | tojson }}{{- '}</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- elif not (tools and loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""


def train(texts: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on generated texts: byte alphabet, special tokens, and merges up to `vocabulary`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([  # pyright: ignore[reportAttributeAccessIssue]
        pre_tokenizers.Split(Regex(CUTS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(TOOL_MARKS),
        special_tokens=[*SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # A token each, but not special: decoding without special tokens must keep them.
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in TOOL_MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[START],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=CHAT_TEMPLATE,
    )
