"""Whether a server can do its work: what is wrong, in words for whoever looks after it.

Decides what makes a server not ready, so that a balancer in front of it asks another one: nothing answers, threads
that died, traces that cannot be written, a disk that is nearly full.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from components.serving.server import Server


def problems(server: Server) -> list[str]:
    """What is wrong; empty where all is well."""
    return list(_problems(server))


def _problems(server: Server) -> Iterator[str]:
    if server.follower.served is None:
        yield f"{server.model} has no champion that is ready"
    batchers = [one for one in (server.batcher, server.second_batcher) if one is not None]
    if not all(one.alive for one in batchers):
        yield "the thread that answers requests has ended"
    if any(one.dead for one in server.followers):
        yield "the thread that follows the registry has ended"
    if server.journal is None:
        return
    if server.journal.dead:
        yield "the thread that moves traces to their stores has ended"
    if server.journal.trouble:  # whose words name folders, which are nobody else's business: they are in the log
        yield "answers cannot be written down; the log says why"
    for folder in server.journal.folders:
        if (free_mb := _free_mb(folder)) < server.params.least_free_mb:
            yield f"expected {server.params.least_free_mb:g} MB free for traces, found {free_mb:.0f}"


def _free_mb(folder: Path) -> float:
    """Megabytes left where a folder is; none where there is no folder."""
    try:
        return shutil.disk_usage(folder).free / 1e6
    except OSError:
        return 0.0
