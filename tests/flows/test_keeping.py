"""What the commands that back up and restore a project say."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.stages.backup import backup
from flows.keeping import keeping


@pytest.mark.parametrize(("made_from", "setup"), [("Makefile", " && make setup"), ("params/pipeline.yaml", "")])
def test_a_restored_project_is_set_up_by_make_only_if_it_has_a_makefile(
    made_from: str, setup: str, tmp_path: Path
) -> None:
    project, file, again = tmp_path / "project", tmp_path / "kept.tar.gz", tmp_path / "again"
    (project / made_from).parent.mkdir(parents=True)
    (project / made_from).write_text("", encoding="utf-8")
    backup(project, file)
    restored = CliRunner().invoke(keeping, ["restore", str(file), str(again)])
    assert restored.output == f"{again}: 1 files as they were. Next: cd {again}{setup}\n"
