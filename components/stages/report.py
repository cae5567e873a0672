"""The stage `report`: everything that a run left, as one record and one page."""

from collections.abc import Mapping
from datetime import date

from components.data.prepare import DataReport
from components.evaluation import Scores, changes, common
from components.evaluation.certificate import Certificate
from components.evaluation.label_audit import Audit, Suspect
from components.records import Completion, Example, Ladder, read_jsonl, read_record, write_record
from components.report import Change, Changes, Evidence, Trust, price_lines, render
from components.stages.advise import settle
from components.stages.answers import score
from components.stages.audit import audit_folder
from components.stages.certified import certificate_file
from components.stages.economics import account
from components.stages.evaluate import Evaluations, kept
from components.stages.gate import GateRecord
from components.stages.run import Run, StageRecord
from components.stages.rungs import GRPO, rung
from components.tracking import Tracker

SHOWN = 5  # examples that a rung fixed, and as many that it broke


def report(run: Run, tracker: Tracker) -> None:
    """`ladder.json` and `economics.json`, which programs read, and `report.html`, which people do."""
    ladder, folder = _ladder(run), run.report
    write_record(folder / "ladder.json", ladder)
    examples = run.examples("test")
    scores = {one.name: score(run, examples, kept(run, "test", one.name)) for one in ladder.rungs}
    counted, advice = account(run, date.today(), scores), settle(run, ladder, tracker)
    write_record(folder / "economics.json", counted)
    evidence = _evidence(run, ladder, scores).model_copy(
        update={"account": counted, "advice": advice, "trust": _trust(run)}
    )
    render(ladder, evidence, folder / "report.html")
    tracker.artifact(folder, "report")


def _ladder(run: Run) -> Ladder:
    done = [read_record(path, StageRecord) for path in (run.folder / "stages").glob("*.json")]
    verdicts = read_record(run.folder / "gate" / "gate.json", GateRecord).verdicts
    return Ladder(
        workload=run.workload.name,
        profile=run.profile.name,
        seed=run.seed,
        simulated=run.workload.simulated,
        data=read_record(run.folder / "data" / "report.json", DataReport).summary,
        rungs=read_record(run.folder / "evaluation" / "evaluation.json", Evaluations).rungs,
        gate=verdicts[-1],
        climb=verdicts,
        seconds={one.stage: one.seconds for one in done},
    )


def _evidence(run: Run, ladder: Ladder, scores: Mapping[str, Scores]) -> Evidence:
    source = read_record(run.folder / "data" / "report.json", DataReport)
    return Evidence(
        description=run.workload.description,
        model=run.profile.model.path,
        incumbent=run.workload.incumbent,
        calls_per_year=run.workload.traffic.calls_per_year,
        changes={one.name: _changes(run, scores, one.parent, one.name) for one in ladder.rungs if one.parent},
        curves={one.name: curves for one in ladder.rungs if (curves := rung(run, one.name).curves)},
        quarantine=source.quarantined,
        warnings=source.warnings,
        prices=price_lines(run.prices, [run.workload.incumbent], [run.profile.machine]),
    )


def _trust(run: Run) -> Trust:
    """The certificate, the watch over RL, and the audit with its surest suspects."""
    folder = audit_folder(run)
    return Trust(
        certificate=read_record(certificate_file(run), Certificate),
        watch=rung(run, GRPO).watch,
        audit=read_record(folder / "audit.json", Audit),
        suspects=tuple(read_jsonl(folder / "suspects.jsonl", Suspect)[:SHOWN]),
    )


def _changes(run: Run, scores: Mapping[str, Scores], parent: str, child: str) -> Changes:
    """The first examples that a rung fixed, and the first that it broke."""
    examples = {example.id: example for example in run.examples("test")}
    found = changes(*common(scores[parent], scores[child]))
    was, now = ({one.example_id: one for one in kept(run, "test", name)} for name in (parent, child))

    def shown(ids: tuple[str, ...]) -> tuple[Change, ...]:
        return tuple(_change(examples[key], was[key], now[key]) for key in ids[:SHOWN])

    return Changes(fixed=shown(found.fixed), broken=shown(found.broken))


def _change(example: Example, before: Completion, after: Completion) -> Change:
    return Change(
        example_id=example.id,
        message="\n".join(example.input.values()),
        parent_answer=before.text,
        answer=after.text,
        reference=example.reference,
    )
