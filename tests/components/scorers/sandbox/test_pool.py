"""Who is to blame for a lost worker, and which workers a sandbox keeps; with real workers that are lost on purpose."""

from collections.abc import Callable, Iterator

import psutil
import pytest

from components.errors import ScorerError
from components.params.sandbox import SandboxParams
from components.scorers.sandbox import Answer, Call, Execution, Program, Sandbox
from components.scorers.sandbox.isolation import ENVIRONMENT
from components.scorers.sandbox.worker import Worker, WorkerLost

TRUSTING = SandboxParams(isolation="none_i_trust_the_code", workers=1)
Behave = Callable[[Program, int], Execution | None]


def program(code: str) -> Program:
    return Program(code=code, calls=(Call(call="f"),))


GOOD, BAD = program("def f(): return 7"), program("def f(): return 8")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    before = psutil.Process().children()
    with Sandbox(TRUSTING) as opened:
        yield opened
    assert psutil.Process().children() == before


def behaving(monkeypatch: pytest.MonkeyPatch, behave: Behave) -> list[Program]:
    """Let workers behave so, given a program and how many came before it; where there is no outcome, they run it."""
    ran, run = list[Program](), Worker.run

    def misrun(worker: Worker, what: Program) -> Execution:
        ran.append(what)
        return behave(what, len(ran) - 1) or run(worker, what)

    monkeypatch.setattr(Worker, "run", misrun)
    return ran


def lost(what: Program, before: int) -> Execution | None:
    if what == BAD:
        raise WorkerLost
    return None


def test_one_worker_runs_all_programs(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = behaving(monkeypatch, lambda what, before: None)
    assert sandbox.isolation == "none_i_trust_the_code"
    answers = [execution.answers for execution in sandbox.run_many([GOOD] * 3) if isinstance(execution, Execution)]
    assert answers == [(Answer(value=7),)] * 3
    assert len(ran) == 4  # and a test program, once
    assert len(sandbox._idle) == 1


def test_a_program_that_loses_two_workers_is_blamed_and_not_tried_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = behaving(monkeypatch, lost)
    bad, good = sandbox.run_many([BAD, GOOD])
    assert bad == Execution(failure="brought down two workers")
    assert isinstance(good, Execution)
    assert good.answers == (Answer(value=7),)
    assert ran.count(BAD) == 2
    assert len(sandbox._idle) == 1


def test_a_program_that_loses_one_worker_runs_in_another(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    behaving(monkeypatch, lambda what, before: lost(what, before) if before == 1 else None)
    (execution,) = sandbox.run_many([BAD])
    assert isinstance(execution, Execution)
    assert execution.answers == (Answer(value=8),)


def test_where_no_fresh_worker_works_the_sandbox_is_to_blame(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(what: Program, before: int) -> Execution | None:
        if what == BAD or before > 3:  # the last test program too
            raise WorkerLost
        return None

    behaving(monkeypatch, failing)
    (error,) = sandbox.run_many([BAD])
    assert isinstance(error, ScorerError)
    assert str(error) == "its first program failed: it was lost"


def test_a_sandboxs_own_failure_takes_the_executions_place(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(what: Program, before: int) -> Execution | None:
        if what == BAD:
            raise ScorerError("no process")
        return None

    behaving(monkeypatch, failing)
    bad, good = sandbox.run_many([BAD, GOOD])
    assert isinstance(bad, ScorerError)
    assert str(bad) == "no process"
    assert isinstance(good, Execution)
    assert good.answers == (Answer(value=7),)


WRONG = Execution(answers=(Answer(value=41),))


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (WRONG, f"{WRONG.answers}"),
        (Execution(failure="left with status 1"), "left with status 1"),
        (WorkerLost(), "it was lost"),
        (ScorerError("no process"), "no process"),
    ],
)
def test_a_worker_that_fails_the_first_sum_is_not_used(
    outcome: Execution | Exception, why: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(what: Program, before: int) -> Execution:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    ran = behaving(monkeypatch, failing)
    errors = sandbox.run_many([GOOD, GOOD])
    text = f"found none (none_i_trust_the_code: its first program failed: {why}); install bubblewrap"
    assert all(isinstance(error, ScorerError) and text in str(error) for error in errors)
    assert len(errors) == 2
    assert len(ran) == 1  # the choice is made once


def test_every_isolation_that_was_tried_says_why_not(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(tmp_path))
    for isolation, reasons in (
        ("auto", "bubblewrap: no bwrap is installed; unshare: no setpriv is installed"),
        ("unshare", "unshare: no setpriv is installed"),
        ("bubblewrap", "bubblewrap: no bwrap is installed"),
    ):
        with Sandbox(SandboxParams.model_validate({"isolation": isolation})) as refusing:
            with pytest.raises(ScorerError) as refused:
                assert refusing.isolation
            assert f"found none ({reasons}); " in str(refused.value)
