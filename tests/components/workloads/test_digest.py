"""The simulated threads and their verifier: facts are found in any wording, slips and inventions are not let pass."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from components.errors import ScorerError
from components.params import ScorerParams, Workload
from components.params.loading import load
from components.records import Completion, Example, Score, Usage
from components.scorers import build, score_all
from components.workloads.digest import FIELD_NAMES, Digest, generate
from components.workloads.digest.coverage import FactCoverage, invented, says
from components.workloads.digest.overlap import WordOverlap, f1
from tests.components.scorers.judge_server import judging

ROOT = Path(__file__).resolve().parents[3]
SEED = 11
WORKLOAD = load(ROOT / "params/workloads/digest.yaml", Workload)
THREAD = (
    "[mail]\nCustomer: My Velora kettle drips all the time. Order AB-1234. Order CD-5678 came fine.\n"
    "Agent: Sorry. We will send a replacement by Friday.\nCustomer: I would rather not.\n"
    "Agent: Correction: your money is back by 12 May."
)
EXAMPLE = Example(
    id="D1",
    input={"message": THREAD},
    demonstration="{}",
    reference='{"problem": "Velora kettle leaks, order AB-1234", "done": "nothing yet", "next": "refund, 12 May"}',
    group="G1",
    evidence={
        "facts": json.dumps({
            "problem": [["AB-1234"], ["Velora"], ["leaks", "drips all the time"]],
            "done": [["nothing yet", "nothing"]],
            "next": [["refund", "your money is back"], ["12 May"]],
        }),
        "false": json.dumps({"problem": ["CD-5678"], "done": [], "next": ["replacement", "Friday"]}),
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def digests() -> list[Digest]:
    return list(generate(6000, SEED))


def judged(scorer: FactCoverage | WordOverlap, example: Example, answer: Any) -> Score:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    usage = Usage(input_tokens=0, output_tokens=0)
    return scorer.score(example, Completion(example_id=example.id, text=text, usage=usage, latency_ms=0.0))


def coverage(example: Example, answer: Any) -> Score:
    return judged(FactCoverage(WORKLOAD.output), example, answer)


def example_of(digest: Digest) -> Example:
    return Example(
        id=digest.id,
        input={"message": digest.message},
        demonstration=json.dumps(digest.demonstration),
        reference=json.dumps(digest.gold),
        group=digest.group,
        evidence=digest.evidence,
    )


def test_a_seed_gives_the_same_threads_however_many_are_drawn(digests: list[Digest]) -> None:
    assert list(generate(50, SEED)) == digests[:50]
    assert not {digest.message for digest in generate(300, SEED + 1)} & {digest.message for digest in digests}


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        generate(-1, SEED)


def test_gold_and_demonstrations_obey_the_schema(digests: list[Digest]) -> None:
    assert WORKLOAD.fields == FIELD_NAMES
    assert WORKLOAD.simulated
    validator = Draft202012Validator(WORKLOAD.output)
    assert all(validator.is_valid(digest.gold) and validator.is_valid(digest.demonstration) for digest in digests)


def test_the_verifier_passes_gold_and_refuses_every_slip(digests: list[Digest]) -> None:
    for digest in digests[:2000]:
        example = example_of(digest)
        assert coverage(example, digest.gold).passed
        assert coverage(example, digest.demonstration).passed == (digest.gold == digest.demonstration)


def test_an_action_that_was_not_taken_is_false_beside_those_that_were(digests: list[Digest]) -> None:
    digest = next(drawn for drawn in digests if drawn.gold["done"] == "cleaned")
    assert coverage(example_of(digest), digest.gold | {"done": "cleaned, carrier asked"}).reason == (
        "done: 'carrier asked' is false"
    )
    assert not coverage(example_of(digest), digest.gold | {"done": "nothing yet, cleaned"}).passed


def test_about_a_tenth_of_the_demonstrations_is_wrong_and_a_majority_of_every_kind_right(digests: list[Digest]) -> None:
    wrong = [digest for digest in digests if digest.gold != digest.demonstration]
    assert 0.075 < len(wrong) / len(digests) < 0.115
    kinds = Counter(digest.slices["difficulty"] for digest in digests)
    struck = Counter(digest.slices["difficulty"] for digest in wrong)
    assert set(kinds) == {"plain", "other_order", "wished_day", "dropped_promise", "asked_not_done"}
    assert set(struck) == set(kinds) - {"plain"}
    for kind, n in struck.items():
        assert 0.3 < n / kinds[kind] < 0.5, kind


def test_a_thread_has_two_to_four_messages_that_take_turns(digests: list[Digest]) -> None:
    for digest in digests:
        channel, *messages = digest.message.split("\n")
        assert channel in ("[chat]", "[mail]")
        speakers = [message.partition(":")[0] for message in messages]
        assert 2 <= len(speakers) <= 4
        if len(speakers) != 3:  # of three, the agent's two stand together
            assert speakers == ["Customer", "Agent"] * (len(speakers) // 2)


def test_every_fact_of_gold_can_be_read_from_the_thread(digests: list[Digest]) -> None:
    for digest in digests[:2000]:
        facts = json.loads(digest.evidence["facts"])
        assert all(says(digest.message, (facts["problem"][at][0],)) for at in (0, 1))
        assert says(digest.message, facts["next"][1])
        assert not invented(" ".join(["x", *digest.gold.values()]), digest.message)


@pytest.mark.parametrize(
    ("changes", "value", "reason"),
    [
        ({}, 1.0, ""),
        ({"problem": "order ab-1234: kettle VELORA drips all the time"}, 1.0, ""),
        ({"next": "your money is back by 12 May"}, 1.0, ""),
        ({"problem": "Velora kettle leaks"}, 5 / 6, "problem: expected 'AB-1234', not said"),
        ({"next": "refund soon"}, 5 / 6, "next: expected '12 May', not said"),
        ({"next": "refunded 12 May"}, 5 / 6, "next: expected 'refund', not said"),
        ({"done": ""}, 5 / 6, "done: expected 'nothing yet', not said"),
        ({"problem": "Velora kettle leaks, order CD-5678"}, 0.0, "problem: 'CD-5678' is false"),
        ({"problem": "Velora leaks, order AB-1234 or CD-5678"}, 0.0, "problem: 'CD-5678' is false"),
        ({"next": "replacement, Friday"}, 0.0, "next: 'replacement' is false"),
        ({"next": "refund, 12 May, 50 euros"}, 0.0, "next: '50' is not in the thread"),
        ({"done": "nothing yet, says Eva"}, 0.0, "done: 'Eva' is not in the thread"),
        ({"problem": "Velora kettle leaks, order AB-12345"}, 0.0, "problem: 'AB-12345' is not in the thread"),
    ],
)
def test_facts_count_and_what_is_false_or_invented_forfeits_everything(
    changes: dict[str, str], value: float, reason: str
) -> None:
    right = {"problem": "Velora kettle leaks, order AB-1234", "done": "nothing yet", "next": "refund, 12 May"}
    score = coverage(EXAMPLE, right | changes)
    assert score.value == pytest.approx(value)
    assert score.passed == (not reason)
    assert score.reason == reason


@pytest.mark.parametrize("answer", ["", "no JSON", "[]", '{"problem": 3, "done": null}'])
def test_an_answer_that_is_not_a_digest_states_nothing(answer: str) -> None:
    score = coverage(EXAMPLE, answer)
    assert (score.value, score.passed) == (0.0, False)


def test_an_example_without_facts_cannot_be_decided() -> None:
    with pytest.raises(ScorerError, match=r"expected facts by section in the evidence, found .* \(example D1\)"):
        coverage(EXAMPLE.model_copy(update={"evidence": {}}), "{}")


@given(st.text(alphabet="abc AB12-,."))
def test_nothing_that_the_thread_says_is_invented(text: str) -> None:
    assert not invented(text, text)


def test_overlap_is_the_harmonic_mean_of_shared_words() -> None:
    assert f1("refund, 12 May", "12 May refund") == 1.0
    assert f1("a b c d", "a b") == pytest.approx(2 / 3)  # all of 2 found words, 2 of 4 expected
    assert f1("a b", "c") == f1("a b", "") == 0.0


def test_listing_the_thread_shares_few_words_with_the_reference() -> None:
    overlap = WordOverlap(WORKLOAD.output)
    assert judged(overlap, EXAMPLE, EXAMPLE.reference).passed
    score = judged(overlap, EXAMPLE, dict.fromkeys(FIELD_NAMES, THREAD))
    assert score.value < 0.3 and not score.passed


def test_the_definitions_name_every_key_in_the_schemas_order() -> None:
    for name in ("schema", "schema_definitions"):
        text = (ROOT / f"params/prompts/digest/{name}.md").read_text(encoding="utf-8")
        assert tuple(re.findall(r"^- (\w+):", text, re.MULTILINE)) == FIELD_NAMES


def test_with_its_judge_configured_a_digest_is_marked_by_the_rubric_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The section that the YAML holds as a comment, put in force against a real HTTP server."""
    monkeypatch.chdir(ROOT)
    with judging() as server:
        server.answer = lambda body, _: json.dumps({"reason": "by rule", "mark": 5 if "Velora" in shown(body) else 2})
        api = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "key_variable": None}
        settings = WORKLOAD.scorer.model_dump(exclude_none=True)
        settings["weighted"]["judge"] = 0.4
        settings["judge"] = {
            "model": "gpt-4.1-mini", "rubric": "params/rubrics/digest.md", "api": api, "cache": str(tmp_path)
        }  # fmt: skip
        scorer = build(ScorerParams.model_validate(settings), WORKLOAD.output)
        vague = EXAMPLE.reference.replace("Velora kettle", "product")
        good, poor, broken = score_all(
            scorer, [(EXAMPLE, Completion.of_text("D1", text)) for text in (EXAMPLE.reference, vague, "no JSON")]
        )
        rubric = (ROOT / "params/rubrics/digest.md").read_text().strip()
        assert len(server.seen) == 2 and all(rubric in body["messages"][0]["content"] for body in server.seen)
    assert isinstance(good, Score) and isinstance(poor, Score) and isinstance(broken, Score)
    assert good.passed and good.value == pytest.approx(1.0)
    assert not poor.passed and poor.parts["judge"] == pytest.approx(0.25)
    assert broken.value == 0.0


def shown(body: dict[str, Any]) -> str:
    """What the judge is shown as the answer."""
    return body["messages"][1]["content"].partition("<answer ")[2]
