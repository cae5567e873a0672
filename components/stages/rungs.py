"""The stages that make rungs: `rung` makes one by its method, `best` chooses the best of a group.

Decides what a method is given and what is kept of its result; how the rung is made is up to the method.
"""

import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from components.data.harvest import HARVEST
from components.data.novelty import resembled
from components.data.opinions import KINDS
from components.evaluation.label_audit import Audit
from components.ladder import PlannedRung
from components.methods import Job, Made
from components.opening import PROMPT_FILE, Artifact
from components.params import SPLITS, LauncherParams
from components.records import Example, Rung, read_record, write_record
from components.stages.audit import SUSPECTS, audit_folder
from components.stages.certified import require_permit
from components.stages.figures import dev_figures, tell_settings
from components.stages.run import PROMPTS, RESULT, Best, Run, digest, git_commit
from components.stages.scoring import scorer, sealed_scorer
from components.tracking import Tracker
from components.training.launch import is_main, launch

log = logging.getLogger(__name__)


def rung(run: Run, tracker: Tracker, name: str) -> None:
    """Make a rung; if the scorer rewards it, only with a certified scorer.

    Raises:
        TrainingError: The scorer's certificate is below the floor, or the method fails.
    """
    planned = run.planned(name)
    if planned.rewarded:
        require_permit(run)
    job = job_of(run, planned)
    shutil.rmtree(job.out, ignore_errors=True)
    tell_settings(run, planned, tracker)

    def make() -> None:
        made = planned.make(job, tracker)
        if is_main():
            keep(run, planned, job, made, tracker)

    launcher = run.profile.launcher if planned.makes == "model" else LauncherParams()
    launch(launcher, "components.stages", ["rung", run.name, name], make)


def best(run: Run, tracker: Tracker, group: str) -> None:
    """Choose the best rung of a group on dev, ties broken by validity, then by being later.

    Later, because later versions of a prompt are more detailed, and are what the next rung challenges.
    """
    made = [run.rung(rung_made.name) for rung_made in run.groups[group]]
    name = max(reversed(made), key=lambda rung_made: (rung_made.dev_score or 0.0, rung_made.dev_validity or 0.0)).name
    write_record(run.folder / "best" / f"{group}.json", Best(name=name))
    tracker.params({f"best.{group}": name})
    log.info("The best of %s on dev: %s.", group, name)


def job_of(run: Run, planned: PlannedRung) -> Job:
    """The job that a rung's method is given."""
    prompt = planned.prompt or run.workload.trained_prompt
    audit = audit_folder(run) / "audit.json"
    return Job(
        rung=planned.name,
        workload=run.workload,
        profile=run.profile,
        columns=run.columns,
        train=run.examples("train"),
        dev=run.examples("dev"),
        prompt=run.prompt(prompt),
        prompt_file=PROMPTS / run.workload.name / f"{prompt}.md",
        start=artifact_of(run, planned.starts_from),
        scorer=scorer(run),
        sealed_scorer=sealed_scorer(run),
        seed=run.seed,
        out=run.rung_folder(planned.name) / "artifact",
        work=run.work(planned.name),
        hacking=run.hacking,
        label_noise=read_record(audit, Audit).wrong_share if reads_audit(planned) else None,
        feedback_files={kind: feedback_files(run, kind) for kind in KINDS} if reads_feedback(planned) else {},
        suspects_file=audit_folder(run) / SUSPECTS,
        teacher=artifact_of(run, planned.teacher),
        resembled=partial(resembling, run) if "novelty" in planned.needs else None,
        prices=run.prices if reads_prices(planned) else None,
    )


def resembling(run: Run, new: Sequence[Example]) -> list[str | None]:
    """For each new example the split that has a near-duplicate, as in validation; train only if no other has one."""
    known = {split: run.examples(split) for split in reversed(SPLITS)}
    return resembled(known, new, run.workload.validation.near_duplicate_similarity)


def reads_prices(planned: PlannedRung) -> bool:
    """Whether a rung's method needs prices."""
    return planned.takes("most_usd") or "teacher" in planned.needs


def reads_feedback(planned: PlannedRung) -> bool:
    """Whether a rung learns from people's preferences."""
    return "preferences" in planned.needs


def feedback_files(run: Run, kind: str) -> tuple[Path, ...]:
    """The files of a kind of feedback: the workload's own, and those of the harvests that joined the data.

    If there are none, the workload's own, so that reading it reports what is missing.
    """
    own = run.data_source / f"{kind}.jsonl"
    harvested = (run.data_source / HARVEST / f"{Path(name).stem}.{kind}.jsonl" for name in run.workload.harvest)
    return tuple(path for path in (own, *harvested) if path.is_file()) or (own,)


def reads_audit(planned: PlannedRung) -> bool:
    """Whether a rung's method uses the label audit's share of wrong demonstrations."""
    return planned.takes("label_noise")


def artifact_of(run: Run, origin: str | None) -> Artifact | None:
    """The artifact of a rung, of a group's best, or the base model, by name."""
    if origin is None:
        return None
    name = run.resolved(origin)
    return run.base_artifact if name is None else run.artifact(run.rung(name))


def keep(run: Run, planned: PlannedRung, job: Job, made: Made, tracker: Tracker) -> None:
    """Write a rung's `result.json`, then delete its checkpoints and its teacher's account."""
    asked = planned.makes != "classifier"
    if asked and not (job.out / f"{PROMPT_FILE}.md").is_file():
        job.keep_prompt()
    prompt = _prompt_name(planned, job) if asked else None
    record = Rung(
        name=planned.name,
        method=planned.made_by,
        makes=planned.makes,
        starts_from=run.resolved(planned.starts_from),
        compared_with=planned.compared_with,
        needs=tuple(sorted(planned.needs)),
        prompt=prompt,
        params_hash=digest(planned.settings, run.profile.model, job.prompt.version if asked else "", run.seed),
        data_hash=run.data_version,
        seed=run.seed,
        git_commit=git_commit(),
        mlflow_run_id=tracker.run_id,
        seconds=made.seconds,
        dev_score=made.dev_score,
        dev_validity=made.dev_validity,
        dev_examples=made.dev_examples,
        curves=made.curves,
        watch=made.watch,
        paid_usd=made.paid_usd,
        prompted=made.prompted,
    )
    write_record(run.rung_folder(planned.name) / RESULT, record)
    shutil.rmtree(job.work, ignore_errors=True)
    job.account.unlink(missing_ok=True)
    tracker.metrics({**dev_figures(record), **{f"train/{key}": float(value) for key, value in made.metrics.items()}})


def _prompt_name(planned: PlannedRung, job: Job) -> str:
    """The name of a rung's prompt, by which settings such as `constrained` refer to it.

    A prompt that was made from another keeps the other's name; a model is asked with the trained prompt.
    """
    made_from = job.start.prompt if planned.makes == "prompt" and job.start is not None else None
    return made_from or job.prompt.name
