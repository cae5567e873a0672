"""A few of the chaos benchmark's trials; the large version is `make bench-chaos`."""

import pytest

from benchmarks.chaos import measure

pytestmark = pytest.mark.slow  # processes live and are killed for seconds


def test_faults_and_kills_lose_double_and_misdirect_nothing() -> None:
    result = measure(faults=60, seed=7)
    assert result["faults"] >= 60
    assert result["acknowledged"] > 50
    assert (result["lost"], result["doubled"], result["misdirected"], result["results_differ"]) == (0, 0, 0, 0)
