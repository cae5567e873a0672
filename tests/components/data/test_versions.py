"""A data version in a real repository: a branch of its own, data in DVC's cache and remote, nothing else touched."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.data.branches import drop_unnamed
from components.data.harvest import Harvested
from components.data.versions import Origin, cache_folder, check_out, earlier_harvests, new_version, uncommitted
from components.errors import ConfigError
from components.records import Example, Record, Thumb, read_jsonl
from components.serving import forgotten_in, note

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main")


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "params" / "workloads").mkdir(parents=True)
    (folder / "params" / "workloads" / "shop.yaml").write_text("# Orders.\nname: shop   # short\n", encoding="utf-8")
    (folder / ".gitignore").write_text("/state/\n/data/*\n!/data/*/\n/data/*/*\n!/data/*/harvest/\n", encoding="utf-8")
    (folder / "data" / "shop").mkdir(parents=True)
    (folder / "data" / "shop" / "orders.csv").write_text("text\nhello\n", encoding="utf-8")
    run(folder, *GIT, "init", "--quiet")
    run(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    run(folder, sys.executable, "-m", "dvc", "remote", "add", "--default", "--local", "store", str(tmp_path / "store"))
    run(folder, *GIT, "add", ".")
    run(folder, *GIT, "commit", "--quiet", "-m", "A project")
    run(folder, "git", "init", "--quiet", "--bare", str(tmp_path / "origin"))
    run(folder, "git", "remote", "add", "origin", str(tmp_path / "origin"))
    return folder


def harvested(name: str) -> list[Harvested]:
    example = Example(id=name, input={"text": name}, demonstration="{}", reference="{}", group=name)
    return [Harvested(example=example, split="train", source="corrected")]


def commit(project: Path, path: str, text: str) -> None:
    """Commit a file that the project has in these words."""
    (project / path).write_text(text, encoding="utf-8")
    run(project, "git", "add", path)
    run(project, *GIT, "commit", "--quiet", "-m", "More")


def names(folder: Path) -> list[str]:
    """The harvests that the settings name."""
    return yaml.safe_load((folder / "params/workloads/shop.yaml").read_text(encoding="utf-8"))["harvest"]


def test_a_version_is_a_commit_beside_the_project(project: Path, tmp_path: Path) -> None:
    head = run(project, "git", "rev-parse", "HEAD")
    version = new_version(project, "shop", harvested("a"), "one")
    assert (run(project, "git", "rev-parse", "HEAD"), run(project, "git", "status", "--porcelain")) == (head, "")
    assert run(project, "git", "rev-parse", f"{version.commit}^") == head
    settings = (version.folder / "params" / "workloads" / "shop.yaml").read_text(encoding="utf-8")
    assert settings.startswith("# Orders.\nname: shop   # short\n")
    assert yaml.safe_load(settings)["harvest"] == ["one.jsonl"]
    assert (version.folder / "data" / "shop" / "orders.csv").read_text(encoding="utf-8") == "text\nhello\n"


def test_files_beside_a_harvest_are_in_its_commit_and_in_the_next(project: Path) -> None:
    thumb = Thumb(example_id="P-1", text="{}", good=True)
    beside = {"thumbs": [thumb], "preferences": list[Record]()}
    first = new_version(project, "shop", harvested("a"), "one", beside=beside)
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    kept = second.folder / "data" / "shop" / "harvest"
    assert sorted(path.name for path in kept.glob("*.jsonl")) == ["one.jsonl", "one.thumbs.jsonl", "two.jsonl"]
    assert read_jsonl(kept / "one.thumbs.jsonl", Thumb) == [thumb]
    settings = yaml.safe_load((second.folder / "params" / "workloads" / "shop.yaml").read_text(encoding="utf-8"))
    assert settings["harvest"] == ["one.jsonl", "two.jsonl"]


def test_a_version_leaves_the_machine_only_where_that_is_set(project: Path, tmp_path: Path) -> None:
    new_version(project, "shop", harvested("a"), "one")
    assert not list((tmp_path / "store").rglob("*"))
    assert run(tmp_path / "origin", "git", "branch", "--list") == ""
    sent = new_version(project, "shop", harvested("b"), "two", Origin(push=True))
    assert list((tmp_path / "store").rglob("*"))
    assert run(tmp_path / "origin", "git", "rev-parse", sent.branch) == sent.commit


def test_a_version_runs_no_hooks_and_signs_nothing(project: Path, tmp_path: Path) -> None:
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout", "pre-push"):
        hook = project / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran-{name}'\nexit 1\n", encoding="utf-8")
        hook.chmod(0o755)
    for setting, value in {"commit.gpgSign": "true", "push.gpgSign": "true", "gpg.program": "false"}.items():
        run(project, "git", "config", setting, value)
    version = new_version(project, "shop", harvested("a"), "one", Origin(push=True))
    check_out(project, "shop", version.commit, project / "state" / "reproduce" / "shop-1")
    assert run(tmp_path / "origin", "git", "rev-parse", version.branch) == version.commit
    assert not list(tmp_path.glob("ran-*"))


@pytest.mark.parametrize("away", ["origin", "store"])
def test_a_version_that_cannot_be_pushed_is_complete_and_the_next_push_makes_up_for_it(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, away: str
) -> None:
    place = tmp_path / away
    if place.is_dir():
        place.rename(tmp_path / "elsewhere")
    place.write_text("a file where a folder is expected", encoding="utf-8")
    first = new_version(project, "shop", harvested("a"), "one", Origin(push=True))
    assert f"{first.branch} is not pushed" in caplog.text
    assert run(project, "git", "rev-parse", first.branch) == first.commit
    assert first.file.is_file()
    place.unlink()
    if (tmp_path / "elsewhere").is_dir():
        (tmp_path / "elsewhere").rename(place)
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit, push=True))
    assert run(tmp_path / "origin", "git", "rev-parse", second.branch) == second.commit
    shutil.rmtree(project / ".dvc" / "cache")
    assert earlier_harvests(project, "shop", Origin(second.commit)) == [*harvested("a"), *harvested("b")]


def test_an_earlier_harvest_that_only_the_remote_has_is_fetched(project: Path) -> None:
    first = new_version(project, "shop", harvested("a"), "one", Origin(push=True))
    shutil.rmtree(project / ".dvc" / "cache")
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    assert (second.folder / "data" / "shop" / "harvest" / "one.jsonl").is_file()


def test_a_project_in_a_folder_of_a_larger_repository_has_versions_too(tmp_path: Path) -> None:
    larger = tmp_path / "larger"
    inner = larger / "models" / "the project"
    (inner / "params" / "workloads").mkdir(parents=True)
    (inner / "params" / "workloads" / "shop.yaml").write_text("name: shop\n", encoding="utf-8")
    (inner / ".gitignore").write_text("/state/\n/data/*\n!/data/*/\n/data/*/*\n!/data/*/harvest/\n", encoding="utf-8")
    (larger / "other.txt").write_text("not of the project", encoding="utf-8")
    run(larger, *GIT, "init", "--quiet")
    run(inner, sys.executable, "-m", "dvc", "init", "--quiet", "--subdir")
    run(larger, *GIT, "add", ".")
    run(larger, *GIT, "commit", "--quiet", "-m", "More than a project")
    first = new_version(inner, "shop", harvested("a"), "one")
    assert first.folder == inner / "state" / "retrain" / "shop" / "models" / "the project"
    assert (
        run(larger, "git", "show", "--stat=200", "--format=", first.commit)
        .splitlines()[-2]
        .startswith(" models/the project/params/workloads/shop.yaml")
    )
    second = new_version(inner, "shop", harvested("b"), "two", Origin(first.commit))
    assert {path.name for path in (second.folder / "data/shop/harvest").glob("*.jsonl")} == {"one.jsonl", "two.jsonl"}
    again = check_out(inner, "shop", first.commit, inner / "state" / "reproduce" / "shop-1")
    assert (again / "data/shop/harvest/one.jsonl").is_file()
    assert run(larger, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("level", ["--project", "--local"])
def test_a_version_uses_the_projects_cache_and_remotes_wherever_they_are(
    project: Path, tmp_path: Path, level: str
) -> None:
    dvc = (sys.executable, "-m", "dvc")
    run(project, *dvc, "remote", "remove", "--local", "store")
    run(project, *dvc, "remote", "add", "--default", level, "near", "../near")
    run(project, *dvc, "config", level, "cache.dir", "../shared")
    (project / ".dvc" / "config.local").touch(0o600)
    (project / ".dvc" / "config.local").chmod(0o600)
    run(project, *GIT, "commit", "--quiet", "--allow-empty", "--all", "-m", "Storage")
    assert cache_folder(project) == tmp_path / "shared"
    first = new_version(project, "shop", harvested("a"), "one", Origin(push=True))
    assert (first.folder / ".dvc" / "config.local").stat().st_mode & 0o777 == 0o600
    kept, sent = ([path.name for path in (tmp_path / place / "files").rglob("*") if path.is_file()]
                  for place in ("shared", "near"))  # fmt: skip
    assert len(sent) == 1 and sent == kept
    assert not list((project / ".dvc").rglob("cache/files/*"))
    shutil.rmtree(tmp_path / "near")
    assert earlier_harvests(project, "shop", Origin(first.commit)) == harvested("a")  # from the shared cache


@pytest.mark.parametrize("shared", [True, False])
def test_only_a_cache_in_the_project_is_tidied(project: Path, tmp_path: Path, shared: bool) -> None:
    if shared:
        run(project, sys.executable, "-m", "dvc", "config", "--local", "cache.dir", "../shared")
    (project / "unnamed").write_text("of another project")
    run(project, sys.executable, "-m", "dvc", "add", "--quiet", "unnamed")
    (project / "unnamed.dvc").unlink()
    drop_unnamed(project)
    kept = [path for path in cache_folder(project).glob("files/md5/*/*") if path.is_file()]
    assert len(kept) == shared


def test_a_later_version_of_the_champions_commit_has_the_earlier_harvest(project: Path) -> None:
    first = new_version(project, "shop", harvested("a"), "one")
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    harvests = {path.name for path in (second.folder / "data" / "shop" / "harvest").glob("*.jsonl")}
    assert harvests == {"one.jsonl", "two.jsonl"}
    third = new_version(project, "shop", harvested("c"), "three")
    assert {path.name for path in (third.folder / "data" / "shop" / "harvest").glob("*.jsonl")} == {"three.jsonl"}


def test_the_harvests_with_which_a_version_begins_are_read_and_nothing_is_left_of_that(project: Path) -> None:
    first = new_version(project, "shop", harvested("a"), "one")
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    worktrees = run(project, "git", "worktree", "list")
    assert earlier_harvests(project, "shop", Origin(second.commit)) == [*harvested("a"), *harvested("b")]
    assert earlier_harvests(project, "shop", Origin(first.commit)) == harvested("a")
    assert earlier_harvests(project, "shop", Origin()) == []
    assert run(project, "git", "worktree", "list") == worktrees
    assert [path.name for path in (project / "state" / "retrain").iterdir()] == ["shop"]
    commit(project, "params/more.yaml", "a: 1\n")  # which the champion's commit lacks
    assert earlier_harvests(project, "shop", Origin(second.commit)) == [*harvested("a"), *harvested("b")]


def test_a_commit_that_lacks_later_work_of_the_project_is_not_built_on_and_its_harvests_are_carried_over(
    project: Path,
) -> None:
    thumb = Thumb(example_id="P-1", text="{}", good=True)
    made = new_version(project, "shop", harvested("one"), "one", beside={"thumbs": [thumb]})
    for name in ("two", "three"):
        commit(project, "params/more.yaml", f"before: {name}\n")
        made = new_version(project, "shop", harvested(name), name, Origin(made.commit))
        assert run(project, "git", "rev-parse", f"{made.commit}^") == run(project, "git", "rev-parse", "HEAD")
    assert (made.folder / "params" / "more.yaml").read_text(encoding="utf-8") == "before: three\n"
    assert names(made.folder) == ["one.jsonl", "two.jsonl", "three.jsonl"]
    harvests = made.folder / "data" / "shop" / "harvest"
    assert [read_jsonl(harvests / name, Harvested) for name in names(made.folder)] == [
        harvested("one"), harvested("two"), harvested("three"),
    ]  # fmt: skip
    assert read_jsonl(harvests / "one.thumbs.jsonl", Thumb) == [thumb]
    files = run(project, "git", "ls-tree", "-r", "--name-only", made.commit, "--", "data").splitlines()
    assert {Path(path).name for path in files} == {  # and no answers in git
        ".gitignore", "one.jsonl.dvc", "one.thumbs.jsonl.dvc", "two.jsonl.dvc", "three.jsonl.dvc",
    }  # fmt: skip
    assert run(made.folder, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("further", [True, False])
def test_harvests_that_may_not_fit_the_project_any_more_are_left_out_and_told_and_known(
    project: Path, caplog: pytest.LogCaptureFixture, further: bool
) -> None:
    other = new_version(project, "shop", harvested("o"), "other")
    first = new_version(project, "shop", harvested("a"), "one")
    if further:
        run(project, *GIT, "merge", "--quiet", "--no-ff", "-m", "Merge", other.branch)
        why = "the project has other.jsonl besides"
    else:
        commit(project, "params/workloads/shop.yaml", "name: shop\noutput: {required: [text]}\n")
        why = "the workload's output or inputs have changed"
    known = {line.example.id for line in earlier_harvests(project, "shop", Origin(first.commit))}
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    assert names(second.folder) == [*(["other.jsonl"] if further else []), "two.jsonl"]
    assert f"left out one.jsonl, from which the champion learnt: {why}; merge {first.branch} to" in caplog.text
    assert known == {"a", *("o" if further else "")}


def test_harvests_that_the_project_had_and_dropped_stay_dropped(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = new_version(project, "shop", harvested("a"), "one")
    run(project, *GIT, "merge", "--quiet", "--squash", first.branch)
    run(project, *GIT, "commit", "--quiet", "-m", "What production taught")
    commit(project, "params/workloads/shop.yaml", "name: shop\nharvest: []\n")
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    assert names(second.folder) == ["two.jsonl"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_harvests_whose_data_are_gone_are_left_out_and_told(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    thumbs = {"thumbs": [Thumb(example_id="P-1", text="{}", good=True)]}
    first = new_version(project, "shop", harvested("a"), "one", beside=thumbs)
    second = new_version(project, "shop", harvested("b"), "two", Origin(first.commit))
    commit(project, "params/more.yaml", "a: 1\n")
    digest = yaml.safe_load(run(project, "git", "show", f"{first.commit}:data/shop/harvest/one.thumbs.jsonl.dvc"))
    md5 = digest["outs"][0]["md5"]
    (project / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    assert earlier_harvests(project, "shop", Origin(second.commit)) == harvested("b")
    third = new_version(project, "shop", harvested("c"), "three", Origin(second.commit))
    assert names(third.folder) == ["two.jsonl", "three.jsonl"]
    assert "left out one.jsonl, from which the champion learnt: expected DVC to keep a harvest" in caplog.text
    assert not list((third.folder / "data" / "shop" / "harvest").glob("one.*"))


@pytest.mark.parametrize("later", [False, True])
def test_what_is_forgotten_is_in_no_later_version(project: Path, later: bool) -> None:
    """Neither in harvests that it is built on nor in those that are carried over, nor in its own."""
    gone, stays = "chatcmpl-1000", "chatcmpl-2000"
    both = [*harvested(f"P-{gone}"), *harvested(f"P-{stays}")]
    thumbs = [Thumb(example_id=f"P-{name}", text="{}", good=True) for name in (f"{gone}-1", stays)]
    first = new_version(project, "shop", both, "one", beside={"thumbs": thumbs})
    if later:  # the champion's commit lacks it
        commit(project, "params/more.yaml", "a: 1\n")
    note(project / "state" / "forgotten", gone)
    origin = Origin(first.commit, forgotten=forgotten_in(project / "state" / "forgotten"))
    assert earlier_harvests(project, "shop", origin) == harvested(f"P-{stays}")
    second = new_version(project, "shop", both, "two", origin, beside={"thumbs": thumbs})
    assert names(second.folder) == ["one.jsonl", "two.jsonl"]
    again = check_out(project, "shop", second.commit, project / "state" / "again") / "data" / "shop" / "harvest"
    for name in ("one", "two"):
        assert read_jsonl(again / f"{name}.jsonl", Harvested) == harvested(f"P-{stays}")
        assert read_jsonl(again / f"{name}.thumbs.jsonl", Thumb) == thumbs[1:]
    assert earlier_harvests(project, "shop", Origin(first.commit)) == both  # what was committed stays as it is


@pytest.mark.parametrize("gone", [False, True])
def test_a_worktree_that_a_killed_git_left_half_made_is_made_again(project: Path, gone: bool) -> None:
    """git locks a worktree until all files are there; a kill leaves the lock, perhaps without the folder."""
    folder = project / "state" / "retrain" / "shop"
    run(project, "git", "worktree", "add", "--quiet", "-B", "retrain/shop/one", str(folder), "HEAD")
    (project / ".git" / "worktrees" / "shop" / "locked").write_text("initializing")
    if gone:
        shutil.rmtree(folder)
    assert new_version(project, "shop", harvested("a"), "two").branch == "retrain/shop/two"
    assert check_out(project, "shop", "HEAD", folder) == folder


def test_a_look_for_changes_takes_no_lock(project: Path) -> None:
    """Without it `git status` rewrites the index of a file that is as it was, but newer."""
    index = project / ".git" / "index"
    before = index.read_bytes()
    os.utime(project / "params" / "workloads" / "shop.yaml", (1e9, 1e9))
    assert uncommitted(project) == []
    assert index.read_bytes() == before


def test_a_projects_own_code_has_to_be_committed_too(project: Path) -> None:
    settings = project / "params" / "workloads" / "shop.yaml"
    settings.write_text(settings.read_text() + "scorer: {weighted: {'checks.sums:Adds': 1.0}}\n", encoding="utf-8")
    run(project, "git", "commit", "--quiet", "--all", "--message", "A scorer of one's own")
    for name in ("checks/sums.py", "rules.py", "notes/draft.py", "checks/notes.txt"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("", encoding="utf-8")
    assert uncommitted(project) == ["checks/notes.txt", "checks/sums.py", "rules.py"]
    with pytest.raises(ConfigError, match=r"found changes in checks/notes\.txt"):
        new_version(project, "shop", harvested("a"), "one")


@pytest.mark.parametrize(
    ("settings", "files", "found"),
    [
        ("scorer: {weighted: {'sums:Adds': 1.0}}", {"shop/rules.py": "from .units import EURO", "shop/new.py": ""},
         ["shop/new.py", "shop/rules.py"]),
        ("agent: {environment: 'mcp:python tools/server.py'}", {"tools/server.py": "import rate", "tools/rate.py": ""},
         ["tools/rate.py", "tools/server.py"]),
        ("agent: {environment: 'mcp:python -m desk.server'}", {"desk/server.py": "import euro", "euro/rate.py": ""},
         ["desk/server.py", "euro/rate.py"]),
        ("scorer: {judge: {rubric: rubrics/tone.md}}", {"rubrics/tone.md": "Kind?", "rubrics/other.md": ""},
         ["rubrics/tone.md"]),
        ("scorer: {judge: {rubric: ../outside.md}}", {"../outside.md": ""}, []),
        ("agent: {environment: \"mcp:python 'tools\"}", {"tools/server.py": ""}, []),
    ],
    ids=["import", "script", "module", "rubric", "elsewhere", "quote"],
)  # fmt: skip
def test_what_settings_name_has_to_be_committed_with_what_it_imports(
    project: Path, settings: str, files: dict[str, str], found: list[str]
) -> None:
    commit(project, "sums.py", "from shop.rules import ok\n")
    commit(project, "params/workloads/shop.yaml", f"name: shop\n{settings}\n")
    for name, text in files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    assert uncommitted(project) == found


def test_what_is_not_committed_is_named_and_nothing_is_made(project: Path) -> None:
    (project / "params" / "workloads" / "shop.yaml").write_text("name: other\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"found changes in params/workloads/shop\.yaml"):
        new_version(project, "shop", harvested("a"), "one")
    assert not (project / "state").exists()


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a git repository"):
        new_version(tmp_path, "shop", harvested("a"), "one")
