"""The champion: stored, reloaded, compared, and only then pointed to."""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from components.errors import RegistryError
from components.records import Message
from components.registry import Check, promote, register_winner, registered, rollback, verify
from components.registry import models as registry_models
from tests.components.registry.conftest import PROMOTED, candidate

Models: TypeAlias = tuple[Path, Path]
Checks: TypeAlias = tuple[Check, Check]


def changed(folder: Path, to: Path) -> Path:
    """A copy of a model folder with one file more, and so another digest."""
    shutil.copytree(folder, to)
    (to / "note.txt").write_text("another version")
    return to


def test_a_registered_champion_reloads_and_repeats_ten_completions(record: Any, models: Models, checks: Checks) -> None:
    champion = register_winner(candidate("first", models[0]), checks[0])
    assert (champion.version, champion.new) == (1, True)
    assert len(checks[0].expected) == 10
    assert registered("first").folder == champion.folder != models[0]
    assert verify("models:/first@champion", checks[0]) == verify(champion.uri, checks[0]) == champion.folder


def test_a_version_says_why_the_gate_chose_it_and_where_it_comes_from(
    record: Any, models: Models, checks: Checks
) -> None:
    register_winner(candidate("reasons", models[0]), checks[0])
    version = record.get_model_version_by_alias("reasons", "champion")
    assert json.loads(version.tags["gate.reasons"]) == ["5 points better", "p = 0.001"]
    assert "`grpo` replaced `sft`" in version.description and "- p = 0.001" in version.description
    expected = {"rung": "grpo", "data_hash": "d1", "git_commit": "c0ffee", "gate.decision": "promoted"}
    assert {**version.tags, **expected} == version.tags
    assert version.tags["gradus.verified"] == "10 completions reproduced"


def test_the_former_champion_stays_as_previous(record: Any, models: Models, checks: Checks, tmp_path: Path) -> None:
    register_winner(candidate("moves", models[0]), checks[0])
    second = register_winner(candidate("moves", models[1]), checks[1])
    assert second.version == 2
    assert record.get_model_version_by_alias("moves", "previous").version in (1, "1")
    assert verify(registered("moves", "previous").folder, checks[0])
    third = register_winner(candidate("moves", changed(models[0], tmp_path / "third")), checks[0])
    assert registered("moves", "previous").folder == second.folder and registered("moves").folder == third.folder


def test_a_version_is_promoted_by_hand_and_rolled_back(record: Any, models: Models, checks: Checks) -> None:
    for model, check in zip(models, checks, strict=True):
        register_winner(candidate("hands", model), check)
    assert (registered("hands").number, registered("hands", "previous").number) == (2, 1)
    assert (promote("hands", 1).number, registered("hands").number, registered("hands", "previous").number) == (1, 1, 2)
    assert (rollback("hands").number, rollback("hands").number) == (2, 1)
    assert (registered("hands").method, registered("hands").prompt) == ("grpo", "short")
    with pytest.raises(RegistryError, match="expected another version than the champion, found models:/hands/1"):
        promote("hands", 1)
    with pytest.raises(RegistryError, match="expected a model at models:/hands/9"):
        promote("hands", 9)
    record.set_model_version_tag("hands", "2", "gradus.verified", "no")
    with pytest.raises(RegistryError, match="expected a version that was verified"):
        promote("hands", 2)


def test_the_same_files_are_not_stored_twice(record: Any, models: Models, checks: Checks) -> None:
    first = register_winner(candidate("again", models[0]), checks[0])
    again = register_winner(candidate("again", models[0]), checks[0])
    assert again == replace(first, new=False)
    assert len(record.search_model_versions("name='again'")) == 1


def test_a_model_that_answers_differently_does_not_become_champion(record: Any, models: Models, checks: Checks) -> None:
    register_winner(candidate("kept", models[0]), checks[0])
    with pytest.raises(RegistryError, match=r"expected '.*', found '.*' \(completion \d+ of 10 from models:/kept/2\)"):
        register_winner(candidate("kept", models[1]), checks[0])
    assert int(record.get_model_version_by_alias("kept", "champion").version) == 1
    assert record.get_model_version("kept", "2").tags["gradus.verified"] == "no"
    with pytest.raises(RegistryError, match="expected a model at models:/kept@previous"):
        registered("kept", "previous")


def test_stored_files_that_changed_are_refused(record: Any, models: Models, checks: Checks) -> None:
    champion = register_winner(candidate("changed", models[0]), checks[0])
    (champion.folder / "config.json").write_text("{}")
    with pytest.raises(RegistryError, match=r"expected the files that were registered as version 1, found others"):
        verify("models:/changed@champion", checks[0])
    shutil.rmtree(champion.folder)
    with pytest.raises(RegistryError, match="expected the files of models:/changed@champion, found none at"):
        registered("changed")


def test_a_kept_champion_is_the_winner_and_the_challenger_is_not(record: Any, models: Models, checks: Checks) -> None:
    kept = PROMOTED.model_copy(update={"decision": "kept"})
    winner = candidate("decided", models[0], kept)
    assert winner.rung.name == "sft"
    loser = replace(winner, rung=winner.rung.model_copy(update={"name": "grpo"}))
    with pytest.raises(RegistryError, match="expected the gate's winner `sft`, found `grpo`"):
        register_winner(loser, checks[0])
    assert register_winner(winner, checks[0]).version == 1
    assert "did not replace" in record.get_model_version_by_alias("decided", "champion").description


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_half_a_model_is_refused_before_anything_is_stored(
    record: Any, models: Models, checks: Checks, tmp_path: Path, missing: str
) -> None:
    half = shutil.copytree(models[0], tmp_path / "half")
    (half / missing).unlink()
    with pytest.raises(RegistryError, match=rf"expected .*(safetensors|{missing}), found none"):
        register_winner(candidate("half", half), checks[0])
    assert not record.search_model_versions("name='half'")


def test_adapters_that_still_wrap_the_model_are_refused(
    record: Any, models: Models, checks: Checks, tmp_path: Path
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    wrapped = shutil.copytree(models[0], tmp_path / "wrapped")
    weight = {"base_model.model.lm_head.lora_A.weight": np.zeros((1, 1), dtype=np.float32)}
    save_file(weight, wrapped / "model.safetensors")
    with pytest.raises(RegistryError, match=r"found the weight base_model\.model\.lm_head\.lora_A\.weight"):
        register_winner(candidate("wrapped", wrapped), checks[0])


def test_a_prompt_rung_is_a_folder_without_weights(record: Any, tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text("Answer: {message}")
    talk = [Message(role="user", content="hello")]

    def read(folder: Path, conversations: Sequence[Sequence[Message]]) -> list[str]:
        return [(folder / "prompt.md").read_text().replace("{message}", turns[-1].content) for turns in conversations]

    champion = register_winner(candidate("prompted", tmp_path, makes="prompt"), Check([(talk, "Answer: hello")], read))
    assert (champion.folder / "prompt.md").is_file()


def test_a_check_without_expectations_or_with_too_few_answers_fails(models: Models, checks: Checks) -> None:
    with pytest.raises(RegistryError, match="expected completions to reproduce, found none"):
        verify(models[0], Check([], checks[0].generate))
    with pytest.raises(RegistryError, match="expected 10 completions, found 0"):
        verify(models[0], Check(checks[0].expected, lambda folder, conversations: []))


def test_an_unregistered_version_is_named(record: Any, checks: Checks) -> None:
    with pytest.raises(RegistryError, match="expected a model at models:/nobody@champion, found"):
        registered("nobody")
    with pytest.raises(RegistryError, match="expected an address such as"):
        verify("runs:/123/model", checks[0])


def test_two_who_fetch_a_version_at_once_both_get_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = Barrier(2)

    def fetch(dst_path: str, **_: Any) -> str:
        model = Path(dst_path) / "model"
        model.mkdir(parents=True)
        (model / "first.bin").write_bytes(b"one")
        begun.wait(timeout=30)  # both have a part
        (model / "second.bin").write_bytes(b"two")
        return str(model)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fetch)
    old, young = tmp_path / "shop" / "1.killed.part", tmp_path / "shop" / "2.fetching.part"
    for part in (old, young):
        part.mkdir(parents=True)
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    folder = tmp_path / "shop" / "1"
    with ThreadPoolExecutor(2) as two:
        fetching = [two.submit(registry_models._copy, "mlflow-artifacts:/1/model", folder) for _ in range(2)]
        assert [one.result() for one in fetching] == [folder, folder]
    assert sorted(path.name for path in folder.iterdir()) == ["first.bin", "second.bin"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1", "2.fetching.part"]


@dataclass(frozen=True)
class Served:
    """Version 1 of a model in a server's record."""

    run: str
    tags: Mapping[str, str]

    def get_model_version(self, name: str, version: str) -> Any:
        source = self.get_model_version_download_uri(name, version)
        return SimpleNamespace(name=name, version=version, tags=self.tags, source=source)

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        return f"mlflow-artifacts:/1/{self.run}/artifacts/model"


@pytest.mark.parametrize(
    "digests", [("a" * 64, "b" * 64), (None, None), ("a" * 64, None)], ids=["with", "without", "one without"]
)
def test_versions_of_two_servers_with_the_same_number_are_copied_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digests: tuple[str | None, str | None]
) -> None:
    fetched: list[str] = []

    def fetch(artifact_uri: str, dst_path: str, **_: Any) -> str:
        fetched.append(artifact_uri)
        (Path(dst_path) / "model").mkdir()
        (Path(dst_path) / "model" / "answer.txt").write_text(artifact_uri, encoding="utf-8")
        return str(Path(dst_path) / "model")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fetch)
    monkeypatch.chdir(tmp_path)
    servers = [
        Served(run, {"gradus.digest": digest} if digest else {})
        for run, digest in zip(("staging", "production"), digests, strict=True)
    ]
    for server in (*servers, *servers):
        monkeypatch.setattr(registry_models, "connect", lambda server=server: server)
        folder, _ = registry_models._fetched("models:/shop/1")
        assert f"/{server.run}/" in (folder / "answer.txt").read_text(encoding="utf-8")
    assert len(fetched) == 2


def test_a_version_that_cannot_be_fetched_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(**_: Any) -> str:
        raise OSError("the server is away")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fetch)
    with pytest.raises(OSError, match="the server is away"):
        registry_models._copy("mlflow-artifacts:/1/model", tmp_path / "shop" / "1")
    assert list((tmp_path / "shop").iterdir()) == []
