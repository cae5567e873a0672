"""Calls a function again and again in a thread, even if it fails."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)
MOST_AWAITED_S = 10.0  # for the current call at the end: a store that does not answer must not block it


class Repeated:
    """Calls `work` at once and then every `every_s` seconds; logs each new error once, with the words of `kept`."""

    def __init__(self, work: Callable[[], object], every_s: float, kept: Callable[[], str]) -> None:
        self._work, self._every_s, self._kept = work, every_s, kept
        self._stop = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def dead(self) -> bool:
        """Whether the thread has ended without `close`."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stop.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> bool:
        """Stop. Returns False if the current call has not ended within `MOST_AWAITED_S` seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(MOST_AWAITED_S)
        return not self._thread.is_alive()

    def once(self) -> None:
        """Call `work` once; an error is logged."""
        try:
            self._work()
            self._trouble = ""
        except BaseException as error:  # of any kind, even a library's panic: a thread that ends stays ended
            if str(error) != self._trouble:
                log.warning("%s; %s.", error, self._kept())
            self._trouble = str(error)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.once()
            self._stop.wait(self._every_s)
