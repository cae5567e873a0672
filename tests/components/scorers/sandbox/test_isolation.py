"""The command that isolates a worker: what it needs, and what it lets a program read."""

import sys
from pathlib import Path

import pytest

from components.scorers.sandbox.isolation import ENVIRONMENT, Isolation, isolated_command, missing


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *tools: str) -> None:
    """Make these the only tools there are."""
    for tool in tools:
        (folder / tool).write_text("#!/bin/sh\n")
        (folder / tool).chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(folder))


@pytest.mark.parametrize(
    ("tools", "bubblewrap", "unshare"),
    [
        ((), "no bwrap is installed", "no setpriv is installed"),
        (("bwrap",), None, "no setpriv is installed"),
        (("setpriv", "unshare"), "no bwrap is installed", "no mount is installed"),
        (("setpriv", "unshare", "mount"), "no bwrap is installed", "no pivot_root is installed"),
        (("setpriv", "unshare", "mount", "pivot_root"), "no bwrap is installed", None),
    ],
)
def test_the_first_tool_that_is_missing_is_named(
    tools: tuple[str, ...], bubblewrap: str | None, unshare: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, *tools)
    monkeypatch.setattr(sys, "platform", "linux")
    assert (missing("bubblewrap"), missing("unshare")) == (bubblewrap, unshare)
    assert missing("none_i_trust_the_code") is None


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_namespaces_need_linux(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert missing("bubblewrap") == missing("unshare") == f"namespaces need Linux, and this is {platform}"
    assert missing("none_i_trust_the_code") is None


def readable(isolation: Isolation) -> list[str]:
    """The folders that a command makes readable inside."""
    command = isolated_command(isolation, ["-c", "pass"])
    if isolation == "unshare":
        return command[command.index("sandbox") + 1 : command.index("--")]
    places = [place for place, part in enumerate(command) if part == "--ro-bind"]
    assert all(command[place + 1] == command[place + 2] for place in places)
    return [command[place + 1] for place in places]


@pytest.mark.parametrize("isolation", ["bubblewrap", "unshare"])
def test_a_program_reads_the_system_and_the_interpreter_alone(
    isolation: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    system = [folder for folder in ("/usr", "/lib", "/lib64", "/bin", "/sbin") if Path(folder).is_dir()]
    assert readable(isolation) == [*system, str(tmp_path)]
    for prefix in ("/", "/usr/bin", "/nowhere"):  # all; what is readable already; nothing
        monkeypatch.setattr(sys, "base_prefix", prefix)
        assert readable(isolation) == system


@pytest.mark.parametrize("isolation", ["bubblewrap", "unshare", "none_i_trust_the_code"])
def test_every_command_ends_with_an_interpreter_that_reads_no_settings(isolation: Isolation) -> None:
    command = isolated_command(isolation, ["-c", "pass", "more"])
    python, *options = command[-8:]
    assert Path(python).samefile(sys.executable)
    assert options == ["-s", "-P", "-S", "-B", "-c", "pass", "more"]
    assert (len(command) == 8) == (isolation == "none_i_trust_the_code")
    tool = {"bubblewrap": "bwrap", "unshare": "setpriv"}.get(isolation, python)
    assert command[0] == tool
