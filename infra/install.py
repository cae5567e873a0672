"""Installs requirements.lock into the environment that runs this; no file is taken whose hash is not in the lock.

`make setup` calls it; needs nothing but pip. torch comes first and by itself: where pip is told of a CPU build
(`find-links`, an index of one's own) that is taken, as it is without hashes; with hashes, pip would go for the index.
"""

import compileall
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

LOCK, CUDA = Path("requirements.lock"), Path("requirements-cuda.lock")
# Python compiles a module where it is first imported; pip, which compiles all on one core, would double the time.
CHECKED = ("install", "--no-compile", "--no-deps", "--require-hashes")


def pip(*words: str) -> None:
    """Run pip, quietly.

    Raises:
        SystemExit: It fails; it has said why.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words, "--quiet"]
    if code := subprocess.run(command, check=False).returncode:
        raise SystemExit(code)


def entry(lock: str, name: str) -> str:
    """What a lock says of a package, with its hashes.

    Raises:
        SystemExit: It says nothing.
    """
    lines = lock.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.startswith(f"{name}==")]
    if not starts:
        raise SystemExit(f"expected {name} in {LOCK}, found none")
    end = starts[0] + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "".join(lines[starts[0] : end])


def installed(name: str) -> str:
    """The version that is installed, without its build; empty where there is none."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""


def install_torch() -> None:
    """Fetch the build that pip prefers, and install it if its hash is known."""
    wanted = entry(LOCK.read_text(encoding="utf-8"), "torch")
    pin = wanted.split()[0]
    if pin == f"torch=={installed('torch')}":
        return
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "torch.lock"
        listed.write_text(wanted, encoding="utf-8")
        pip("download", "--no-deps", "--dest", folder, pin)
        pip(*CHECKED, "--no-index", "--find-links", folder, "--requirement", str(listed))


def needs_cuda() -> bool:
    """Whether the installed torch is a build for NVIDIA's GPUs."""
    return sys.platform == "linux" and any(name.startswith(("nvidia-", "cuda-")) for name in requires("torch") or ())


def compile_modules() -> None:
    """Compile what is installed, on all cores, where Python was told to write no bytecode.

    Nothing would be compiled at its first import there, so that each process would compile all that it imports: torch,
    transformers and MLflow took 29 s instead of 13.
    """
    if sys.dont_write_bytecode:
        for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            compileall.compile_dir(folder, quiet=2, workers=0)  # some packages hold templates that are no Python


def install(*, cuda: bool | None = None) -> None:
    """Everything; what only CUDA needs where torch does, or as told."""
    install_torch()
    pip(*CHECKED, "--requirement", str(LOCK))
    if needs_cuda() if cuda is None else cuda:
        pip(*CHECKED, "--requirement", str(CUDA))


if __name__ == "__main__":
    install()
    compile_modules()
