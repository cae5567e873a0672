import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.base import prompts, skills, tools
from components.base.curriculum import SKILLS, Curriculum
from components.base.lexicon import Lexicon, is_common, is_held_out
from components.base.skills import Lesson, Task
from components.base.values import COPIED, NORMALISED, Amount, Clock, Date, Measure, Phone
from components.base.worlds import Choice, Difficulty, Flag, Slot

SEEDS = st.integers(min_value=0, max_value=2**32)


def lesson(skill: str, seed: int, *, held_out: bool = False, level: float = 1.0) -> Lesson:
    rng = random.Random(seed)
    style = rng.choice(tools.STYLES if skill == "tools" else prompts.STYLES)
    return SKILLS[skill](Task(Lexicon(rng, held_out=held_out), Difficulty(level), style))


@pytest.mark.parametrize("skill", SKILLS)
def test_a_lesson_depends_on_its_seed_alone(skill: str) -> None:
    assert lesson(skill, 7) == lesson(skill, 7)
    assert lesson(skill, 7) != lesson(skill, 8)


@given(seed=SEEDS, skill=st.sampled_from(["extraction", "normalisation", "role", "classification", "mixed"]))
def test_a_full_schema_prompt_names_every_key_and_its_answer_has_exactly_these(seed: int, skill: str) -> None:
    made = lesson(skill, seed)
    assert made.world is not None
    prompt, answer = made.turns[0].content, json.loads(made.turns[-1].content)
    assert list(answer) == [field.key for field in made.world.fields]
    assert all(field.key in prompt for field in made.world.fields)


@given(seed=SEEDS)
def test_a_chosen_label_is_in_the_prompt_with_its_meaning_and_one_of_its_words_in_the_message(seed: int) -> None:
    made = lesson("classification", seed)
    assert made.world is not None
    choice = made.world.fields[0]
    assert isinstance(choice, Choice)
    label = made.answers[0][choice.key]
    said = dict(choice.meanings)[str(label)]
    message = made.turns[-2].content
    if choice.literal:
        assert str(label).replace("_", " ") in message.replace("_", " ")
    else:
        assert dict(choice.options())[str(label)] in made.turns[0].content
        assert any(word in message for word in said)


@given(seed=SEEDS)
def test_words_that_decide_between_labels_belong_to_one_label_only(seed: int) -> None:
    made = lesson("classification", seed)
    assert made.world is not None
    choice = made.world.fields[0]
    assert isinstance(choice, Choice)
    words = [word for _, said in choice.meanings for word in said]
    assert len(words) == len(set(words))


@given(seed=SEEDS)
def test_copied_values_stand_in_the_message_as_in_the_answer(seed: int) -> None:
    made = lesson("role", seed)
    assert made.world is not None
    for field in made.world.fields:
        value = made.answers[0][field.key]
        if isinstance(field, Slot) and value is not None and not isinstance(field.kind, Amount):
            assert str(value) in made.turns[-2].content


@given(seed=SEEDS, skill=st.sampled_from(sorted(SKILLS)))
def test_held_out_lessons_use_only_keys_labels_and_copied_values_of_the_held_out_side(seed: int, skill: str) -> None:
    made = lesson(skill, seed, held_out=True)
    if made.world is None:
        return
    for field in made.world.fields:
        assert is_common(field.key) or is_held_out(field.key)
        if isinstance(field, Choice):
            assert all(is_held_out(label) for label, _ in field.meanings)
    for answer in made.answers:
        for field in made.world.fields:
            value = answer[field.key]
            if (
                isinstance(field, Slot)
                and isinstance(value, str)
                and field.kind.name in ("id", "code", "name", "phrase")
            ):
                assert is_held_out(value)


@given(seed=SEEDS, skill=st.sampled_from(sorted(SKILLS)))
def test_training_lessons_use_none_of_the_held_out_side(seed: int, skill: str) -> None:
    made = lesson(skill, seed)
    if made.world is None:
        return
    for field in made.world.fields:
        assert is_common(field.key) or not is_held_out(field.key)
        if isinstance(field, Choice):
            assert not any(is_held_out(label) for label, _ in field.meanings)


@given(seed=SEEDS, kind=st.sampled_from(sorted(set(COPIED + NORMALISED), key=lambda kind: kind.__name__)))
def test_every_kind_of_value_survives_json(seed: int, kind: type) -> None:
    rng = random.Random(seed)
    value = kind.draw(rng).sample(Lexicon(rng))
    assert json.loads(skills.to_json(value.canonical)) == value.canonical
    assert value.surface


def test_notations_are_brought_to_one_form() -> None:
    rng = random.Random(1)
    assert {"$1249.50", "1,249.50 EUR"} <= {Amount.write(1249.5, random.Random(seed)) for seed in range(300)}
    for seed in range(300):
        lexicon = Lexicon(random.Random(seed))
        amount, phone = Amount().sample(lexicon), Phone().sample(lexicon)
        digits = "".join(filter(str.isdigit, amount.surface))
        assert digits.startswith(f"{float(str(amount.canonical)):.2f}".replace(".", "").removesuffix("00"))
        assert "".join(c for c in phone.surface if c.isdigit() or c == "+") == phone.canonical
        clock = Clock().sample(lexicon)
        assert clock.surface.rstrip("apm ").endswith(str(clock.canonical)[3:])
        date = Date().sample(lexicon)
        assert str(date.canonical)[:4] in date.surface
    measure = Measure("g", (("kg", 1000),)).sample(Lexicon(rng))
    assert measure.canonical == round(float(measure.surface.removesuffix("kg")) * 1000, 3)


@given(seed=SEEDS)
def test_a_tool_call_names_an_offered_tool_and_arguments_from_the_message(seed: int) -> None:
    made = lesson("tools", seed)
    call = next(turn.content for turn in made.turns if turn.role == "assistant")
    assert call.startswith("<tool_call>") and call.endswith("</tool_call>")
    parsed = json.loads(call.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    assert parsed["name"] in made.turns[0].content
    assert all(key in made.turns[0].content for key in parsed["arguments"])


def test_a_flag_is_true_exactly_when_it_is_said_and_not_refused() -> None:
    flag = Flag("wants_zorbel", "zorbel", ("zorbel",))
    for seed in range(200):
        mention = flag.mention(Lexicon(random.Random(seed)), Difficulty(1.0))
        refused = any(text.lower().startswith(("no ", "i do not", "without", "we need no")) for text in mention.clauses)
        assert mention.answer is (bool(mention.clauses) and not refused)


def test_lessons_are_easy_at_the_start() -> None:
    curriculum = Curriculum({"mixed": 1.0}, 0.4, 1)
    rng = random.Random(3)
    early = [curriculum.lesson(rng, 0.0) for _ in range(50)]
    late = [curriculum.lesson(rng, 1.0) for _ in range(50)]
    size = [sum(len(turn.content) for made in group for turn in made.turns) for group in (early, late)]
    assert size[0] < size[1] / 2


def test_loose_answers_are_often_no_json_with_the_worlds_keys() -> None:
    fitting = 0
    for seed in range(200):
        made = lesson("loose", seed)
        assert made.world is not None
        answer = made.turns[-1].content
        fitting += answer.startswith("{") and list(json.loads(answer)) == [field.key for field in made.world.fields]
    assert fitting < 40


def test_rough_lessons_are_untidy_and_the_answers_stay_within_the_schema() -> None:
    curriculum, rng = Curriculum({"vague": 1.0, "mixed": 1.0}, 0.01, 2, rough_share=1.0), random.Random(7)
    lessons = [curriculum.lesson(rng, 1.0) for _ in range(200)]
    text = "\n".join(turn.content for lesson in lessons for turn in lesson.turns)
    assert "Subject: " in text
    assert re.search(r"^> ", text, re.MULTILINE)
    for lesson in lessons:
        assert lesson.world is not None
        for answer in lesson.answers:
            for field in lesson.world.fields:
                assert answer[field.key] in field.schema().get("enum", [answer[field.key]])  # pyright: ignore


def test_tidy_lessons_draw_no_numbers_for_roughness() -> None:
    weights = {"mixed": 1.0}
    tidy, never = Curriculum(weights, 0.01, 2), Curriculum(weights, 0.01, 2, rough_share=0.0)
    first, second = random.Random(3), random.Random(3)
    assert [tidy.lesson(first, 1.0) for _ in range(20)] == [never.lesson(second, 1.0) for _ in range(20)]
