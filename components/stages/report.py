"""The stage `report`: a run's results as one record and one page."""

from collections.abc import Mapping

from components.data.report import DataReport
from components.evaluation import Scores, changes, common, scores_in
from components.evaluation.certificate import Certificate
from components.evaluation.label_audit import Audit, Suspect
from components.methods import trains_by_rl
from components.records import Completion, Example, Ladder, Score, read_jsonl, read_record, write_record
from components.report import Change, Changes, Evidence, Trust, price_lines, render
from components.stages.advise import advised
from components.stages.answers import completions_of, judged_of
from components.stages.audit import audit_folder
from components.stages.certified import Permit, certificate_file, permit_file
from components.stages.economics import account, spent_by_rung
from components.stages.evaluate import evaluated
from components.stages.gate import decided
from components.stages.graph import records
from components.stages.run import Run, StageRecord
from components.tracking import Tracker

SHOWN = 5  # examples that a rung fixed, the same number that it broke, and suspects


def report(run: Run, tracker: Tracker) -> None:
    """Write `ladder.json` and `economics.json` for programs, and `report.html` for people."""
    ladder, folder = ladder_of(run), run.report
    write_record(folder / "ladder.json", ladder)
    scores = {rung.name: scores_in(judged_of(run, "test", rung.name)) for rung in ladder.rungs}
    counted = account(run, decided(run).decided_on) if evaluated(run).incumbent else None
    if counted is not None:
        write_record(folder / "economics.json", counted)
    evidence = _evidence(run, ladder, scores).model_copy(
        update={"account": counted, "advice": advised(run), "trust": _trust(run)}
    )
    render(ladder, evidence, folder / "report.html")
    tracker.artifact(folder, "report")


def ladder_of(run: Run) -> Ladder:
    """The run's record."""
    # Only of today's stages: others may have left a record when the ladder still had them.
    done = [read_record(path, StageRecord) for path in sorted(records(run))]
    decision = decided(run)
    summary = read_record(run.folder / "data" / "report.json", DataReport).summary
    if summary.demonstration_accuracy is None:  # for an agent's tries only the audit knows it
        ceiling = read_record(audit_folder(run) / "audit.json", Audit).ceiling
        summary = summary.model_copy(update={"demonstration_accuracy": ceiling})
    return Ladder(
        workload=run.workload.name,
        profile=run.profile.name,
        seed=run.seed,
        simulated=run.workload.simulated,
        data=summary,
        rungs=evaluated(run).rungs,
        gate=decision.verdicts[-1],
        climb=decision.verdicts,
        version=decision.version,
        seconds={stage.stage: stage.seconds for stage in done},
    )


def _evidence(run: Run, ladder: Ladder, scores: Mapping[str, Scores]) -> Evidence:
    source = read_record(run.folder / "data" / "report.json", DataReport)
    return Evidence(
        description=run.workload.description,
        model=run.profile.model.path,
        incumbent=run.workload.incumbent,
        calls_per_year=run.workload.traffic.calls_per_year,
        changes={rung.name: _changes(run, scores, rung.parent, rung.name) for rung in ladder.rungs if rung.parent},
        curves={rung.name: curves for rung in ladder.rungs if (curves := run.rung(rung.name).curves)},
        quarantine=source.quarantined,
        warnings=source.warnings,
        spent_usd=spent_by_rung(run, ladder),
        prices=price_lines(run.prices, [run.workload.incumbent], [run.profile.machine]),
    )


def _trust(run: Run) -> Trust:
    """The certificate, the watch over RL, and the audit with its surest suspects."""
    folder, certificate = audit_folder(run), certificate_file(run)
    watched = [made.watch for made in run.made.values() if made.watch]
    rewarded = any(rung.rewarded for rung in run.rungs)
    return Trust(
        certificate=read_record(certificate, Certificate) if rewarded else None,
        rl=any(trains_by_rl(rung.made_by) for rung in run.rungs),
        sealed_scorer=rewarded and read_record(permit_file(run), Permit).sealed_scorer is not None,
        watch=next((rung for rung in watched if rung.stopped), watched[-1] if watched else None),
        audit=read_record(folder / "audit.json", Audit),
        suspects=tuple(read_jsonl(folder / "suspects.jsonl", Suspect)[:SHOWN]),
    )


def _changes(run: Run, scores: Mapping[str, Scores], parent: str, child: str) -> Changes:
    """The first examples that a rung fixed, and the first that it broke."""
    examples = {example.id: example for example in run.asked("test")}
    moved = changes(*common(scores[parent], scores[child]))
    was, now = ({answer.example_id: answer for answer in completions_of(run, "test", name)} for name in (parent, child))

    def shown(ids: tuple[str, ...]) -> tuple[Change, ...]:
        return tuple(
            _change(examples[key], (was[key], scores[parent][key]), (now[key], scores[child][key]))
            for key in ids[:SHOWN]
        )

    return Changes(fixed=shown(moved.fixed), broken=shown(moved.broken))


def _change(example: Example, before: tuple[Completion, Score], after: tuple[Completion, Score]) -> Change:
    return Change(
        example_id=example.id,
        message="\n".join(example.input.values()),
        parent_answer=before[0].text,
        parent_score=before[1],
        answer=after[0].text,
        score=after[1],
        reference=example.reference,
        tried=after[0].trajectory is not None,
    )
