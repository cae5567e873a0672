"""`classical`: TF-IDF and a linear model on the demonstrations, the honest floor."""

import time
from typing import Any, ClassVar

from components.evaluation import accuracy
from components.evaluation import classical as classifiers
from components.methods.contract import Made
from components.methods.job import Job
from components.params import Settings
from components.records import Makes, Need
from components.tracking import Tracker


class ClassicalParams(Settings):
    """No settings."""


class Classical:
    """Fits a classifier to the demonstrations."""

    label: ClassVar[str] = "TF-IDF + linear model"
    makes: ClassVar[Makes] = "classifier"
    params: ClassVar[type[Settings]] = ClassicalParams
    starts: ClassVar[bool] = False
    """It starts from nothing, whatever a ladder says."""

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"demonstrations"})

    def make(self, job: Job, params: ClassicalParams, tracker: Tracker) -> Made:
        started = time.monotonic()
        fitted = classifiers.fit(job.train, job.workload.output, job.columns)
        fitted.save(job.out)
        seconds = time.monotonic() - started
        right = accuracy(job.score(job.dev, fitted.predict(job.dev)).values()).value
        return Made(seconds=seconds, dev_score=right, dev_examples=len(job.dev))
