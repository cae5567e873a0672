"""`python -m components.stages.pod RUN STAGE ARCHIVE KEY`: runs one stage in an empty folder, with DVC's remote.

Pulls what the stage reads, lets DVC reproduce it, and pushes its outputs. If it is killed, the next one resumes from
the last checkpoint. Needs the remote's settings in GRADUS_DVC_REMOTE; access keys come from the environment.
"""

import logging
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import EXIT_CODE_ERROR, ConfigError, GradusError
from components.stages.carrying import ARCHIVES, Remote, attach, unpack
from components.stages.environment import straightened
from components.stages.graph import RUNS, StageNode, nodes
from components.stages.run import Run

log = logging.getLogger(__name__)
EVERY_S = 10.0  # between two checks for new checkpoints
WORDS = 4


def main(arguments: list[str]) -> int:
    """Run one stage; returns the exit code of its process.

    Raises:
        ConfigError: The arguments or the environment are wrong.
        DataError: The archive is missing in the remote, or not what its name says.
    """
    settings = os.environ.get("GRADUS_DVC_REMOTE")
    if len(arguments) != WORDS or not settings:
        raise ConfigError(
            "expected RUN STAGE ARCHIVE KEY, and the remote's settings in GRADUS_DVC_REMOTE, "
            f"found {' '.join(arguments)!r} {'and no settings' if not settings else ''}".rstrip()
        )
    name, stage, archive, key = arguments
    from dvc.repo import Repo

    attach(Path(), settings)
    with Repo(".") as repo:
        unpack(Remote.of(repo).get(ARCHIVES, f"{archive}.tar"), Path(), archive)
    attach(Path(), settings)  # again, over the project's own settings, which were unpacked
    run = Run.load(name)
    node = next(node for node in nodes(run) if node.name == stage)
    with Repo(".") as repo:
        return reproduced(repo, run, node, key)


def reproduced(repo: Any, run: Run, node: StageNode, key: str) -> int:
    """Pull, reproduce, push; returns 0 on success.

    Raises:
        ConfigError: DVC refuses, and would refuse again.
        FileTransferError: A transfer of files failed; it may succeed when repeated.
    """
    from dvc.exceptions import DvcException, FileTransferError
    from dvc.stage.exceptions import StageCmdFailedError

    target = f"{RUNS / run.name / 'dvc.yaml'}:{node.name}"
    before = needed(run, node)
    try:
        if before:
            repo.pull(targets=before)
        with saving(Remote.of(repo), run.work(node.command[-1]), key):
            repo.reproduce(targets=[target], single_item=True, pull=True)
        repo.push(targets=[target], run_cache=True)
    except DvcException as error:
        cause = error.__cause__ or error
        if isinstance(cause, FileTransferError):
            raise cause from error
        if isinstance(cause, StageCmdFailedError):
            return int(str(cause).rpartition(" ")[2]) if str(cause)[-1:].isdigit() else 1
        raise ConfigError(f"expected DVC to run {node.name} of {run.name}, found {cause}") from error
    Remote.of(repo).drop_work(key)
    return 0


def needed(run: Run, node: StageNode) -> list[str]:
    """The outputs of other stages that a stage reads, as DVC's targets."""
    outs = [out for other in nodes(run) for out in other.outs]
    return sorted({out for out in outs for path in node.deps if path == out or path.startswith(f"{out}/")})


@contextmanager
def saving(remote: Remote, work: Path, key: str) -> Generator[None]:
    """Fetch an earlier attempt's checkpoints, and send this one's while it runs."""
    remote.pull_work(work, key)
    done = threading.Event()

    def keep() -> None:
        while not done.wait(EVERY_S):
            try:
                remote.push_work(work, key)
            except Exception as error:  # remotes' drivers raise anything; the training goes on all the same
                log.error("checkpoints were not kept, %s s until the next look: %s", EVERY_S, error)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


if __name__ == "__main__":
    os.umask(0o077)
    os.environ.update(straightened(os.environ))
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    os.environ.setdefault("DVC_SITE_CACHE_DIR", str(Path(".dvc", "tmp", "site").resolve()))
    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        sys.exit(main(sys.argv[1:]))
    except GradusError as error:
        print(f"gradus: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE_ERROR)
