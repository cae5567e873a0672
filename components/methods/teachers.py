"""Teachers: stronger models whose answers others learn from; behind an API, of another profile, or an earlier rung.

Decides how a teacher is opened and asked, so that no answer is paid for twice, what it costs, and whether it may teach:
it must be better than its pupil.
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

from components.engines import ChatRequest, Sampling, open_engine
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
    """An earlier rung or group of the ladder; `base` is the profile's base model, asked with `prompt`."""

    kind: Literal["rung"] = "rung"
    rung: str
    prompt: str | None = Field(default=None, description="One of the workload's prompts; None: the rung's own.")


class ProfileTeacher(Settings):
    """The base model of another profile."""

    kind: Literal["profile"] = "profile"
    profile: str = Field(description="A name in params/profiles.")
    prompt: str = Field(description="One of the workload's prompts.")


class ApiTeacher(ApiParams):
    """A model behind an OpenAI-compatible API."""

    model: str = Field(description="The API's name for it; its price is in params/prices.yaml.")
    prompt: str = Field(description="One of the workload's prompts.")


Teacher = Annotated[RungTeacher | ProfileTeacher | ApiTeacher, Field(discriminator="kind")]


@dataclass
class Bill:
    """What a teacher's answers took: how many were new or remembered, tokens, seconds and, for an API, US dollars."""

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
        """`made` with the teacher's costs added."""
        return replace(
            made,
            seconds=made.seconds + self.seconds,
            paid_usd=made.paid_usd + self.usd,
            metrics={**made.metrics, **self.metrics},
        )


@dataclass
class TeacherSession:
    """A teacher that answers for a job, within its budget."""

    job: Job
    teacher: RungTeacher | ProfileTeacher | ApiTeacher
    most_usd: float | None = None
    bill: Bill = field(default_factory=Bill)
    _opened: Opened | None = None

    @property
    def opened(self) -> Opened:
        """The teacher with its prompt.

        Raises:
            ConfigError: A prompt, a profile or a price is missing.
            EngineError: It does not open, or an API's key is missing.
        """
        if self._opened is None:
            self._opened = opened(self.job, self.teacher)
        return self._opened

    def close(self) -> None:
        """Free the teacher's memory, before its pupil needs it."""
        self._opened = None

    def answer(self, examples: Sequence[Example]) -> list[Completion]:
        """One greedy answer to each example, in order. Answers are remembered; failures are not.

        Raises:
            EngineError: Nothing is answered.
            TrainingError: The answers cost more than `most_usd`.
        """
        with Compute.choose(self.job.profile.model.precision).state().main_process_first():
            return self._answered(examples)

    def _answered(self, examples: Sequence[Example]) -> list[Completion]:
        path = self.job.work.parent / f"taught-{self._identity}.jsonl"
        done = {answer.example_id: answer for answer in (read_jsonl(path, Completion) if path.is_file() else [])}
        keys = [question(example) for example in examples]
        new = {key: example for key, example in zip(keys, examples, strict=True) if key not in done}
        self.bill.remembered += len(examples) - len(new)
        waiting = list(new.items())
        for at in range(0, len(waiting), BATCH):
            part = [example.model_copy(update={"id": key}) for key, example in waiting[at : at + BATCH]]
            answers = self._asked(part)
            done |= {answer.example_id: answer for answer in answers}
            write_jsonl(path, [answer for answer in done.values() if answer.error is None])
            self._hold(at + len(part), len(waiting))
        return [
            done[key].model_copy(update={"example_id": example.id}) for key, example in zip(keys, examples, strict=True)
        ]

    def ask(self, requests: Sequence[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Replies to other requests, in order; they are counted and remembered, so that all processes get the same.

        Raises:
            EngineError: Nothing is answered.
            TrainingError: The replies cost more than `most_usd`.
        """
        parts = [sampling.model_dump_json(), *(_remembered_as(request) for request in requests)]
        name = hashlib.sha256("\n".join((self._identity, *parts)).encode()).hexdigest()[:16]
        path = self.job.work.parent / f"taught-{name}.jsonl"
        with Compute.choose(self.job.profile.model.precision).state().main_process_first():
            if path.is_file():
                return read_jsonl(path, Completion)
            started = time.monotonic()
            replies = self._count(self.opened.engine.generate(list(requests), sampling), time.monotonic() - started)
            write_jsonl(path, replies)
        self._hold(0, 1)
        return replies

    def _asked(self, examples: Sequence[Example]) -> list[Completion]:
        opened, started = self.opened, time.monotonic()
        answers = opened.answer(examples, self.job.seed).completions
        return self._count(answers, time.monotonic() - started)

    def _count(self, answers: list[Completion], seconds: float) -> list[Completion]:
        account, before = self.bill, (self.bill.input_tokens, self.bill.output_tokens)
        account.asked, account.seconds = account.asked + len(answers), account.seconds + seconds
        account.input_tokens += sum(answer.usage.input_tokens for answer in answers)
        account.output_tokens += sum(answer.usage.output_tokens for answer in answers)
        if isinstance(self.teacher, ApiTeacher):
            assert self.job.prices is not None, "expected prices, found none"
            price = self.job.prices.model(self.teacher.model)
            usd = price.usd(account.input_tokens - before[0], account.output_tokens - before[1])
            account.usd += usd
        return answers

    def _hold(self, n: int, total: int) -> None:
        """Raises TrainingError if the answers cost more than `most_usd` and some are still to come."""
        if self.most_usd is not None and self.bill.usd > self.most_usd and n < total:
            raise TrainingError(TOO_DEAR.format(most=self.most_usd, usd=self.bill.usd, n=n, all=total))

    @cached_property
    def _identity(self) -> str:
        """A hash of all that an answer depends on except its input; a teacher in a folder counts by its contents."""
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


def _remembered_as(request: ChatRequest) -> str:
    """The text that a request's reply is remembered by; unchanged since the class was called Ask."""
    return f"Ask(example_id={request.example_id!r}, messages={request.messages!r})"


def question(example: Example) -> str:
    """The key that a teacher's answer is remembered by: a hash of the input, which is all that the teacher sees."""
    return hashlib.sha256(repr(sorted(example.input.items())).encode()).hexdigest()[:24]


def opened(job: Job, teacher: RungTeacher | ProfileTeacher | ApiTeacher) -> Opened:
    """A teacher with its prompt.

    Raises:
        ConfigError: A prompt, a profile or a price is missing.
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
    """The folder with a teacher's weights.

    Raises:
        ConfigError: There is no such profile.
        TrainingError: The teacher is no model.
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
        ConfigError: It is missing.
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


def require_better(session: TeacherSession, examples: int, least_gain: float) -> None:
    """Refuse a teacher that is not surely better than its pupil on the same dev examples.

    Decided by the 95 % interval of the paired difference (Tango 1998). The pupil is what the rung starts from, with the
    prompt that it is trained with.

    Raises:
        TrainingError: The teacher is not surely better.
    """
    job, dev = session.job, session.job.dev_sample(examples)
    answers = session.answer(dev)
    session.close()  # before the pupil needs the memory
    teacher = job.score(dev, answers)
    pupil, teacher = common(job.score(dev, job.open_model(job.model).answer(dev, job.seed).completions), teacher)
    moved = changes(pupil, teacher)
    gain = tango(len(moved.fixed), len(moved.broken), len(pupil))
    shares = accuracy(teacher.values()).value, accuracy(pupil.values()).value
    log.info(
        "%s: the teacher answers %.1f %% of dev right, its pupil %.1f %%.", job.rung, *(100 * share for share in shares)
    )
    if gain.low < least_gain:
        raise TrainingError(
            NO_GO.format(
                least=100 * least_gain, taught=100 * shares[0], known=100 * shares[1], n=len(pupil),
                low=100 * gain.low, high=100 * gain.high,
            )
        )  # fmt: skip
