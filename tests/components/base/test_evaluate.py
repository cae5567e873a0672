from components.base.evaluate import Plan, draw


def test_a_loose_question_has_the_message_of_its_full_schema_twin_and_nothing_of_the_schema() -> None:
    full, loose = draw(Plan("extraction", "bullets"), 60, 0), draw(Plan("loose prompt", "loose"), 60, 0)
    assert any(len(question.turns) == 1 for question in full)  # the prompt stands in the user's turn
    for with_schema, other in zip(full, loose, strict=True):
        message = other.turns[-1].content
        assert message and with_schema.turns[-1].content.endswith(message)
        assert "\n\n" not in message
        assert with_schema.answer == other.answer
