"""Teachers: how they are opened and paid, whether they may teach, and what is learnt from them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from components.economics import Prices
from components.engines import ChatRequest, Sampling
from components.errors import ConfigError, EngineError, TrainingError
from components.evaluation import classical
from components.methods import Job, Made, method_of, teachers
from components.methods.teacher_answers import TeacherAnswersParams, accepted
from components.methods.teachers import Teacher, TeacherSession, require_better
from components.opening import Artifact
from components.params import ApiParams
from components.records import Completion, Message, write_jsonl
from components.shots import Shot, Shots, keep_shots
from components.tracking import NullTracker
from tests.components.methods.small import (
    OUTPUT,
    PROMPTS,
    address,
    example,
    job,
    profile,
    serving,
    settings,
    workload,
    wrong,
)

SOURCED = {"source": "by hand", "date": "2026-11-27"}
PRICES = Prices.model_validate({
    "characters_per_token": 4,
    "models": {"wise": {"provider": "x", "input_usd_per_million_tokens": 100, "output_usd_per_million_tokens": 1000,
                        **SOURCED}},
    "machines": {},
})  # fmt: skip


def right(body: dict[str, Any], asked: int) -> str:
    """The answer that the message names, as `example` writes them."""
    return example(int(body["messages"][-1]["content"][-3:])).reference


def api(url: str, **changes: Any) -> dict[str, Any]:
    known = {
        "kind": "openai",
        "base_url": url,
        "key_variable": None,
        "model": "wise",
        "prompt": "long",
        "max_retries": 0,
    }
    return {**known, **changes}


def asking(of: Job, teacher: dict[str, Any], **changes: Any) -> TeacherSession:
    return TeacherSession(of, TypeAdapter(Teacher).validate_python(teacher), **changes)


def by_classifier(folder: Path) -> Job:
    """A job whose teacher is a classifier that knows intents and urgency, and no orders."""
    train = [wrong(example(n), order=None) for n in range(40)]
    classical.fit(train, OUTPUT, ("text",)).save(folder / "wise")
    return job(folder, teacher=Artifact("classifier", folder / "wise"))


def test_a_teacher_behind_an_api_is_asked_with_its_own_prompt_and_paid_once(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        first = asking(of, api(address(server)))
        answers = first.answer(of.train)
        again = asking(of, api(address(server)))
        assert again.answer(of.train) == answers
        other = asking(replace(of, work=of.work.with_name("other")), api(address(server)))
        assert other.answer(of.train) == answers
    assert [answer.text for answer in answers] == [each.reference for each in of.train]
    assert [answer.example_id for answer in answers] == [each.id for each in of.train]
    assert {body["messages"][0]["content"] for body in server.seen} == {PROMPTS["long"]}
    assert len(server.seen) == 40
    # 40 answers of 100 tokens at 100 and 10 at 1,000 dollars a million
    assert (first.bill.asked, first.bill.usd) == (40, pytest.approx(0.8))
    # another attempt at the rung has paid them too, another rung has not
    assert (again.bill.asked, again.bill.remembered, again.bill.usd) == (40, 40, pytest.approx(0.8))
    assert again.bill.seconds == first.bill.seconds > 0
    assert (other.bill.asked, other.bill.remembered, other.bill.usd) == (0, 40, 0.0)
    made = first.bill.added_to(Made(seconds=1.0, dev_score=1.0, dev_examples=1))
    assert (made.paid_usd, made.metrics["teacher_usd"]) == (pytest.approx(0.8), pytest.approx(0.8))


@pytest.mark.parametrize("chosen", ["first", "similar"])
def test_a_teacher_is_shown_no_answer_to_what_it_is_asked(tmp_path: Path, chosen: Any) -> None:
    train = [example(number) for number in range(40)]
    train[1] = train[1].model_copy(update={"input": train[0].input})  # in no bank, and its answer is the same one
    bank = tuple(Shot(id=each.id, input=each.input, answer=each.demonstration) for each in train if each.id[-1] != "1")
    few = tmp_path / "few"
    few.mkdir()
    (few / "prompt.md").write_text("Sort.\n---user---\n{text}\n", encoding="utf-8")
    with serving(right) as server:
        known = profile(prompting=ApiParams(base_url=address(server), key_variable=None, max_retries=0))
        of = job(tmp_path, train=train, teacher=Artifact("prompt", few, "short"), profile=known, prices=PRICES,
                 workload=workload(incumbent="wise"))  # fmt: skip
        keep_shots(few, Shots(chosen=chosen, shown=2, most_characters=1000, bank=bank))
        asking(of, {"kind": "rung", "rung": "few"}).answer([train[1], *train])
    said = [[turn["content"] for turn in body["messages"] if turn["role"] == "user"] for body in server.seen]
    assert [len(asked) for asked in said] == [3] * 39
    assert not [asked for asked in said if asked[-1] in asked[:-1]]


def test_other_settings_ask_for_new_answers(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        asking(of, api(address(server))).answer(of.train[:4])
        for changes in ({"prompt": "short"}, {"extra_body": {"effort": "high"}}):
            asking(of, api(address(server), **changes)).answer(of.train[:4])
    assert len(server.seen) == 12


def test_answers_are_remembered_however_the_api_is_asked(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        asking(of, api(address(server))).answer(of.train[:4])
        patient = api(address(server), concurrency=2, timeout_s=300, max_retries=9, requests_per_minute=6000)
        again = asking(of, patient)
        again.answer(of.train[:4])
    assert (len(server.seen), again.bill.asked, again.bill.remembered) == (4, 4, 4)


def test_failed_answers_are_asked_for_again_and_never_trained_on(tmp_path: Path) -> None:
    def half(body: dict[str, Any], asked: int) -> str | int:
        return right(body, asked) if int(body["messages"][-1]["content"][-3:]) % 2 else 400

    with serving(half) as server:
        of = job(tmp_path, prices=PRICES)
        answers = asking(of, api(address(server))).answer(of.train)
        server.answer = right
        again = asking(of, api(address(server)))
        assert [each.error for each in again.answer(of.train)] == [None] * 40
    assert sum(answer.error is not None for answer in answers) == 20
    assert again.bill.asked == 40 + 20
    assert [each.id for each in accepted(of, of.train, answers, "schema")] == [each.id for each in of.train[1::2]]


def test_a_budget_ends_the_asking_and_what_was_paid_is_kept(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        with pytest.raises(TrainingError, match=r"40 answers .* at most \$0.3 \(most_usd\), found \$0.30 after 15"):
            asking(of, api(address(server)), most_usd=0.3).answer(of.train)
        rest = asking(of, api(address(server)))
        rest.answer(of.train)
    assert (rest.bill.remembered, rest.bill.asked) == (15, 15 + 25)


@pytest.mark.parametrize(("most", "answers", "asked"), [(0.0, 40, 0), (0.1, 40, 5), (0.07, 4, 4), (0.01, 40, 4)])
def test_no_more_than_a_few_answers_are_paid_for_beyond_a_small_budget(
    tmp_path: Path, most: float, answers: int, asked: int
) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        session = asking(of, api(address(server)), most_usd=most)
        with pytest.raises(TrainingError, match=rf"expected {answers} answers .* found \$\d.\d\d after {asked}$"):
            session.answer(of.train[:answers])
    assert len(server.seen) == session.bill.asked == asked


def test_a_budget_that_suffices_is_spent_on_all_answers(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        assert len(asking(of, api(address(server)), most_usd=0.8).answer(of.train)) == len(server.seen) == 40
    free = by_classifier(tmp_path / "free")
    assert len(asking(free, {"kind": "rung", "rung": "wise"}, most_usd=0.0).answer(free.train)) == 40


def test_a_budget_holds_over_all_attempts_at_a_rung(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        for _ in range(2):
            with pytest.raises(TrainingError, match=r"at most \$0.3 \(most_usd\), found \$0.30 after 15"):
                asking(of, api(address(server)), most_usd=0.3).answer(of.train)
        assert len(server.seen) == 15
        more = asking(of, api(address(server)), most_usd=1.0)
        more.answer(of.train)
    assert more.bill.usd == pytest.approx(0.8)


@pytest.mark.parametrize(("changes", "known"), [({}, 15), ({"extra_body": {"effort": "high"}}, 0)])
def test_a_budget_holds_when_the_work_folder_is_removed_or_the_teacher_gets_other_settings(
    tmp_path: Path, changes: dict[str, Any], known: int
) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        with pytest.raises(TrainingError, match=r"found \$0.30 after 15"):
            asking(of, api(address(server)), most_usd=0.3).answer(of.train)
        if not changes:
            shutil.rmtree(of.work, ignore_errors=True)
        with pytest.raises(TrainingError, match=rf"at most \$0.3 \(most_usd\), found \$0.30 after {known}$"):
            asking(of, api(address(server), **changes), most_usd=0.3).answer(of.train)
        assert len(server.seen) == 15
        more = asking(of, api(address(server), **changes), most_usd=2.0)
        more.answer(of.train)
    # 15 answers and those that waited, of 2 cents each
    made = more.bill.added_to(Made(seconds=1.0, dev_score=1.0, dev_examples=1))
    assert (more.bill.asked, made.paid_usd) == (15 + 40 - known, pytest.approx(0.3 + 0.02 * (40 - known)))


def given(reply: Completion) -> bool:
    return bool(reply.text)


def test_other_requests_are_held_to_the_budget_too_and_failed_replies_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "REQUESTS", 2)
    requests = [ChatRequest(f"write-{n}", [Message(role="user", content=f"Write of {n:03}")]) for n in range(5)]
    sampling = Sampling(temperature=1.0, seed=7, max_new_tokens=16)

    def some(body: dict[str, Any], asked: int) -> str | int:
        return 400 if body["messages"][-1]["content"].endswith("001") else right(body, asked)

    with serving(some) as server:
        of = job(tmp_path, prices=PRICES)
        with pytest.raises(TrainingError, match=r"5 answers .* at most \$0.05 \(most_usd\), found \$0.04 after 3"):
            asking(of, api(address(server)), most_usd=0.05).ask(requests, sampling, given)
        server.answer = right
        rest = asking(of, api(address(server)))
        replies = rest.ask(requests, sampling, given)
    assert [reply.example_id for reply in replies] == [request.example_id for request in requests]
    assert [reply.text for reply in replies] == [example(n).reference for n in range(5)]
    assert (rest.bill.remembered, rest.bill.asked, len(server.seen)) == (2, 3 + 3, 6)


def test_replies_of_no_use_are_asked_for_again_and_a_first_batch_of_them_ends_the_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "REQUESTS", 2)
    requests = [ChatRequest(f"write-{n}", [Message(role="user", content=f"Write of {n:03}")]) for n in range(5)]
    sampling = Sampling(temperature=1.0, seed=7, max_new_tokens=16)

    def useful(reply: Completion) -> bool:
        return reply.text.startswith("{")

    with serving(lambda body, asked: "I see.") as server:
        of = job(tmp_path, prices=PRICES)
        assert [reply.text for reply in asking(of, api(address(server))).ask(requests, sampling, useful)] == [
            "I see.",
            "I see.",
        ]
        server.answer = right
        replies = asking(of, api(address(server))).ask(requests, sampling, useful)
    assert [reply.text for reply in replies] == [example(n).reference for n in range(5)]
    assert len(server.seen) == 2 + 5


def test_replies_that_earlier_versions_remembered_are_read(tmp_path: Path) -> None:
    requests = [ChatRequest("write-0", [Message(role="user", content="Write of 000")])]
    sampling = Sampling(temperature=1.0, seed=7, max_new_tokens=16)
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        asking(of, api(address(server))).ask(requests, sampling, given)
        (path,) = of.work.parent.glob("taught-*.jsonl")
        failed = Completion.of_text("write-0", "").model_copy(update={"error": "away", "finish_reason": "error"})
        write_jsonl(path, [failed])  # as they were kept whether they had failed or not
        assert asking(of, api(address(server))).ask(requests, sampling, given)[0].text == example(0).reference
    assert len(server.seen) == 2


def test_a_teacher_without_a_price_or_a_key_is_refused_before_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_KEY_HERE", raising=False)
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        with pytest.raises(ConfigError, match="expected a model with a price"):
            asking(of, api(address(server), model="unknown")).answer(of.train)
        with pytest.raises(EngineError, match="NO_KEY_HERE"):
            asking(of, api(address(server), key_variable="NO_KEY_HERE")).answer(of.train)
    assert server.seen == []


def test_a_profile_teaches_with_its_own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    of = job(tmp_path)
    Path("params/profiles").mkdir(parents=True)
    other = of.profile.model_copy(update={"name": "other"}).model_dump_json()
    Path("params/profiles/other.yaml").write_text(other, encoding="utf-8")
    result = asking(of, {"kind": "profile", "profile": "other", "prompt": "long"}).answer(of.train[:2])
    own = of.open_model(of.model).answer(of.train[:2], of.seed).completions
    longer = [each.usage.input_tokens - two.usage.input_tokens for each, two in zip(result, own, strict=True)]
    assert min(longer) > 0  # its prompt is the long one
    with pytest.raises(ConfigError, match="nobody"):
        asking(of, {"kind": "profile", "profile": "nobody", "prompt": "long"}).answer(of.train[:2])


def test_only_a_teacher_that_surely_knows_more_may_teach(tmp_path: Path) -> None:
    with serving(right) as server:
        of = job(tmp_path, prices=PRICES)
        require_better(asking(of, api(address(server))), 20, 0.5)
        server.answer = lambda body, asked: "I see."
        with pytest.raises(
            TrainingError, match=r"surely at least 0.0 points better .*, found 0.0 % against 0.0 % of 20"
        ):
            require_better(asking(of, api(address(server), prompt="short")), 20, 0.0)
        # three of twenty: a difference that chance makes too
        server.answer = lambda body, asked: (
            right(body, asked) if body["messages"][-1]["content"][-3:] < "043" else "I see."
        )
        with pytest.raises(TrainingError, match=r"found 15.0 % against 0.0 % of 20: -\d+.\d to \+\d+.\d points"):
            require_better(asking(of, api(address(server), extra_body={"effort": "low"})), 20, 0.0)


@pytest.mark.parametrize("groups", [20, 2])
def test_a_teacher_that_knows_more_in_one_of_two_groups_alone_may_not_teach(tmp_path: Path, groups: int) -> None:
    """Right on ten of twenty where the pupil is on none; in two groups they say as much as one of two examples."""

    def half(body: dict[str, Any], asked: int) -> str:
        return right(body, asked) if "refund" in body["messages"][-1]["content"] else "I see."

    dev = [example(n, "dev").model_copy(update={"group": f"G{n % groups}"}) for n in range(40, 60)]
    with serving(half) as server:
        session = asking(job(tmp_path, prices=PRICES, dev=dev), api(address(server)))
        if groups == 20:
            require_better(session, 20, 0.0)
        else:
            with pytest.raises(TrainingError, match=r"found 50.0 % against 0.0 % of 20: -"):
                require_better(session, 20, 0.0)


def test_a_prompt_that_teaches_is_paid_where_an_api_answers_it(tmp_path: Path) -> None:
    (tmp_path / "wise").mkdir()
    (tmp_path / "wise/prompt.md").write_text("Sort well.\n---user---\n{text}\n", encoding="utf-8")
    with serving(right) as server:
        asked = profile(prompting={"base_url": address(server), "key_variable": None, "max_retries": 0})
        of = job(
            tmp_path, prices=PRICES, profile=asked, workload=workload(incumbent="wise"),
            teacher=Artifact("prompt", tmp_path / "wise", "long"),
        )  # fmt: skip
        session = asking(of, {"kind": "rung", "rung": "prompts"}, most_usd=0.09)
        with pytest.raises(TrainingError, match=r"at most \$0.09 \(most_usd\), found \$0.08 after 4$"):
            session.answer(of.train)
    assert {body["messages"][0]["content"] for body in server.seen} == {"Sort well."}
    # 4 answers of 100 tokens at 100 and 10 at 1,000 dollars a million
    assert session.bill.usd == pytest.approx(0.08)


def test_the_scorer_keeps_what_it_passes_and_the_schema_what_obeys_it(tmp_path: Path) -> None:
    of = job(tmp_path)
    answers = [Completion.of_text(each.id, each.reference) for each in of.train]
    false = json.dumps({**json.loads(of.train[1].reference), "urgent": not json.loads(of.train[1].reference)["urgent"]})
    answers[1] = Completion.of_text(of.train[1].id, false)
    answers[2] = Completion.of_text(of.train[2].id, "I see.")
    answers[3] = answers[3].model_copy(update={"finish_reason": "length"})
    ids = [each.id for each in of.train]
    assert [each.id for each in accepted(of, of.train, answers, "scorer")] == [ids[0], *ids[4:]]
    kept = accepted(of, of.train, answers, "schema")
    assert [kept_one.id for kept_one in kept] == [ids[0], ids[1], *ids[4:]]
    assert kept[1].demonstration == false


def test_a_pupil_learns_only_from_inputs(tmp_path: Path) -> None:
    params = settings("teacher_answers", teacher={"kind": "rung", "rung": "wise"}, accept="schema", least_gain=-0.9)
    result: list[bytes] = []
    for name, blank in (("known", False), ("blank", True)):
        of = by_classifier(tmp_path / name)
        nothing = {"demonstration": "?", "reference": "?", "slices": {}}
        train = [each.model_copy(update=nothing) if blank else each for each in of.train]
        made = method_of("teacher_answers").make(replace(of, train=train), params, NullTracker())
        assert (made.metrics["kept"], made.metrics["accepted_share"]) == (40.0, 1.0)
        result.append((of.out / "model.safetensors").read_bytes())
    assert result[0] == result[1]


def test_too_few_accepted_answers_are_nothing_to_train_on(tmp_path: Path) -> None:
    of = by_classifier(tmp_path)  # it is never right on the whole
    params = settings("teacher_answers", teacher={"kind": "rung", "rung": "wise"}, least_gain=-0.9)
    with pytest.raises(TrainingError, match=r"at least 20% of the teacher's answers to be accepted .* found 0 of 40"):
        method_of("teacher_answers").make(of, params, NullTracker())
    assert not of.out.exists()


def test_only_the_scorer_brings_the_certificate() -> None:
    known = {"teacher": {"kind": "rung", "rung": "grpo"}}
    needs = method_of("teacher_answers").needs
    assert needs(settings("teacher_answers", **known)) == {"teacher", "reward"}
    assert needs(settings("teacher_answers", **known, accept="schema")) == {"teacher"}
    assert TeacherAnswersParams.model_fields["accept"].default == "scorer"
