"""Advice on a real small run, whose prompts an API answers, and its outcome."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from components.advice import Advice, Feedback, Standing, Training, Trial
from components.data.prepare import Quarantined
from components.economics import saved_of_year
from components.errors import ScorerError
from components.params import EconomicsParams
from components.records import (
    Comparison,
    Completion,
    Cost,
    Example,
    Interval,
    Latency,
    Logged,
    Makes,
    Preference,
    RungResult,
    Score,
    read_record,
    write_jsonl,
    write_record,
)
from components.scorers import Scorer
from components.stages.advise import advise_run, settle
from components.stages.at_hand import Speed, at_hand, drawn, shortening, shown, takes
from components.stages.evaluate import Evaluations
from components.stages.run import Run
from components.stages.scoring import scorer
from components.stages.workbench import KeptTrial, RunBench
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, ROOT, Api, MakeRun, keep_rung, make_prompts, standard

UNTRIED = {"trial_demonstrations": 0, "sampled_examples": 20, "samples": 2, "checked_examples": 20}


@pytest.fixture
def run(make_run: MakeRun, api: Api, record: object) -> Run:
    """Prompts one and two are not understood; three is."""
    api.understood = {PROMPTS["three"]}
    run = make_run(api=api)
    make_prompts(run)
    return replace(run, advice=run.advice.model_copy(update=UNTRIED))


def test_advice_is_measured_on_the_run_and_kept(run: Run) -> None:
    result = advise_run(run, NullTracker(), run.advice)
    known = result.evidence
    assert (known.standing.name, known.standing.accuracy.value, known.standing.n) == ("three", 1.0, 60)
    assert [known.prompts[name].value for name in ("one", "two", "three")] == [0.0, 0.0, 1.0]
    assert (
        known.headroom is not None and known.headroom.pass_1.value == known.headroom.pass_k.value
    )  # the API answers alike each time
    assert known.scoring is not None and known.scoring.false_positives.value == 0.0
    assert known.scoring.reads_reference
    assert result.choice.rung == "stay"  # everything is right already
    assert read_record(run.folder / "advice" / "advice.json", Advice) == result


class Away:
    """A scorer that is right of the first `decides` answers that it is asked for, and then away."""

    def __init__(self, of: Scorer, decides: int) -> None:
        self._of, self._left = of, decides

    def score(self, example: Example, completion: Completion) -> Score:
        self._left -= 1
        if self._left < 0:
            raise ScorerError("the server is away")
        return self._of.score(example, completion)


@pytest.mark.parametrize(("decides", "found"), [(0, "20 of 20"), (50, "10 of 40")])
def test_there_is_no_advice_while_the_scorer_is_away(
    run: Run, monkeypatch: pytest.MonkeyPatch, decides: int, found: str
) -> None:
    away = Away(scorer(run), decides)
    monkeypatch.setattr("components.stages.workbench.scorer", lambda _: away)
    with pytest.raises(ScorerError, match=rf"scorer.max_failed_share\), found {found}"):
        advise_run(run, NullTracker(), run.advice)
    assert not (run.advice_folder / "advice.json").exists()


def test_what_the_scorer_fails_on_is_left_out_of_what_stands_learns_and_might_gain(
    make_run: MakeRun, record: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 dev examples the scorer decides on 40, which the rung that stands answers right; all draws are wrong."""
    run = make_run()
    keep_rung(run, "sft", dev_score=1.0, dev_examples=60)
    right = [example.reference for example in run.examples("dev")]
    judged = RunBench.judge

    def judge(bench: RunBench, examples: list[Example], answers: list[str]) -> list[bool | None]:
        verdicts = zip(examples, judged(bench, examples, answers), strict=True)
        return [None if each.id >= "dev-040" else passed for each, passed in verdicts]

    monkeypatch.setattr(RunBench, "judge", judge)
    monkeypatch.setattr(RunBench, "answers", lambda _: right)
    monkeypatch.setattr(RunBench, "learn", lambda *_: Trial(right, 100.0, 3600.0))
    monkeypatch.setattr(RunBench, "sample", lambda _, examples, n: [["no"] * n for _ in examples])
    tried = {"trial_demonstrations": 60, "sampled_examples": 60, "checked_examples": 60}
    params = run.advice.model_copy(update=UNTRIED | tried)
    known = advise_run(run, NullTracker(), params).evidence
    assert (known.standing.accuracy.value, known.standing.n) == (1.0, 40)
    assert known.learning is not None and {interval.value for _, interval in known.learning.points} == {1.0}
    assert known.headroom is not None and (known.headroom.n, known.headroom.gap.value) == (40, -1.0)


def test_prompts_are_counted_without_saying_which_answers_were_right(make_run: MakeRun) -> None:
    run = make_run()
    keep_rung(run, "one", dev_score=0.25, dev_examples=60)
    keep_rung(run, "two", dev_score=0.5, dev_examples=30)
    assert RunBench(run).prompts() == {"one": (15, 60), "two": (15, 30)}


def test_before_the_first_rung_nothing_stands(make_run: MakeRun) -> None:
    run = make_run()
    bench = RunBench(run)
    assert bench.standing().name == "none" and bench.prompts() == {}
    assert bench.answers() is None and bench.sample(run.examples("dev"), 2) is None
    result = advise_run(run, NullTracker(), run.advice.model_copy(update=UNTRIED))
    assert result.evidence.writing.examples == 60
    assert result.evidence.scoring is not None


def test_a_refused_row_with_a_known_input_is_a_second_answer(run: Run) -> None:
    first = run.examples("dev")[0]
    again = first.model_copy(update={"id": "again", "demonstration": '{"intent": "delivery", "urgent": false}'})
    other = again.model_copy(update={"id": "other", "input": {"text": "nobody knows this one"}})
    rows = [Quarantined(where="rows.csv:1", example=each, reasons=("input is repeated",)) for each in (again, other)]
    write_jsonl(run.folder / "data" / "quarantine.jsonl", rows)
    assert RunBench(run).seconds() == [(first, again.demonstration)]


def evaluated(run: Run, gained: float, method: str = "sft") -> None:
    """The evaluation after a method with the given gain over prompt three."""
    sure = Interval(value=0.5, low=0.4, high=0.6)
    cost = Cost(usd_per_1k_calls=1, usd_per_year=1, usd_per_1k_correct=1, measured=True)
    versus = Comparison(delta=gained, low=gained - 0.02, high=gained + 0.02, p_value=0.01, fixed=9, broken=1)
    listed: list[tuple[str, str, Makes, str | None]] = [
        ("three", "prompt", "prompt", None),
        (method, method, "model", "three"),
    ]
    rungs = tuple(
        RungResult(
            name=name, method=method, makes=makes, parent=parent, n=60, accuracy=sure, validity=sure, fields={},
            slices={}, usage={}, latency_ms=Latency(p50=1, p95=1), cost=cost, vs_parent=versus if parent else None,
            seconds=1.0, mlflow_run_id=None,
        )
        for name, method, makes, parent in listed
    )  # fmt: skip
    done = Evaluations(rungs=rungs, contenders=("three", method), incumbent="three")
    write_record(run.folder / "evaluation" / "evaluation.json", done)


def settled(run: Run) -> Advice:
    settle(run, NullTracker())
    return read_record(run.folder / "advice" / "advice.json", Advice)


@pytest.mark.parametrize(("gained", "right"), [(0.0, True), (0.1, False)])
def test_advice_to_stay_was_right_if_nothing_gained_since(run: Run, gained: float, right: bool) -> None:
    advise_run(run, NullTracker(), run.advice)
    evaluated(run, gained)
    result = settled(run)
    assert result.outcome is not None
    assert result.outcome.right is right and result.outcome.rung == "sft"
    evaluated(run, 0.3)
    assert settled(run) == result  # an outcome is not changed afterwards


def sent(run: Run, ladder: str, standing: Standing | None = None) -> Run:
    """A run up the ladder of thumbs that follows the advice on `run`."""
    given = advise_run(run, NullTracker(), run.advice)
    at_hand = given.evidence.at_hand.model_copy(update={"ladders": {"thumbs": ladder}})
    changes = {"at_hand": at_hand, "standing": standing or given.evidence.standing}
    gain = Interval(value=0.1, low=0.05, high=0.2)
    choice = given.choice.model_copy(update={"rung": "thumbs", "gain": gain})
    changed = given.model_copy(update={"choice": choice, "evidence": given.evidence.model_copy(update=changes)})
    write_record(run.advice_folder / "advice.json", changed)
    followed = replace(run, name=f"{run.name}-feedback", ladder="feedback")
    shutil.copytree(run.folder / "data", followed.folder / "data")
    evaluated(followed, 0.1, "kto")
    return followed


def test_advice_is_settled_by_the_ladder_that_it_named(run: Run) -> None:
    followed = sent(run, "feedback")
    result = settled(followed)
    assert result.outcome is not None and result.outcome.right and result.outcome.rung == "kto"
    assert read_record(run.advice_folder / "advice.json", Advice) == result  # whoever asked is told as well


@pytest.mark.parametrize("reason", ["another ladder", "other data", "what stood is not among the rungs"])
def test_advice_is_not_settled_by_what_does_not_follow_it(run: Run, reason: str) -> None:
    grown = Standing(name="grpo", makes="model", accuracy=Interval(value=1, low=1, high=1), n=60)
    followed = sent(run, "repair" if reason == "another ladder" else "feedback", grown if "stood" in reason else None)
    if reason == "other data":
        report = followed.folder / "data" / "report.json"
        report.write_text(report.read_text().replace(run.data_version, "0" * len(run.data_version)))
        assert followed.data_version != run.data_version
    settle(followed, NullTracker())
    assert read_record(run.advice_folder / "advice.json", Advice).outcome is None
    assert not (followed.advice_folder / "advice.json").exists()


def test_without_advice_there_is_nothing_to_settle(make_run: MakeRun) -> None:
    run = make_run()
    settle(run, NullTracker())
    assert [path.name for path in run.advice_folder.iterdir()] == ["settled.json"]


@pytest.mark.slow
def test_a_trial_training_is_done_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    model = run.profile.model.model_copy(update={"path": str(ROOT / "models" / "nano")})
    sft = {**run.profile.methods["sft"], "packed_tokens": None, "epochs": 1.0}
    changes = {"model": model, "dev_examples": 10, "methods": {**run.profile.methods, "sft": sft}}
    profile = run.profile.model_copy(update=changes)
    run = replace(run, profile=profile, rungs=standard(run.workload, profile))
    result = RunBench(run).learn(16)
    assert result is not None and len(result.answers) == 10 and result.seconds > 0 and result.calls_per_hour > 0
    assert not (tmp_path / "state" / "advice" / run.name / "trial-16").exists()
    again = RunBench(run).learn(16)
    assert again == result  # read, not trained: a second training takes other seconds


def test_a_trial_is_made_again_where_dev_or_the_engine_are_others(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def answered(bench: RunBench, *_: object) -> KeptTrial:
        trained.append(len(bench.examples("dev")))
        return KeptTrial(answers=("",) * trained[-1], seconds=1.0, calls_per_hour=1.0)

    monkeypatch.setattr(RunBench, "_trained", answered)
    run = make_run()
    short = run.profile.engine.model_copy(update={"max_new_tokens": 8})
    for changes in ({"dev_examples": 10}, {"dev_examples": 20}, {"dev_examples": 20, "engine": short}):
        bench = RunBench(replace(run, profile=run.profile.model_copy(update=changes)))
        for _ in range(2):  # the second is read
            trial = bench.learn(16)
            assert trial is not None and len(trial.answers) == changes["dev_examples"]
    assert trained == [10, 20, 20]


def test_a_training_that_costs_more_than_the_api_pays_by_the_errors_it_saves(
    make_run: MakeRun, api: Api, record: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No prompt is understood, a training answers all; a call costs 400 µ$ on the machine, 86 µ$ of the API."""
    run = make_run(api=api)
    make_prompts(run)
    right = [example.reference for example in RunBench(run).examples("dev")]
    monkeypatch.setattr(RunBench, "learn", lambda *_: Trial(right, 100.0, 3600.0))
    params = run.advice.model_copy(update=UNTRIED | {"trial_demonstrations": 60})
    for usd_per_error, advised in ((0.5, "imitate"), (0.0, "stay")):
        workload = run.workload.model_copy(update={"economics": EconomicsParams(usd_per_error=usd_per_error)})
        result = advise_run(replace(run, workload=workload), NullTracker(), params)
        assert result.evidence.paying["imitate"].years is None  # by the prices alone it never pays back
        assert result.choice.rung == advised


def test_a_shorter_prompt_saves_nothing_on_a_machine_of_ones_own_that_is_idle(make_run: MakeRun) -> None:
    run = make_run()
    made = keep_rung(run, "three", dev_score=0.9, dev_examples=60)
    prompt = run.artifact(made).folder / "prompt.md"
    prompt.write_text(f"{'Sort it well. ' * 20}\n---user---\n{{text}}\n", encoding="utf-8")
    standing, saved = RunBench(run).standing(), list[float]()
    for own in (False, True):
        workload = run.workload.model_copy(update={"economics": EconomicsParams(own_machine=own)})
        case = shortening(replace(run, workload=workload), standing, run.examples("dev"), 3600.0)
        assert case is not None
        saved.append(float(saved_of_year(case, case.calls_per_year)))
    # A million calls take less than the 6,312 dollars that a year of the machine costs, under either prompt.
    assert saved[0] > 0 and saved[1] == 0.0


def test_what_is_at_hand_is_tried_counted_and_priced(run: Run) -> None:
    write_jsonl(run.data_source / "preferences.jsonl", [Preference(example_id="a", chosen="b", rejected="c")] * 3)
    logs = [Logged(example_id="a", text="b", score=score) for score in (0.0, 1.0) * 100]
    write_jsonl(run.data_source / "logs.jsonl", logs)
    result = advise_run(run, NullTracker(), run.advice)
    known, at_hand = result.evidence, result.evidence.at_hand
    assert at_hand.shown is not None and (at_hand.shown.accuracy.value, at_hand.shown.n) == (1.0, 60)
    assert at_hand.teacher is not None and at_hand.teacher.stands and at_hand.teacher.accuracy.value == 1.0
    assert at_hand.reflects and not known.standing.weights  # an API answers the prompts
    assert known.feedback is not None and (known.feedback.pairs, known.feedback.logs) == (3, 200)
    # weights of exp(±0.5 / 0.3): the good half counts for e^(10/3) as much as the bad one
    assert known.feedback.leans is not None
    assert known.feedback.leans.value == pytest.approx(1 / (1 + math.exp(-1 / 0.3)), abs=1e-3)
    # Kish: (200 · (e^(5/3) + e^(−5/3)) / 2)² over 200 · (e^(10/3) + e^(−10/3)) / 2
    assert known.feedback.effective == pytest.approx(200 * (1 + 1 / math.cosh(10 / 3)) / 2, rel=1e-3)


def test_examples_are_tried_once_and_not_at_all_where_they_are_switched_off(run: Run, api: Api) -> None:
    first = shown(run, RunBench(run).standing())
    api.understood = set()  # whoever asked again now would be told nonsense
    assert shown(run, RunBench(run).standing()) == first
    untried = replace(run, advice=run.advice.model_copy(update={"try_examples": False}))
    assert at_hand(untried, RunBench(untried).standing(), Feedback(), None).shown is None


def test_what_rungs_take_goes_by_draws_and_trainings(make_run: MakeRun) -> None:
    run = make_run()
    result = takes(run, Speed(calls_per_hour=3600, training_seconds=100.0, usd_setup=7.0), Feedback(pairs=30), {})
    assert result["imitate"].seconds == 100.0
    assert result["pairs"].seconds == pytest.approx(100.0)  # 60 answers, as many as train has
    assert result["rejection_sampling"].seconds == pytest.approx(100.0 + 4000 * 4)  # one answer a second
    assert drawn({"steps": 10, "prompts_per_step": 4, "generations": 8}) == 320
    machine = run.prices.machine(run.profile.machine)
    assert result["imitate"].usd == pytest.approx(machine.usd(100.0) + 7.0)


def test_a_teachers_answers_cost_its_price_for_every_input_and_the_training(make_run: MakeRun) -> None:
    run = make_run()
    result = takes(run, Speed(3600, 100.0, teacher_usd=0.5), Feedback(), {})
    machine = run.prices.machine(run.profile.machine)
    assert result["teacher_answers"].usd == pytest.approx(machine.usd(100.0) + 60 * 0.5)  # train has 60 inputs
    assert result["imitate"].usd == pytest.approx(machine.usd(100.0))


@pytest.mark.parametrize("ladder_has_it", [True, False])
def test_rl_is_paid_back_by_what_it_takes_also_where_the_ladder_has_none(
    make_run: MakeRun, ladder_has_it: bool
) -> None:
    run = make_run()
    run = replace(run, rungs=tuple(each for each in run.rungs if ladder_has_it or each.name != "grpo"))
    trials = {60: Trial(("",) * 60, 100.0, 3600.0)}
    bench = RunBench(run)
    case = bench.case("reward", trials)
    machine, draws = run.prices.machine(run.profile.machine), 128 * 16 * 8  # answers, one a second, and their updates
    assert case is not None and float(case[0].investment_usd) == pytest.approx(machine.usd(2 * draws))
    assert bench.at_hand(trials).takes["reward"].usd == pytest.approx(machine.usd(2 * draws))


@pytest.mark.parametrize("rung", ["imitate", "reward"])
def test_a_training_of_which_nobody_knows_how_long_it_takes_is_not_free(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, rung: Training
) -> None:
    run = make_run()
    run = replace(run, rungs=(), profile=run.profile.model_copy(update={"methods": {}}))
    monkeypatch.setattr(RunBench, "_speed", lambda *_: 3600.0)
    assert RunBench(run).case(rung, {}) is None


def test_a_teachers_price_is_that_of_the_apis_model(run: Run) -> None:
    trials = {60: Trial(("",) * 60, 100.0, 3600.0)}
    taken = RunBench(run).at_hand(trials).takes
    case = RunBench(run).case("imitate", trials)
    assert case is not None
    dearer = taken["teacher_answers"].usd - taken["imitate"].usd
    assert dearer > 0 and dearer == pytest.approx(60 * float(case[0].incumbent_usd))
