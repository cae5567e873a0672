"""A server that is killed again and again loses no acknowledged request; the large version is `make bench-traces`."""

from pathlib import Path

import pytest

from benchmarks.traces import measure, parse

pytestmark = pytest.mark.slow  # a server is started three times


def test_every_acknowledged_request_is_in_its_stores_once(tmp_path: Path) -> None:
    counts = measure(parse(["--requests", "300", "--kills", "2", "--connections", "8", "--mlflow-share", "0.2"]))
    assert (counts["acknowledged"], counts["refused"]) == (300, 0)
    assert (counts["lost"], counts["twice"], counts["wrong"]) == (0, 0, 0)
    assert counts["mlflow"]["expected"] > 20
    assert (counts["mlflow"]["lost"], counts["mlflow"]["twice"]) == (0, 0)
