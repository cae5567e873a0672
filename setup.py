"""What the wheel carries beside the packages: the files that `gradus new` makes a project from, as flows/project/."""

import shutil
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithProject(build_py):
    """Copies the files that pyproject.toml lists under `tool.gradus.project`; an editable installation has them."""

    def run(self) -> None:
        """Build the packages, then put the project's files beside them."""
        super().run()
        if self.editable_mode:
            return
        listed = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["gradus"]["project"]
        to = Path(self.build_lib) / "flows" / "project"
        shutil.rmtree(to, ignore_errors=True)
        for name in listed:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if Path(name).is_dir() else shutil.copyfile
            copy(name, to / name)


setup(cmdclass={"build_py": WithProject})
