"""What travels with a stage that runs elsewhere: archives, checkpoints, and how a pod finds the remote."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from components.errors import ConfigError, DataError
from components.params import LauncherParams, ScorerParams
from components.stages.carrying import (
    Remote,
    attach,
    digest_of,
    environment_of,
    packed,
    remote_settings,
    travelling,
    unpack,
)  # fmt: skip
from components.stages.graph import nodes
from components.stages.run import Run
from components.training.checkpoints import last_checkpoint
from tests.components.stages.conftest import ROOT, MakeRun


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Any]:
    attach(tmp_path / "project", json.dumps({"url": str(tmp_path / "remote")}))
    with Repo(str(tmp_path / "project")) as opened:
        yield opened


def save(folder: Path, *names: str) -> None:
    """Write files that hold their own names; those that complete a checkpoint hold what a trainer writes there."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = '{"log_history": []}' if name.endswith("trainer_state.json") else name
        (folder / name).write_text(text, encoding="utf-8")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_same_files_give_the_same_archive_and_come_out_as_they_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path, "a/one", "two")
    archive = packed([Path("a/one"), Path("two")])
    (tmp_path / "two").touch()
    assert packed([Path("a/one"), Path("two")]) == archive
    unpack(archive, tmp_path / "there", digest_of(archive))
    assert {name: (tmp_path / "there" / name).read_text() for name in files(tmp_path / "there")} == {
        "a/one": "a/one", "two": "two",
    }  # fmt: skip


def test_an_archive_whose_hash_is_not_its_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected an archive with the hash"):
        unpack(packed([]), tmp_path, "0" * 64)


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_an_archive_writes_nothing_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), BytesIO())
    with pytest.raises(DataError, match="expected files of a project"):
        unpack(content.getvalue(), tmp_path / "there", digest_of(content.getvalue()))
    assert files(tmp_path) == set()


def test_whole_checkpoints_go_and_come_back_and_torn_ones_stay(repo: Any, tmp_path: Path) -> None:
    remote, work = Remote.of(repo), tmp_path / "work"
    save(work, "identity.json", "best-20/weights", "checkpoint-20/weights", "checkpoint-20/trainer_state.json")
    save(work, "checkpoint-40/weights")  # its trainer state, written last, is not there yet
    remote.push_work(work, "key")
    remote.pull_work(tmp_path / "next", "key")
    assert files(tmp_path / "next") == files(work) - {"checkpoint-40/weights"}
    remote.pull_work(tmp_path / "other", "another")
    remote.drop_work("key")
    remote.pull_work(tmp_path / "later", "key")
    assert not (tmp_path / "other").exists() and not (tmp_path / "later").exists()


def checkpoint(step: int) -> tuple[str, str]:
    return f"checkpoint-{step}/weights", f"checkpoint-{step}/trainer_state.json"


def test_the_remote_keeps_what_the_trainer_keeps(repo: Any, tmp_path: Path) -> None:
    remote, work, kept = Remote.of(repo), tmp_path / "work", tmp_path / "remote" / "gradus" / "work" / "key" / "own"
    save(work, "identity.json", "best-20/weights", *checkpoint(20))
    remote.push_work(work, "key")
    shutil.rmtree(work / "checkpoint-20")
    save(work, "best-100/weights", checkpoint(100)[0])  # not whole yet: what the remote has stays
    remote.push_work(work, "key")
    assert files(kept) == {"identity.json", "best-20/weights", "best-100/weights", *checkpoint(20)}
    shutil.rmtree(work / "best-20")
    save(work, *checkpoint(100))
    remote.push_work(work, "key")
    assert files(kept) == files(work) == {"identity.json", "best-100/weights", *checkpoint(100)}


def test_a_checkpoint_that_is_deleted_while_it_is_sent_leaves_the_one_before(
    repo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, work = Remote.of(repo), tmp_path / "work"
    save(work, *checkpoint(20))
    remote.push_work(work, "key")
    shutil.rmtree(work / "checkpoint-20")
    save(work, *checkpoint(40))
    put = remote.fs.put_file

    def go_on(path: str, to: str) -> None:
        put(path, to)
        save(work, *checkpoint(60))
        shutil.rmtree(work / "checkpoint-40", ignore_errors=True)

    with monkeypatch.context() as patch:
        patch.setattr(remote.fs, "put_file", go_on)
        remote.push_work(work, "key")
    remote.pull_work(tmp_path / "next", "key")
    assert files(tmp_path / "next") == {*checkpoint(20)}
    remote.push_work(work, "key")
    remote.pull_work(tmp_path / "later", "key")
    assert files(tmp_path / "later") == {*checkpoint(60)}


def test_the_latest_whole_checkpoint_alone_is_fetched(repo: Any, tmp_path: Path) -> None:
    kept = tmp_path / "remote" / "gradus" / "work" / "key" / "own"
    save(kept, "best-9/weights", *checkpoint(9), *checkpoint(10), *checkpoint(11), checkpoint(12)[0])
    (kept / checkpoint(11)[1]).write_text('{"log_his', encoding="utf-8")  # sent in part
    Remote.of(repo).pull_work(tmp_path / "next", "key")
    assert last_checkpoint(tmp_path / "next") == tmp_path / "next" / "checkpoint-10"
    assert files(tmp_path / "next") == {"best-9/weights", *checkpoint(10)}


def test_files_beside_checkpoints_are_sent_again_only_if_they_change(
    repo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, work = Remote.of(repo), tmp_path / "run" / "sft"
    names = ("best-20/weights", "progress.json", "log.txt", "checkpoint-20/weights", "checkpoint-20/trainer_state.json")
    save(work, *names)
    remote.push_work(work, "key")
    put: list[str] = []
    kept = remote.fs.put_file
    monkeypatch.setattr(remote.fs, "put_file", lambda path, to: (put.append(Path(path).name), kept(path, to)))
    remote.push_work(work, "key")
    assert put == []
    (work / "progress.json").write_text("progress.JSON", encoding="utf-8")  # of the same size
    (work / "log.txt").write_text("a longer log", encoding="utf-8")
    remote.push_work(work, "key")
    assert sorted(put) == ["log.txt", "progress.json"]
    (work / "progress.json").write_text("PROGRESS.json", encoding="utf-8")
    Remote.of(repo).push_work(work, "key")  # of another process, which has not sent the file itself
    remote.pull_work(tmp_path / "next" / "sft", "key")
    assert files(tmp_path / "next" / "sft") == set(names)
    assert (tmp_path / "next/sft/progress.json").read_text(encoding="utf-8") == "PROGRESS.json"


def test_a_checkpoint_that_was_sent_in_part_is_sent_again(repo: Any, tmp_path: Path) -> None:
    remote, work = Remote.of(repo), tmp_path / "run" / "sft"
    save(work, "checkpoint-20/weights", "checkpoint-20/trainer_state.json")
    remote.push_work(work, "key")
    (half,) = (tmp_path / "remote").rglob("weights")
    half.write_text("che", encoding="utf-8")
    Remote.of(repo).push_work(work, "key")
    assert half.read_text(encoding="utf-8") == "checkpoint-20/weights"


def test_answers_from_before_a_training_are_sent_with_it(repo: Any, tmp_path: Path) -> None:
    remote, work = Remote.of(repo), tmp_path / "run" / "sft"
    save(tmp_path / "run", "taught-1.jsonl", "samples-2.jsonl", "other.jsonl", "grpo/weights")
    remote.push_work(work, "key")  # nothing is trained yet
    (tmp_path / "run" / "taught-1.jsonl").write_text("one more\n", encoding="utf-8")
    remote.push_work(work, "key")
    remote.pull_work(tmp_path / "next" / "sft", "key")
    assert files(tmp_path / "next") == {"taught-1.jsonl", "samples-2.jsonl"}
    assert (tmp_path / "next" / "taught-1.jsonl").read_text(encoding="utf-8") == "one more\n"
    remote.drop_work("key")
    remote.pull_work(tmp_path / "later" / "sft", "key")
    assert not (tmp_path / "later").exists()


def test_what_a_teacher_took_is_sent_with_its_answers_each_time_that_it_grows(repo: Any, tmp_path: Path) -> None:
    remote, account = Remote.of(repo), tmp_path / "run" / "spent-sft.json"
    for usd in ("0.1", "0.2"):  # of the same size
        save(tmp_path / "run", "spent-sft.json")
        account.write_text(usd, encoding="utf-8")
        Remote.of(repo).push_work(tmp_path / "run" / "sft", "key")
    remote.pull_work(tmp_path / "next" / "sft", "key")
    assert (tmp_path / "next" / "spent-sft.json").read_text(encoding="utf-8") == "0.2"


def test_what_the_remote_never_got_is_named(repo: Any) -> None:
    with pytest.raises(DataError, match=r"expected archives x\.tar in DVC's remote"):
        Remote.of(repo).get("archives", "x.tar")


def test_no_secret_of_a_remote_travels(repo: Any) -> None:
    with repo.config.edit("local") as local:
        local["remote"]["carried"] = {
            "url": "https://there/x", "auth": "basic", "user": "me", "password": "hidden", "ssl_verify": False,
        }  # fmt: skip
    with Repo(repo.root_dir) as again:
        assert json.loads(remote_settings(again)) == {"url": "https://there/x", "ssl_verify": False}


@pytest.mark.parametrize("login", ["me:hidden", ":hidden", "me:hid%40den"])
def test_a_remote_whose_address_has_a_password_is_refused_without_showing_it(repo: Any, login: str) -> None:
    with repo.config.edit("local") as local:
        local["remote"]["carried"] = {"url": f"https://{login}@there/x"}
    with Repo(repo.root_dir) as again, pytest.raises(ConfigError, match="without a password") as refusal:
        remote_settings(again)
    assert "hid" not in str(refusal.value) and "there/x" in str(refusal.value)


def test_a_stage_elsewhere_asks_the_same_servers_as_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {
        "OPENAI_BASE_URL": "https://llm.example/v1", "GRADUS_VLLM_SERVER": "http://vllm:8000",
        "HF_ENDPOINT": "https://models.example",
    }  # fmt: skip
    for name in addresses:
        monkeypatch.delenv(name, raising=False)
    assert not environment_of("c", "{}").keys() & addresses.keys()
    for name, address in addresses.items():
        monkeypatch.setenv(name, address)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    given = environment_of("c", "{}")
    assert given.items() >= {**addresses, "GRADUS_COMMIT": "c", "GRADUS_DVC_REMOTE": "{}"}.items()
    assert "sk-hidden" not in given.values()


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "GRADUS_VLLM_SERVER"])
@pytest.mark.parametrize(
    "address",
    ["https://me:hidden@llm.example/v1", "https://hidden@llm.example/v1", "https://llm.example/v1?key=hidden"],
)
def test_an_address_with_a_secret_travels_nowhere(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    monkeypatch.setenv(name, address)
    with pytest.raises(ConfigError, match=f"expected the address in {name} without a login and a query") as refusal:
        environment_of("c", "{}")
    assert "hidden" not in str(refusal.value) and "llm.example/v1" in str(refusal.value)


def test_a_project_without_a_remote_is_told_how_to_get_one(tmp_path: Path) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as opened, pytest.raises(ConfigError, match="dvc remote add --default"):
        remote_settings(opened)


def test_a_stage_takes_what_no_other_leaves_and_nothing_that_another_does() -> None:
    run = Run.of("triage", "nano")
    names = {node.name: {str(path) for path in travelling(run, node)} for node in nodes(run)}
    for taken in names.values():
        assert {"params/workloads/triage.yaml", "models/nano/model.safetensors", "runs/triage-nano/dvc.yaml"} <= taken
        assert not [path for path in taken if path.startswith(("artifacts/", ".git/")) or path.endswith(".pyc")]


def test_what_settings_open_travels_with_a_stage_that_does_not_read_it(make_run: MakeRun) -> None:
    run = make_run()
    save(Path(), "rubric.md", "launch.yaml", "unused.py", "data/shop/rows.csv")
    for name, code in {"sums/__init__.py": "from units import euros", "units.py": "euros = 1"}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(code, encoding="utf-8")
    judge = {"model": "big", "rubric": "rubric.md", "api": {}}
    scorer = ScorerParams.model_validate({"weighted": {"sums:Adds": 0.5, "judge": 0.5}, "judge": judge})
    launcher = LauncherParams(kind="accelerate", config="launch.yaml")
    run = replace(
        run,
        workload=run.workload.model_copy(update={"scorer": scorer}),
        profile=run.profile.model_copy(update={"launcher": launcher}),
    )
    audit = next(node for node in nodes(run) if node.name == "audit")
    taken = {str(path) for path in travelling(run, audit)}
    assert {"sums/__init__.py", "units.py", "rubric.md", "launch.yaml"} <= taken
    assert not {"unused.py", "data/shop/rows.csv"} & taken


@pytest.mark.parametrize("outside", ["{}/shared", "../shared", "params/../../shared"])
def test_what_settings_name_outside_of_the_project_stays_and_the_rest_travels(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: str
) -> None:
    run = make_run()
    (tmp_path / "project").mkdir()
    Path("params").rename("project/params")
    monkeypatch.chdir("project")
    save(Path(), "rubric.md")
    save(tmp_path / "shared", "launch.yaml", "shop.sql")
    (tmp_path / "shared/model").symlink_to(ROOT / "models/nano")
    folder = outside.format(tmp_path)
    scorer = ScorerParams.model_validate({
        "weighted": {"judge": 0.5, "sql_execution": 0.5},
        "judge": {"model": "big", "rubric": "rubric.md", "api": {}},
        "sql_execution": {"databases": [f"{folder}/shop.sql"]},
    })  # fmt: skip
    launcher = LauncherParams(kind="accelerate", config=f"{folder}/launch.yaml")
    model = run.profile.model.model_copy(update={"path": f"{folder}/model"})
    run = replace(
        run,
        workload=run.workload.model_copy(update={"scorer": scorer}),
        profile=run.profile.model_copy(update={"launcher": launcher, "model": model}),
    )
    answer = next(node for node in nodes(run) if node.name == "answer-one")
    assert {f"{folder}/shop.sql", f"{folder}/model/model.safetensors"} <= {*answer.deps}
    archive = packed(travelling(run, answer))
    unpack(archive, tmp_path / "there", digest_of(archive))
    there = {Path(path).name for path in files(tmp_path / "there")}
    assert "rubric.md" in there and not {"launch.yaml", "shop.sql", "model.safetensors"} & there
