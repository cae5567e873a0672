"""Model versions: the gate's winner becomes `champion` only after its stored copy has repeated the original's answers.

Decides how a version is stored, when the alias moves and from where its files are read. The gate decides which rung
wins, the caller how completions are generated. Folders are stored as they are, never a live model: a live PEFT model
over a local base reloads with random weights, and MLflow only prints a report.
"""

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.errors import RegistryError
from components.models import folder_digest
from components.opening import Artifact
from components.records import Makes, Message, Observation, read_jsonl
from components.registry.candidate import COST_TAG, Candidate, description, refuse_unfit, version_tags
from components.registry.moved import local_folder
from components.registry.store import absent, connect, expecting, tracking_uri

Alias = Literal["champion", "candidate"]  # of a winner; which candidate becomes the canary is the release's to decide
CHAMPION, CANDIDATE, CANARY, PREVIOUS = "champion", "candidate", "canary", "previous"
ARTIFACT = "model"
REFERENCE_FOLDER, REFERENCE = "reference", "reference.jsonl"
DIGEST_TAG, VERIFIED_TAG = "gradus.digest", "gradus.verified"
BEFORE_TAG = "gradus.before_previous"  # a model's tag: the target of the alias `previous` before its last move
COPIES = Path("state/models")  # local copies of versions that a server stores
PART = ".part"  # behind the name of a folder whose files are still being fetched
PART_KEPT_S = 86_400
_ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[\w-]+))")

Generate = Callable[[Path, Sequence[Sequence[Message]]], Sequence[str]]


@dataclass(frozen=True)
class Check:
    """Conversations, and the completions that a reloaded model must repeat; `generate` opens a folder and answers."""

    expected: Sequence[tuple[Sequence[Message], str]]
    generate: Generate


@dataclass(frozen=True)
class Champion:
    """A registered version; `new` is False if its files were registered before."""

    workload: str
    version: int
    run_id: str
    folder: Path
    new: bool

    @property
    def uri(self) -> str:
        """Its address in MLflow."""
        return f"models:/{self.workload}/{self.version}"


@dataclass(frozen=True)
class Version:
    """A registered version: its method, its prompt, its files, and the cost of an answer."""

    number: int
    method: str
    makes: Makes
    prompt: str
    folder: Path
    usd_per_call: float | None = None
    run_id: str = ""
    git_commit: str = ""
    digest: str = ""
    data_hash: str = ""

    @property
    def label(self) -> str:
        """Its number and method, for people."""
        return f"version {self.number} ({self.method})"

    @property
    def artifact(self) -> Artifact:
        """The artifact that answers."""
        return Artifact(self.makes, self.folder, self.prompt)


def registered(workload: str, alias: str = CHAMPION) -> Version:
    """The version that an alias points to; its files are fetched if a server has them.

    Raises:
        RegistryError: There is no such model or alias, its files are missing, or the record is unavailable.
    """
    folder, version = _fetched(f"models:/{workload}@{alias}")
    return _version(version, folder)


def registered_number(workload: str, number: int) -> Version:
    """A version by its number; its files are fetched if a server has them.

    Raises:
        RegistryError: There is no such version, its files are missing, or the record is unavailable.
    """
    folder, version = _fetched(f"models:/{workload}/{number}")
    return _version(version, folder)


def registered_if_any(workload: str, alias: str) -> Version | None:
    """The version that an alias points to, None if there is none.

    Raises:
        RegistryError: Its files are missing, or the record is unavailable.
    """
    try:
        return registered(workload, alias)
    except RegistryError as error:
        if absent(error.__cause__):
            return None
        raise


def aliases(workload: str) -> dict[str, int]:
    """Which version has which alias; none if the workload has no versions.

    Raises:
        RegistryError: The record is unavailable.
    """
    from mlflow.exceptions import MlflowException

    client = connect()
    with expecting(f"the registered model {workload}"):
        try:
            named = client.get_registered_model(workload).aliases
        except MlflowException as error:
            if absent(error):
                return {}
            raise
    return {alias: int(number) for alias, number in named.items()}


def whole(version: Version) -> Version:
    """The version, if its files are those that were registered, byte by byte; call this before opening any of them.

    Each call hashes all bytes (SHA-256), because a file's size and time prove nothing about its content. Callers that
    poll the registry (a follower) open only new versions.

    Raises:
        RegistryError: A file is missing, added or changed.
    """
    if folder_digest(version.folder) != version.digest:
        raise RegistryError(
            f"expected the files that were registered as version {version.number}, found others ({version.folder})"
        )
    return version


def reference_of(version: Version) -> list[Observation]:
    """What a version answered before it became champion: the watch's reference.

    Raises:
        RegistryError: The run that registered it stored none, or the record is unavailable.
    """
    client = connect()
    with expecting(f"the reference of version {version.number}"):
        folder = client.download_artifacts(version.run_id, REFERENCE_FOLDER)
    return read_jsonl(Path(folder) / REFERENCE, Observation)


def _version(version: Any, folder: Path) -> Version:
    """A version from MLflow's."""
    from components.methods import method_of

    tags = version.tags
    usd = float(tags[COST_TAG]) if tags.get(COST_TAG) else None
    return Version(
        number=int(version.version),
        method=tags["method"],
        makes=tags.get("makes") or method_of(tags["method"]).makes,  # versions from before this was recorded
        prompt=tags["prompt"],
        folder=folder,
        usd_per_call=usd,
        run_id=str(version.run_id),
        git_commit=tags.get("git_commit", "").removesuffix("-dirty"),
        digest=tags.get(DIGEST_TAG, ""),
        data_hash=tags.get("data_hash", ""),
    )


def register_winner(candidate: Candidate, check: Check, alias: Alias = CHAMPION) -> Champion:
    """Store a folder as the workload's next version, verify the stored copy, then move an alias to it.

    A former champion gets the alias `previous`; a candidate answers nobody. If a version already has these files, they
    are verified and not stored again.

    Raises:
        RegistryError: The rung is not the gate's winner, the model is incomplete, the stored copy answers differently,
        or MLflow refuses. The alias then does not move.
    """
    refuse_unfit(candidate)
    client, name, digest = connect(), candidate.workload, folder_digest(candidate.folder)
    current, existing = _champion(client, name), _known(client, name, digest)
    if current is not None and current.tags.get(DIGEST_TAG) == digest:
        folder = verify(f"models:/{name}/{current.version}", check)
        return Champion(name, int(current.version), str(current.run_id), folder, new=False)
    version = str(existing.version) if existing else _store(client, candidate, digest)
    folder = verify(f"models:/{name}/{version}", check)
    with expecting(f"version {version} of {name} to be marked as verified"):
        client.set_model_version_tag(name, version, VERIFIED_TAG, f"{len(check.expected)} completions reproduced")
    if alias == CANDIDATE:
        with expecting(f"the alias `{CANDIDATE}` of {name} to move to version {version}"):
            client.set_registered_model_alias(name, CANDIDATE, version)
    else:
        _point(client, name, current, version)
    return Champion(
        name, int(version), str(existing.run_id) if existing else candidate.run_id, folder, new=existing is None
    )


def _known(client: Any, name: str, digest: str) -> Any:
    """The newest verified version with these files, or None."""
    with expecting(f"the versions of {name}"):
        versions = client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
    verified = [version for version in versions if version.tags.get(VERIFIED_TAG, "no") != "no"]
    return max(verified, key=lambda version: int(version.version), default=None)


def make_canary(workload: str, number: int) -> None:
    """Let a version answer the canary's share: it gets the alias `canary`, and is no candidate any more.

    Raises:
        RegistryError: There is no such version, or the record is unavailable.
    """
    client = connect()
    with expecting(f"the alias `{CANARY}` of {workload} to move to version {number}"):
        client.set_registered_model_alias(workload, CANARY, str(number))
    _without(client, workload, str(number), (CANDIDATE,))


def withdraw(workload: str, number: int) -> None:
    """Make a version neither candidate nor canary; another that has become one of them stays it.

    Raises:
        RegistryError: The record is unavailable.
    """
    _without(connect(), workload, str(number), (CANDIDATE, CANARY))


def promote(workload: str, number: int) -> Version:
    """Make a version the champion by hand; the former champion gets the alias `previous`.

    A champion that is still candidate or canary was on its way here when it was interrupted: the rest is done.

    Raises:
        RegistryError: There is no such version, it was never verified, its files are missing or changed, or it is the
        champion.
    """
    folder, version = _fetched(f"models:/{workload}/{number}")
    whole(_version(version, folder))
    if version.tags.get(VERIFIED_TAG, "no") == "no":
        raise RegistryError(f"expected a version that was verified, found models:/{workload}/{number}, which was not")
    client = connect()
    current = _champion(client, workload)
    if current is None or int(current.version) != number:
        _point(client, workload, current, str(number))
    elif not _without(client, workload, str(number), (CANDIDATE, CANARY)):
        raise RegistryError(f"expected another version than the champion, found models:/{workload}/{number}")
    return _version(version, folder)


def rollback(workload: str) -> Version:
    """Make the former champion the champion again; a second call undoes the first.

    Raises:
        RegistryError: There is no former champion, or its files are missing.
    """
    return promote(workload, _earlier(workload))


def _earlier(workload: str) -> int:
    """The former champion; after an interrupted move, the one before it."""
    number = registered(workload, PREVIOUS).number
    client = connect()
    current = _champion(client, workload)
    with expecting(f"the registered model {workload}"):
        before = client.get_registered_model(workload).tags.get(BEFORE_TAG)
    interrupted = current is not None and int(current.version) == number
    return int(before) if interrupted and before is not None else number


def _point(client: Any, name: str, current: Any, version: str) -> None:
    """Move the alias `champion` to a version, and `previous` to the former champion.

    The next command can continue after any of the calls: killed before `champion` moves, `previous` is the champion
    itself, and its former target is still in the tag BEFORE_TAG; killed after that, the champion is still the canary.
    """
    with expecting(f"the alias `{CHAMPION}` of {name} to move to version {version}"):
        if current is not None:
            earlier = client.get_registered_model(name).aliases.get(PREVIOUS)
            if earlier is not None and str(earlier) != str(current.version):
                client.set_registered_model_tag(name, BEFORE_TAG, str(earlier))
            client.set_registered_model_alias(name, PREVIOUS, current.version)
        client.set_registered_model_alias(name, CHAMPION, version)
    _without(client, name, version, (CANDIDATE, CANARY))


def _without(client: Any, name: str, version: str, unwanted: Sequence[str]) -> bool:
    """Take aliases from a version, as far as they are its own; whether it had any of them."""
    with expecting(f"the aliases {', '.join(unwanted)} of {name} to be taken from version {version}"):
        named = client.get_registered_model(name).aliases
        own = [alias for alias in unwanted if str(named.get(alias)) == version]
        for alias in own:
            client.delete_registered_model_alias(name, alias)
    return bool(own)


def verify(source: Path | str, check: Check) -> Path:
    """Reload a folder or a `models:/` address, compare every completion, and return the folder that answered.

    A version's files must also equal those that were registered, byte by byte.

    Raises:
        RegistryError: No completions are expected, one is missing or differs in any character, or files differ.
    """
    if not check.expected:
        raise RegistryError(f"expected completions to reproduce, found none ({source})")
    folder = source if isinstance(source, Path) else _whole(source)
    completions = check.generate(folder, [messages for messages, _ in check.expected])
    if len(completions) != len(check.expected):
        raise RegistryError(f"expected {len(check.expected)} completions, found {len(completions)} ({source})")
    for number, ((_, expected), text) in enumerate(zip(check.expected, completions, strict=True), start=1):
        if text != expected:
            place = f"completion {number} of {len(completions)} from {source}"
            raise RegistryError(f"expected {expected[:200]!r}, found {text[:200]!r} ({place})")
    return folder


def _champion(client: Any, name: str) -> Any:
    """The version that the alias points to, None if the model or the alias does not exist yet."""
    from mlflow.exceptions import MlflowException

    with expecting(f"the registered model {name}"):
        try:
            return client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            if absent(error):
                return None
            raise


def _store(client: Any, candidate: Candidate, digest: str) -> str:
    """Store the files with the run and register them as the next version."""
    from mlflow.exceptions import MlflowException

    name = candidate.workload
    tags = {**version_tags(candidate), DIGEST_TAG: digest, VERIFIED_TAG: "no"}
    with expecting(f"{candidate.folder} to be stored as the next version of {name}"):
        client.log_artifacts(candidate.run_id, str(candidate.folder), ARTIFACT)
        source = f"{client.get_run(candidate.run_id).info.artifact_uri}/{ARTIFACT}"
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        created = client.create_model_version(name, source, candidate.run_id, tags, description=description(candidate))
    return str(created.version)


def _whole(address: str) -> Path:
    """The files of a version, if they are those that were registered."""
    folder, version = _fetched(address)
    return whole(_version(version, folder)).folder


def _fetched(address: str) -> tuple[Path, Any]:
    """The files of a version, and its entry in the record."""
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise RegistryError(f"expected an address such as models:/triage@champion, found {address}")
    client, name = connect(), parts["name"]
    with expecting(f"a model at {address}"):
        if parts["alias"]:
            version = client.get_model_version_by_alias(name, parts["alias"])
        else:
            version = client.get_model_version(name, parts["version"])
        source = client.get_model_version_download_uri(name, version.version)
        folder = local_folder(source) or _copy(source, copy_folder(version))
    if not folder.is_dir():
        raise RegistryError(f"expected the files of {address}, found none at {folder}")
    return folder, version


def copy_folder(version: Any) -> Path:
    """Where the files of a version that a server stores are copied to.

    Its name has the number and a hash of the files, or of their address in versions from before that was recorded:
    every server counts from 1, and so does one whose model was deleted.
    """
    files = version.tags.get(DIGEST_TAG) or hashlib.sha256(str(version.source).encode()).hexdigest()
    return COPIES / version.name / f"{version.version}-{files[:16]}"


def _copy(source: str, folder: Path) -> Path:
    """Fetch a server's files next to `folder`, then move them there; a version's files never change.

    Each process fetches into a folder of its own; the first that is done gives it the name.
    """
    from mlflow.artifacts import download_artifacts

    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    _drop_left_parts(folder.parent)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=PART, dir=folder.parent))
    try:
        fetched = Path(download_artifacts(artifact_uri=source, dst_path=str(part), tracking_uri=tracking_uri()))
        fetched.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _drop_left_parts(parent: Path) -> None:
    """Remove what processes that were killed had fetched, long after they began."""
    for part in parent.glob(f"*{PART}"):
        with suppress(FileNotFoundError):  # another process removes it too
            if time.time() - part.stat().st_mtime > PART_KEPT_S:
                shutil.rmtree(part, ignore_errors=True)
