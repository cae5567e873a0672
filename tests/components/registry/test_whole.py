"""What is opened is what was registered, and a move of the alias that is interrupted can be taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import RegistryError
from components.registry import (
    aliases,
    make_canary,
    promote,
    register_winner,
    registered,
    rollback,
    verify,
    whole,
    withdraw,
)
from components.registry.store import connect
from components.serving import Follower, Served
from tests.components.registry.conftest import answers, candidate, register_text


def register(workload: str, folder: Path, text: str) -> int:
    made = folder / text
    (made / "more").mkdir(parents=True)
    (made / "more" / "weights.bin").write_bytes(bytes(100_000))
    return register_text(workload, made, text).version


def flip(folder: Path) -> None:
    path = folder / "more" / "weights.bin"
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.write_bytes(content)


def add(folder: Path) -> None:
    (folder / "more" / "chat_template.jinja").write_text("something else")


def remove(folder: Path) -> None:
    (folder / "more" / "weights.bin").unlink()


@pytest.mark.parametrize("change", [flip, add, remove])
def test_files_that_were_changed_are_neither_opened_nor_promoted_nor_rolled_back_to(
    record: Any, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    name = f"changed-{change.__name__}"
    for text in ("a", "b"):
        register(name, tmp_path, text)
    assert whole(registered(name)).number == 2
    change(registered(name, "previous").folder)
    repeated = answers("a")
    for act in (
        lambda: whole(registered(name, "previous")),
        lambda: verify(f"models:/{name}/1", repeated),
        lambda: promote(name, 1),
        lambda: rollback(name),
    ):
        with pytest.raises(RegistryError, match="expected the files that were registered as version 1, found others"):
            act()
    assert registered(name).number == 2


def test_a_follower_keeps_the_last_good_version(record: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    register("followed", tmp_path, "a")
    engine: Any = object()
    follower = Follower(
        lambda: registered("followed"),
        lambda version: Served(whole(version).number, version.method, engine, None, 8),
        every_s=60,
    )
    follower._look()
    register("followed", tmp_path, "b")
    flip(registered("followed").folder)
    with pytest.raises(RegistryError, match="found others"):
        follower._look()
    assert follower.served is not None and follower.served.version == 1


@pytest.mark.parametrize("call", ["set_registered_model_tag", "set_registered_model_alias", "second alias"])
def test_an_interrupted_move_can_be_undone(
    record: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Champion 2, previous 1; promoting 3 ends between any two calls: rollback then finds a version to go back to."""
    name = f"moved-{call.replace(' ', '-')}"
    for text in ("a", "b"):
        register(name, tmp_path, text)
    third = register(name, tmp_path, "c")
    promote(name, 2)
    promote(name, 1)
    promote(name, 2)
    assert (registered(name).number, registered(name, "previous").number) == (2, 1)
    client, calls = connect(), list[str]()
    method = "set_registered_model_alias" if call == "second alias" else call
    real = getattr(client, method)

    def die(*arguments: Any) -> None:
        calls.append(str(arguments))
        if len(calls) > (call == "second alias"):
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(client, method, die)
        with pytest.raises(KeyboardInterrupt):
            promote(name, third)
    assert registered(name).number == 2
    assert rollback(name).number == 1
    assert promote(name, third).number == third
    assert rollback(name).number == 1


def test_a_canary_whose_move_was_interrupted_stops_being_the_canary(
    record: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Champion 1, canary 2; promoting 2 ends after `champion` has moved: called again, it does the rest."""
    for text in ("a", "b"):
        register("canaries", tmp_path, text)
    promote("canaries", 1)
    client = connect()
    client.set_registered_model_alias("canaries", "canary", "2")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client, "delete_registered_model_alias", die)
        with pytest.raises(KeyboardInterrupt):
            promote("canaries", 2)
    assert client.get_registered_model("canaries").aliases.keys() == {"champion", "canary", "previous"}
    assert promote("canaries", 2).number == 2
    named = {alias: int(number) for alias, number in client.get_registered_model("canaries").aliases.items()}
    assert named == {"champion": 2, "previous": 1}
    with pytest.raises(RegistryError, match="expected another version than the champion"):
        promote("canaries", 2)


def offer(workload: str, folder: Path, text: str) -> int:
    """Register files that answer with a text as the candidate."""
    (folder / text).mkdir()
    (folder / text / "answer.txt").write_text(text, encoding="utf-8")
    return register_winner(candidate(workload, folder / text, makes="prompt"), answers(text), "candidate").version


def test_a_candidate_stands_beside_champion_and_canary_until_it_becomes_one_of_them(
    record: Any, tmp_path: Path
) -> None:
    assert aliases("offered") == {}
    register("offered", tmp_path, "a")
    assert offer("offered", tmp_path, "b") == 2
    assert aliases("offered") == {"champion": 1, "candidate": 2}
    make_canary("offered", 2)
    assert aliases("offered") == {"champion": 1, "canary": 2}
    assert offer("offered", tmp_path, "c") == 3
    assert aliases("offered") == {"champion": 1, "canary": 2, "candidate": 3}
    promote("offered", 3)
    assert aliases("offered") == {"champion": 3, "previous": 1, "canary": 2}


def test_a_version_that_is_withdrawn_takes_no_other_ones_alias_with_it(record: Any, tmp_path: Path) -> None:
    register("withdrawn", tmp_path, "a")
    for text in ("b", "c"):
        offer("withdrawn", tmp_path, text)
    make_canary("withdrawn", 2)
    withdraw("withdrawn", 3)
    assert aliases("withdrawn") == {"champion": 1, "canary": 2}
    withdraw("withdrawn", 3)
    withdraw("withdrawn", 1)
    assert aliases("withdrawn") == {"champion": 1, "canary": 2}
