"""Whether a server can do its work, and if not, why, in words for its operator.

Decides what makes a server not ready, so that a load balancer asks another one: no champion, one that is stuck, threads
that died, traces that cannot be written, a disk that is nearly full.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from components.serving.server import Server


def problems(server: Server) -> list[str]:
    """What is wrong; empty if nothing is."""
    return list(_problems(server))


def _problems(server: Server) -> Iterator[str]:
    served, most_s = server.follower.served, server.params.timeout_s
    if served is None:
        yield f"{server.model} has no champion that is ready"
    elif (stuck_s := server.batchers.oldest_s(served.engine)) > most_s:
        yield f"expected answers within {most_s:g} s, found a request at work for {stuck_s:.0f} s"
    batchers = server.batchers.kept
    if not all(batcher.alive for batcher in batchers):
        yield "the thread that answers requests has ended"
    if any(follower.dead for follower in server.followers):
        yield "the thread that follows the registry has ended"
    if server.journal is None:
        return
    if server.journal.dead:
        yield "the thread that moves traces to their stores has ended"
    if server.journal.trouble:  # it names folders, which callers need not know: the log has it
        yield "answers cannot be written down; the log says why"
    for folder in server.journal.folders:
        if (free_mb := _free_mb(folder)) < server.params.least_free_mb:
            yield f"expected {server.params.least_free_mb:g} MB free for traces, found {free_mb:.0f}"


def _free_mb(folder: Path) -> float:
    """Free megabytes on a folder's disk; 0 if there is no such folder."""
    try:
        return shutil.disk_usage(folder).free / 1e6
    except OSError:
        return 0.0
