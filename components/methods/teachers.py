"""Teachers: stronger models whose answers others learn from; behind an API, of another profile, or an earlier rung.

Decides how a teacher is opened and asked, so that no answer is paid for twice, what it costs over all attempts at a
rung, and whether it may teach: it must be better than its pupil.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.engines import ChatRequest, Sampling, open_engine
from components.errors import TrainingError
from components.evaluation import accuracy
from components.evaluation.compare import common, compare
from components.methods.contract import Made
from components.methods.job import Job, asked_as_usual
from components.models import folder_digest, model_folder
from components.opening import Opened, open_artifact, over, prompt_of
from components.params import BASE, ApiParams, Profile, Settings, load
from components.prompts import Prompt
from components.records import Completion, Example, Record, read_jsonl, read_record, write_jsonl, write_record
from components.shots import OthersShots, Shots, shots_in
from components.training.launch import once

PROFILES = Path("params/profiles")
BATCH, REQUESTS = 256, 32  # answers, and replies to other requests, between two looks at what they cost, at most
FIRST = 4  # answers that show what one costs, where there is a budget
NO_GO = (
    "expected a teacher that is surely at least {least:.1f} points better than its pupil on dev (least_gain), found "
    "{taught:.1f} % against {known:.1f} % of {n:,}: {low:+.1f} to {high:+.1f} points"
)
TOO_DEAR = "expected {all:,} answers of the teacher for at most ${most:g} (most_usd), found ${usd:.2f} after {n:,}"
log = logging.getLogger(__name__)


class RungTeacher(Settings):
    """An earlier rung or group of the ladder; `base` is the profile's base model, asked with `prompt`."""

    kind: Literal["rung"] = "rung"
    rung: str
    prompt: str | None = Field(default=None, description="One of the workload's prompts; None: the rung's own.")

    @model_validator(mode="after")
    def _has_a_prompt(self) -> "RungTeacher":
        if self.rung == BASE and self.prompt is None:
            raise ValueError(f"prompt: expected one of the workload's where rung is {BASE}, which has none, found none")
        return self


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
Reply = Callable[[Opened, Sequence[str]], list[Completion]]
"""What an opened teacher says to those that wait, by their keys, in order."""
Useful = Callable[[Completion], bool]
"""Whether a reply is what was asked for."""


class Spent(Record):
    """What a rung's teacher has taken so far, over all attempts at making the rung, under any of its settings."""

    asked: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0


@dataclass
class Bill:
    """What a teacher's answers took: how many were asked for, tokens, seconds and, where an API gave them, US dollars.

    It begins with what earlier attempts at the rung spent. `remembered` are answers that this attempt found.
    """

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

    @property
    def spent(self) -> Spent:
        """What outlasts an interruption."""
        return Spent(**{name: value for name, value in vars(self).items() if name in Spent.model_fields})

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
    """A teacher that answers for a job, within a budget for all attempts at the rung."""

    job: Job
    teacher: RungTeacher | ProfileTeacher | ApiTeacher
    most_usd: float | None = None
    bill: Bill = field(default_factory=Bill)
    _opened: Opened | None = None

    def __post_init__(self) -> None:
        """Go on with the bill of an earlier attempt."""
        if self.job.account.is_file():
            vars(self.bill).update(read_record(self.job.account, Spent).model_dump())

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
            TrainingError: `most_usd` does not suffice for all of them.
        """
        keys = [question(example) for example in examples]
        by_key = {key: example.model_copy(update={"id": key}) for key, example in zip(keys, examples, strict=True)}

        def reply(opened: Opened, waiting: Sequence[str]) -> list[Completion]:
            return opened.answer([by_key[key] for key in waiting], self.job.seed).completions

        done = once(lambda: self._known(self._identity, keys, BATCH, reply))
        return [
            done[key].model_copy(update={"example_id": example.id}) for key, example in zip(keys, examples, strict=True)
        ]

    def ask(self, requests: Sequence[ChatRequest], sampling: Sampling, useful: Useful) -> list[Completion]:
        """One reply to each of other requests, in order; counted as answers are, and remembered where it is useful.

        Where none of a first batch is useful, nobody else is asked, and there are fewer replies.

        Raises:
            EngineError: Nothing is answered.
            TrainingError: `most_usd` does not suffice for all of them.
        """
        parts = [sampling.model_dump_json(), *(_remembered_as(request) for request in requests)]
        name = hashlib.sha256("\n".join((self._identity, *parts)).encode()).hexdigest()[:16]
        by_key = {request.example_id: request for request in requests}

        def reply(opened: Opened, waiting: Sequence[str]) -> list[Completion]:
            return opened.engine.generate([by_key[key] for key in waiting], sampling)

        done = once(lambda: self._known(name, list(by_key), REQUESTS, reply, useful))
        return [done[key] for key in by_key if key in done]

    def _known(
        self, name: str, keys: Sequence[str], batch: int, reply: Reply, useful: Useful | None = None
    ) -> dict[str, Completion]:
        """Completions by key: those on file under a name, and new ones, as long as the budget allows.

        Failures and what is not `useful` are asked for again by the next attempt.
        """
        path, wanted = self.job.work.parent / f"taught-{name}.jsonl", list(dict.fromkeys(keys))

        def keeps(answer: Completion) -> bool:
            return answer.error is None and (useful is None or useful(answer))

        on_file = read_jsonl(path, Completion) if path.is_file() else []
        done = {answer.example_id: answer for answer in on_file if keeps(answer)}
        waiting = [key for key in wanted if key not in done]
        self.bill.remembered += len(keys) - len(waiting)
        at, answered, before = 0, 0, self.bill.usd
        while at < len(waiting):
            n = self._allowed(batch, (self.bill.usd - before) / answered if answered else None)
            if n == 0:
                raise self._too_dear(len(wanted) - len(waiting) + at, len(wanted))
            answers = self._asked(waiting[at : at + n], reply)
            at, answered = at + len(answers), answered + sum(answer.error is None for answer in answers)
            done |= {answer.example_id: answer for answer in answers}
            write_jsonl(path, kept := [answer for answer in done.values() if keeps(answer)])
            if useful is not None and not kept:
                break
        if self._left is not None and self._left < 0:
            raise self._too_dear(len(wanted) - len(waiting) + at, len(wanted))
        return done

    @property
    def _left(self) -> float | None:
        """US dollars of the budget that are left; None where there is none, or answers cost nothing."""
        if self.most_usd is None or self._paid_model is None:
            return None
        return round(self.most_usd - self.bill.usd, 9)

    def _allowed(self, batch: int, usd: float | None) -> int:
        """How many may be asked next, if one costs so much: half of what the budget allows, since they differ."""
        if self._left is None:
            return batch
        if self._left <= 0:
            return 0
        if usd is None:
            return min(batch, FIRST)
        return min(batch, (int(round(self._left / usd, 6)) + 1) // 2) if usd else batch

    def _asked(self, waiting: Sequence[str], reply: Reply) -> list[Completion]:
        """New completions; the bill is on file before they are, since they are paid for."""
        opened, started = self.opened, time.monotonic()
        answers = reply(opened, waiting)
        self._count(answers, time.monotonic() - started)
        write_record(self.job.account, self.bill.spent)
        return answers

    def _count(self, answers: Sequence[Completion], seconds: float) -> None:
        account, before = self.bill, (self.bill.input_tokens, self.bill.output_tokens)
        account.asked, account.seconds = account.asked + len(answers), account.seconds + seconds
        account.input_tokens += sum(answer.usage.input_tokens for answer in answers)
        account.output_tokens += sum(answer.usage.output_tokens for answer in answers)
        if (paid := self._paid_model) is not None:
            assert self.job.prices is not None, "expected prices, found none"
            price = self.job.prices.model(paid)
            account.usd += price.usd(account.input_tokens - before[0], account.output_tokens - before[1])

    def _too_dear(self, n: int, wanted: int) -> TrainingError:
        return TrainingError(TOO_DEAR.format(all=wanted, most=self.most_usd, usd=self.bill.usd, n=n))

    @property
    def _paid_model(self) -> str | None:
        """The API's model that is paid for answers, also for those to an earlier prompt; None where none is."""
        if isinstance(self.teacher, ApiTeacher):
            return self.teacher.model
        taught, of_prompts = self.job.teacher, self.job.profile.prompting
        asks = isinstance(self.teacher, RungTeacher) and taught is not None and taught.makes == "prompt"
        return self.job.workload.incumbent if asks and of_prompts is not None else None

    @cached_property
    def _identity(self) -> str:
        """A hash of all that an answer depends on except its input; a teacher in a folder counts by its contents.

        How an API is asked (`ASKING`) is left out: whoever waits longer or asks less at once pays for no answer twice.
        """
        job, taught = self.job, self.job.teacher
        parts = [asked_as_usual(self.teacher).model_dump_json(), job.profile.engine.model_dump_json(), str(job.seed)]
        parts += [str(job.workload.output), str(job.workload.constrained), job.profile.model.model_dump_json()]
        if isinstance(self.teacher, RungTeacher) and taught is not None:
            api = job.profile.prompting
            asked = api and asked_as_usual(api).model_dump_json()
            parts += [folder_digest(taught.folder), str(asked), job.workload.incumbent]
            parts += [OthersShots.__name__] if shots_in(taught.folder) else []
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
        taught = open_artifact(job.teacher, job.workload, job.profile, job.columns)
        return replace(taught, prompt=taught.prompt and _showing_others(taught.prompt))
    engine = open_engine(job.profile.engine, job.teacher.folder, job.profile.model.precision)
    return over(engine, job.written_prompt(teacher.prompt), job.workload, job.profile)


def _showing_others(prompt: Prompt) -> Prompt:
    """A prompt whose shots do not answer what it asks: its answers are remembered by input and judge demonstrations."""
    return replace(prompt, shots=OthersShots(**dict(prompt.shots))) if isinstance(prompt.shots, Shots) else prompt


def require_better(session: TeacherSession, examples: int, least_gain: float) -> None:
    """Refuse a teacher that is not surely better than its pupil on the same dev examples.

    Decided by the 95 % interval of the paired difference, as wide as groups make it. The pupil is what the rung starts
    from, with the prompt that it is trained with.

    Raises:
        TrainingError: The teacher is not surely better.
    """
    job, dev = session.job, session.job.dev_sample(examples)
    answers = session.answer(dev)
    session.close()  # before the pupil needs the memory
    teacher = job.score(dev, answers)
    pupil, teacher = common(job.score(dev, job.open_model(job.model).answer(dev, job.seed).completions), teacher)
    gain = compare(pupil, teacher, groups={example.id: example.group for example in dev})
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
