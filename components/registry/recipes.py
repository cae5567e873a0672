"""What a registered version was made from, for making it again."""

from dataclasses import dataclass

from components.errors import RegistryError
from components.registry.candidate import RUNG_RUN_TAG
from components.registry.models import Version, registered_number
from components.registry.store import connect, expecting


@dataclass(frozen=True)
class Recipe:
    """A version, and how it was made according to the record; `dirty` if files differed from the commit.

    `threads` is None for versions from before it was recorded.
    """

    version: Version
    rung: str
    run: str
    commit: str
    dirty: bool
    data_hash: str
    params_hash: str
    seed: int
    dev_score: float | None
    threads: int | None


def recipe(workload: str, number: int) -> Recipe:
    """How a registered version was made.

    Raises:
        RegistryError: There is no such version, its files are missing, or its commit is unknown.
    """
    client, version = connect(), registered_number(workload, number)
    with expecting(f"the run of version {number} of {workload}"):
        tags = client.get_model_version(workload, str(number)).tags
        run = client.get_run(version.run_id).data.tags
        # The run that registers it is the climb's; how many threads there were, that of its rung knows.
        rung = client.get_run(tags[RUNG_RUN_TAG]).data.tags if tags.get(RUNG_RUN_TAG) else run
    commit = tags.get("git_commit", "")
    if commit in ("", "unknown"):
        raise RegistryError(f"expected the commit that version {number} of {workload} was made from, found none")
    return Recipe(
        version=version,
        rung=tags["rung"],
        run=run["run"],
        commit=commit.removesuffix("-dirty"),
        dirty=commit.endswith("-dirty"),
        data_hash=tags["data_hash"],
        params_hash=tags["params_hash"],
        seed=int(tags["seed"]),
        dev_score=float(tags["dev_score"]) if tags.get("dev_score") else None,
        threads=int(rung["threads"]) if rung.get("threads") else None,
    )
