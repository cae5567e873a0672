"""Teachers: a stronger model whose answers others learn from; behind an API, of another profile, or a rung before.

Decides how a teacher is opened and asked, so that no answer is paid for twice, what it cost, and whether it may teach:
it has to know more than its pupil.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.engines import Ask, Sampling, open_engine
from components.errors import TrainingError
from components.evaluation import accuracy, changes, common
from components.evaluation.paired import tango
from components.methods.contract import Made
from components.methods.job import Job
from components.models import folder_digest, model_folder
from components.opening import Opened, open_artifact, over, prompt_of
from components.params import ApiParams, Profile, Settings, load
from components.prompts import Prompt
from components.records import Completion, Example, read_jsonl, write_jsonl
from components.training.precision import Compute

PROFILES = Path("params/profiles")
BATCH = 256  # examples between two writes
NO_GO = (
    "expected a teacher that is surely at least {least:.1f} points better than its pupil on dev (least_gain), found "
    "{taught:.1f} % against {known:.1f} % of {n:,}: {low:+.1f} to {high:+.1f} points"
)
TOO_DEAR = "expected answers of the teacher for at most ${most:g} (most_usd), found ${usd:.2f} after {n:,} of {all:,}"
log = logging.getLogger(__name__)


class RungTeacher(Settings):
    """A rung or group that comes earlier on the ladder; `base` is the profile's model, asked with `prompt`."""

    kind: Literal["rung"] = "rung"
    rung: str
    prompt: str | None = Field(
        default=None, description="One of the workload's prompts; None: the one that the rung was made with."
    )


class ProfileTeacher(Settings):
    """The base model of another profile."""

    kind: Literal["profile"] = "profile"
    profile: str = Field(description="A name in params/profiles.")
    prompt: str = Field(description="One of the workload's prompts.")


class ApiTeacher(ApiParams):
    """A model behind an OpenAI-compatible API."""

    model: str = Field(description="The API's name of it; its price stands in params/prices.yaml.")
    prompt: str = Field(description="One of the workload's prompts.")


Teacher = Annotated[RungTeacher | ProfileTeacher | ApiTeacher, Field(discriminator="kind")]


@dataclass
class Bill:
    """What a teacher's answers took: those asked for now, their tokens, seconds and, behind an API, US dollars."""

    asked: int = 0
    remembered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """By their names in the record of runs."""
        return {f"teacher_{name}": float(value) for name, value in vars(self).items()}

    def added_to(self, made: Made) -> Made:
        """What was made, with what its teacher took."""
        return replace(
            made,
            seconds=made.seconds + self.seconds,
            paid_usd=made.paid_usd + self.usd,
            metrics={**made.metrics, **self.metrics},
        )


@dataclass
class Asking:
    """A teacher at work for a job."""

    job: Job
    teacher: RungTeacher | ProfileTeacher | ApiTeacher
    most_usd: float | None = None
    bill: Bill = field(default_factory=Bill)
    _opened: Opened | None = None

    @property
    def opened(self) -> Opened:
        """The teacher with its prompt.

        Raises:
            ConfigError: A prompt, a profile or a price is not there.
            EngineError: It does not open, or an API's key is missing.
        """
        if self._opened is None:
            self._opened = opened(self.job, self.teacher)
        return self._opened

    def close(self) -> None:
        """Let the teacher's memory go, before its pupil needs some."""
        self._opened = None

    def answer(self, examples: Sequence[Example]) -> list[Completion]:
        """One greedy answer to each example, in order. What was answered before is remembered; failures are not.

        Raises:
            EngineError: Nothing is answered at all.
            TrainingError: It costs more than it may.
        """
        with Compute.choose(self.job.profile.model.precision).state().main_process_first():
            return self._answered(examples)

    def _answered(self, examples: Sequence[Example]) -> list[Completion]:
        path = self.job.work.parent / f"taught-{self._identity}.jsonl"
        done = {one.example_id: one for one in (read_jsonl(path, Completion) if path.is_file() else [])}
        keys = [question(example) for example in examples]
        new = {key: example for key, example in zip(keys, examples, strict=True) if key not in done}
        self.bill.remembered += len(examples) - len(new)
        waiting = list(new.items())
        for at in range(0, len(waiting), BATCH):
            part = [example.model_copy(update={"id": key}) for key, example in waiting[at : at + BATCH]]
            found = self._asked(part)
            done |= {one.example_id: one for one in found}
            write_jsonl(path, [one for one in done.values() if one.error is None])
            self._hold(at + len(part), len(waiting))
        return [
            done[key].model_copy(update={"example_id": example.id}) for key, example in zip(keys, examples, strict=True)
        ]

    def ask(self, asks: Sequence[Ask], sampling: Sampling) -> list[Completion]:
        """Whatever else a teacher is asked: counted, and the replies remembered, so that all processes have the same.

        Raises:
            EngineError: Nothing is answered at all.
            TrainingError: It costs more than it may.
        """
        said = [sampling.model_dump_json(), *(str(ask) for ask in asks)]
        name = hashlib.sha256("\n".join((self._identity, *said)).encode()).hexdigest()[:16]
        path = self.job.work.parent / f"taught-{name}.jsonl"
        with Compute.choose(self.job.profile.model.precision).state().main_process_first():
            if path.is_file():
                return read_jsonl(path, Completion)
            started = time.monotonic()
            found = self._count(self.opened.engine.generate(list(asks), sampling), time.monotonic() - started)
            write_jsonl(path, found)
        self._hold(0, 1)
        return found

    def _asked(self, examples: Sequence[Example]) -> list[Completion]:
        opened, started = self.opened, time.monotonic()
        found = opened.answer(examples, self.job.seed).completions
        return self._count(found, time.monotonic() - started)

    def _count(self, found: list[Completion], seconds: float) -> list[Completion]:
        bill, before = self.bill, (self.bill.input_tokens, self.bill.output_tokens)
        bill.asked, bill.seconds = bill.asked + len(found), bill.seconds + seconds
        bill.input_tokens += sum(one.usage.input_tokens for one in found)
        bill.output_tokens += sum(one.usage.output_tokens for one in found)
        if isinstance(self.teacher, ApiTeacher):
            assert self.job.prices is not None, "expected prices, found none"
            price = self.job.prices.model(self.teacher.model)
            usd = price.usd(bill.input_tokens - before[0], bill.output_tokens - before[1])
            bill.usd += usd
        return found

    def _hold(self, n: int, total: int) -> None:
        """Raises TrainingError where answers cost more than they may and some are still to come."""
        if self.most_usd is not None and self.bill.usd > self.most_usd and n < total:
            raise TrainingError(TOO_DEAR.format(most=self.most_usd, usd=self.bill.usd, n=n, all=total))

    @cached_property
    def _identity(self) -> str:
        """A hash of all that an answer depends on beside its question; who answers by a folder, by its contents."""
        job, taught = self.job, self.job.teacher
        parts = [self.teacher.model_dump_json(), job.profile.engine.model_dump_json(), str(job.seed)]
        parts += [str(job.workload.output), str(job.workload.constrained), job.profile.model.model_dump_json()]
        if isinstance(self.teacher, RungTeacher) and taught is not None:
            api = job.profile.prompting
            parts += [folder_digest(taught.folder), str(api and api.model_dump_json()), job.workload.incumbent]
        if isinstance(self.teacher, ProfileTeacher):
            profile = _profile(self.teacher)
            parts += [profile.engine.model_dump_json(), folder_digest(_folder(profile))]
        if self.teacher.prompt:
            parts.append(job.written_prompt(self.teacher.prompt).version)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def question(example: Example) -> str:
    """What a teacher's answer to an example is remembered by: the input alone, which is all that it is shown."""
    return hashlib.sha256(repr(sorted(example.input.items())).encode()).hexdigest()[:24]


def opened(job: Job, teacher: RungTeacher | ProfileTeacher | ApiTeacher) -> Opened:
    """A teacher with its prompt.

    Raises:
        ConfigError: A prompt, a profile or a price is not there.
        EngineError: It does not open, or an API's key is missing.
    """
    if isinstance(teacher, RungTeacher):
        return _rung(job, teacher)
    prompt = job.written_prompt(teacher.prompt)
    if isinstance(teacher, ApiTeacher):
        assert job.prices is not None, "expected prices, found none"
        job.prices.model(teacher.model)  # before the first answer is paid for
        return over(open_engine(teacher, teacher.model), prompt, job.workload, job.profile)
    profile = _profile(teacher)
    engine = open_engine(profile.engine, _folder(profile), profile.model.precision)
    return over(engine, prompt, job.workload, profile)


def folder_of(job: Job, teacher: RungTeacher | ProfileTeacher) -> Path:
    """Where a teacher's weights lie.

    Raises:
        ConfigError: There is no such profile.
        TrainingError: It is no model.
    """
    if isinstance(teacher, ProfileTeacher):
        return _folder(_profile(teacher))
    assert job.teacher is not None, "expected a rung that teaches, found none"
    if job.teacher.makes != "model":
        raise TrainingError(f"expected a model as teacher, found {teacher.rung}, which is a {job.teacher.makes}")
    return job.teacher.folder


def prompt_of_teacher(job: Job, teacher: RungTeacher | ProfileTeacher) -> Prompt:
    """The prompt that a teacher is asked with.

    Raises:
        ConfigError: It is not there.
    """
    if teacher.prompt is not None:
        return job.written_prompt(teacher.prompt)
    assert job.teacher is not None, "expected a rung that teaches, found none"
    return prompt_of(job.teacher, job.columns)


def _profile(teacher: ProfileTeacher) -> Profile:
    return load(PROFILES / f"{teacher.profile}.yaml", Profile)


def _folder(profile: Profile) -> Path:
    return model_folder(profile.model.path, profile.model.chat_template_kwargs)


def _rung(job: Job, teacher: RungTeacher) -> Opened:
    assert job.teacher is not None, "expected a rung that teaches, found none"
    if teacher.prompt is None or job.teacher.makes != "model":
        return open_artifact(job.teacher, job.workload, job.profile, job.columns)
    engine = open_engine(job.profile.engine, job.teacher.folder, job.profile.model.precision)
    return over(engine, job.written_prompt(teacher.prompt), job.workload, job.profile)


def require_better(asking: Asking, examples: int, least_gain: float) -> None:
    """Go or no-go: teacher and pupil answer the same dev examples, and the teacher is surely better.

    By the 95 % interval of the paired difference (Tango 1998). The pupil is what the rung starts from, asked with the
    prompt that it will be asked with.

    Raises:
        TrainingError: No-go.
    """
    job, dev = asking.job, asking.job.dev_sample(examples)
    answers = asking.answer(dev)
    asking.close()  # before the pupil needs the memory
    taught = job.score(dev, answers)
    known, taught = common(job.score(dev, job.open_model(job.model).answer(dev, job.seed).completions), taught)
    moved = changes(known, taught)
    gain = tango(len(moved.fixed), len(moved.broken), len(known))
    shares = accuracy(taught.values()).value, accuracy(known.values()).value
    log.info(
        "%s: the teacher answers %.1f %% of dev right, its pupil %.1f %%.", job.rung, *(100 * one for one in shares)
    )
    if gain.low < least_gain:
        raise TrainingError(
            NO_GO.format(
                least=100 * least_gain, taught=100 * shares[0], known=100 * shares[1], n=len(known),
                low=100 * gain.low, high=100 * gain.high,
            )
        )  # fmt: skip
