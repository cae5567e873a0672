"""Stages in forks of a process that has imported what they need: they behave as if each had been started by itself."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from components.errors import EXIT_CODE_STOPPED
from components.stages import warm

STAGES = Path(warm.__file__).parent
# A stage that does what it is told, in the place of the real ones.
COMMAND = """
import atexit, os, random, signal, sys, time


def start(arguments):
    match arguments[0]:
        case "fault":
            atexit.register(print, "last")
            raise ValueError("of this stage")
        case "tell":
            print(os.getcwd(), os.environ["MARK"], os.environ[{starter!r}], sys.argv[1:], input())
            print(random.random(), {library!r} in sys.modules, file=sys.stderr)
        case "fail":
            sys.exit(int(arguments[1]))
        case "die":
            os.kill(os.getpid(), int(arguments[1]))
        case "wait":
            print(os.getpid(), os.getppid(), flush=True)
            time.sleep(600)
"""
LIBRARY = "tabnanny"  # which nothing else imports


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a package `components.stages` that has these two modules and that command."""
    folder = tmp_path / "components" / "stages"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").touch()
    for name in ("__main__.py", "environment.py", "../errors.py"):
        shutil.copy(STAGES / name, folder / name)
    source = (STAGES / "warm.py").read_text(encoding="utf-8")
    libraries = f'LIBRARIES = ("{LIBRARY}",)  #'
    assert "LIBRARIES = (" in source
    (folder / "warm.py").write_text(source.replace("LIBRARIES = (", f"{libraries} (", 1), encoding="utf-8")
    (folder / "command.py").write_text(COMMAND.format(starter=warm.STARTER, library=LIBRARY), encoding="utf-8")
    return tmp_path


@pytest.fixture
def warmed(project: Path) -> Generator[subprocess.Popen[bytes]]:
    """The process that forks, which listens."""
    command = [sys.executable, "-m", "components.stages.warm", name_of(project)]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE) as process:
        until(lambda: listens(project))
        yield process
        process.kill()


def name_of(project: Path) -> str:
    """The name of a project's socket."""
    return f"gradus-test-{project}"[-100:]


def listens(project: Path) -> bool:
    """Whether somebody listens there."""
    return connections(project) > 0


def connections(project: Path) -> int:
    """How many sockets have that name."""
    return Path("/proc/net/unix").read_text(encoding="utf-8").count(f"@{name_of(project)}\n")


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


def stage(project: Path, *arguments: str, folder: Path | None = None) -> subprocess.Popen[str]:
    """`python -m components.stages` with the socket's address, as DVC starts it."""
    environment = {
        **os.environ, warm.SOCKET: name_of(project), "MARK": "own", "PYTHONPATH": str(project),
        warm.STARTER: str(os.getpid()),
    }  # fmt: skip
    pipe = subprocess.PIPE
    return subprocess.Popen(
        # A shell that starts something behind it has it ignore SIGINT.
        ["env", "--default-signal=INT", sys.executable, "-m", "components.stages", *arguments],
        cwd=folder or project, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True,
    )  # fmt: skip


def is_gone(process: int) -> bool:
    """Whether a process has ended."""
    return not psutil.pid_exists(process)


def test_a_fork_has_arguments_folder_environment_and_streams_of_its_own(
    project: Path, warmed: subprocess.Popen[bytes]
) -> None:
    drawn = set[str]()
    for folder in (project, project / "components"):
        with stage(project, "tell", "me", folder=folder) as asked:
            out, error = asked.communicate("typed\n")
            assert asked.returncode == 0, error
            assert out == f"{folder} own {asked.pid} ['tell', 'me'] typed\n"  # it ends with who asked for it
            number, imported = error.split()
            assert imported == "True"
            drawn.add(number)
    assert len(drawn) == 2  # not the same "random" numbers in each


def test_code_that_changed_since_the_imports_counts(project: Path, warmed: subprocess.Popen[bytes]) -> None:
    (project / "components" / "stages" / "command.py").write_text("def start(arguments): print('new')\n")
    with stage(project, "tell") as asked:
        assert asked.communicate() == ("new\n", "")


def test_what_a_fork_has_to_do_at_its_end_is_done(project: Path, warmed: subprocess.Popen[bytes]) -> None:
    with stage(project, "fault") as asked:
        out, error = asked.communicate()
    assert (asked.returncode, out) == (1, "last\n")
    assert error.startswith("Traceback") and error.endswith("ValueError: of this stage\n")


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_stage_waits_for_a_process_that_still_imports(project: Path, interrupted: bool) -> None:
    (project / f"{LIBRARY}.py").write_text(
        "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    )
    command = [sys.executable, "-m", "components.stages.warm", name_of(project)]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE) as process:
        until(lambda: listens(project))
        with stage(project, "tell") as asked:
            until(lambda: connections(project) == 2)  # what listens, and what waits to be accepted
            if interrupted:
                asked.send_signal(signal.SIGINT)
                assert asked.wait(60) == EXIT_CODE_STOPPED
            (project / "go").touch()
            if interrupted:
                assert asked.communicate() == ("", "")
            else:
                assert asked.communicate("typed\n")[1].split()[1] == "True"
        process.kill()


@pytest.mark.parametrize(("words", "code"), [(("fail", "2"), 2), (("fail", "130"), 130), (("die", "9"), -9)])
def test_it_ends_as_the_fork_ends(
    project: Path, warmed: subprocess.Popen[bytes], words: tuple[str, ...], code: int
) -> None:
    with stage(project, *words) as asked:
        asked.communicate()
    assert asked.returncode == code


def test_sigterm_reaches_the_fork_and_the_end_of_the_process_that_forks_ends_who_asked(
    project: Path, warmed: subprocess.Popen[bytes]
) -> None:
    forks = list[int]()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with stage(project, "wait") as asked:
            assert asked.stdout is not None
            fork, parent = map(int, asked.stdout.readline().split())
            assert parent == warmed.pid and fork != asked.pid
            (asked if number == signal.SIGTERM else warmed).send_signal(number)
            assert asked.wait(60) == -number
            forks.append(fork)
    until(lambda: is_gone(forks[0]))
    os.kill(forks[1], signal.SIGKILL)  # real stages look whether their parent is there


def test_a_stage_does_everything_itself_where_nobody_listens(project: Path) -> None:
    with stage(project, "tell") as asked:
        out, error = asked.communicate("typed\n")
    assert out == f"{project} own {os.getpid()} ['tell'] typed\n"
    assert error.split()[1] == "False"


def test_another_python_is_refused_and_does_everything_itself(project: Path, warmed: subprocess.Popen[bytes]) -> None:
    path = project / "components" / "stages" / "warm.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace('"python": sys.executable', '"python": "/other/python"'), encoding="utf-8")
    with stage(project, "tell") as asked:
        assert asked.communicate("typed\n")[1].split()[1] == "False"


def test_the_process_that_forks_ends_with_its_starter(project: Path, warmed: subprocess.Popen[bytes]) -> None:
    assert warmed.stdin is not None
    warmed.stdin.close()
    assert warmed.wait(60) == 0
    assert not listens(project)


def test_another_user_s_process_is_not_forked_for(project: Path) -> None:
    path = project / "components" / "stages" / "warm.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("os.getuid()", "os.getuid() + 1"), encoding="utf-8")
    command = [sys.executable, "-m", "components.stages.warm", name_of(project)]
    with subprocess.Popen(command, cwd=project, stdin=subprocess.PIPE) as process:
        until(lambda: listens(project))
        with stage(project, "tell") as asked:
            assert asked.communicate("typed\n")[1].split()[1] == "False"  # it does everything itself
        process.kill()


def test_one_is_started_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "is_safe", lambda: False)
    warm.begin()
    assert warm.SOCKET not in os.environ
    monkeypatch.setattr(warm, "is_safe", lambda: True)
    try:
        warm.begin()
        address = os.environ[warm.SOCKET]
        warm.begin()
        assert os.environ[warm.SOCKET] == address
    finally:
        warm.end()
    warm.end()
    assert warm.SOCKET not in os.environ
