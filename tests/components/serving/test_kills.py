"""A server that is killed again and again loses no acknowledged request; the large version is `make bench-traces`."""

from pathlib import Path

import pytest

from benchmarks.traces import measure, parse

pytestmark = pytest.mark.slow  # a server is started three times


def test_every_acknowledged_request_is_in_its_stores_once(tmp_path: Path) -> None:
    found = measure(parse(["--requests", "300", "--kills", "2", "--connections", "8", "--mlflow-share", "0.2"]))
    assert (found["acknowledged"], found["refused"]) == (300, 0)
    assert (found["lost"], found["twice"], found["wrong"]) == (0, 0, 0)
    assert found["mlflow"]["expected"] > 20
    assert (found["mlflow"]["lost"], found["mlflow"]["twice"]) == (0, 0)
