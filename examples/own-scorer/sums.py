"""A scorer of one's own: an order is right where its numbers add up and are the reference's."""

import json
from collections.abc import Mapping
from typing import Any

from components.records import Completion, Example, Score


class AddsUp:
    """Credits the total of an order by its parts, and the parts by the reference."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Take the workload's JSON Schema, of which this scorer needs nothing."""

    def score(self, example: Example, completion: Completion) -> Score:
        """Half for a sum that is right, half for the right parts."""
        expected = json.loads(example.reference)
        try:
            answer = json.loads(completion.text)
            adds = answer["first"] + answer["second"] == answer["total"]
            same = all(answer[name] == expected[name] for name in ("first", "second"))
        except (ValueError, KeyError, TypeError):
            return Score(value=0.0, passed=False, reason="no order")
        reason = "" if adds and same else "the parts are wrong" if adds else "the parts do not add up"
        return Score(value=(adds + same) / 2, passed=adds and same, reason=reason)
