"""What methods that train share: turns a finished training into `Made`."""

import logging

from components.methods.contract import Made
from components.methods.job import Job
from components.training import Trained

HACKED = "%s: stopped at step %s: reward %.3f to %.3f, sealed score %.3f to %.3f; the weights of step %s are kept."
log = logging.getLogger(__name__)


def made_of(job: Job, trained: Trained, dev_examples: int, drawing: float = 0.0) -> Made:
    """The outcome of a training; logs it. `drawing` are the seconds in which what it is trained on was drawn."""
    if trained.watch and (hacked := trained.watch.stopped):
        log.warning(HACKED, job.rung, hacked.step, *hacked.reward, *hacked.sealed, hacked.best_step)
    score, step = 100 * trained.dev_score, trained.best_step
    log.info("%s: best dev score %.1f %% at step %s of %s.", job.rung, score, step, trained.steps)
    return Made(
        seconds=drawing + trained.prepared + trained.seconds,
        dev_score=trained.dev_score,
        dev_examples=min(dev_examples, len(job.dev)),
        curves=trained.curves,
        watch=trained.watch,
        metrics={"best_step": float(trained.best_step), "examples_per_second": trained.examples_per_second},
    )
