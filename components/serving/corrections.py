"""Checks feedback on arrival: whether it names an answer's id, and whether its correction can be right.

Decides what is refused before anything is stored; the journal decides whether the sender may judge that answer.
"""

import re
from collections.abc import Mapping
from typing import Any

from components.params import ServingParams
from components.scorers import JsonSchemaScorer
from components.serving.protocol import FeedbackRequest
from components.serving.refusals import RequestError

_ID = re.compile(r"(chatcmpl-|resp_)[0-9a-f]{32}(-[0-9]{1,2})?")


class Corrections:
    """Checks corrections against a workload's output."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = JsonSchemaScorer(schema)

    def check(self, feedback: FeedbackRequest, params: ServingParams) -> None:
        """Refuse feedback whose id is not an answer's, or whose correction the workload's schema does not allow.

        Raises:
            RequestError: With status 404 or 400.
        """
        if _ID.fullmatch(feedback.id) is None:
            raise RequestError(404, "expected the id of an answer, found another", code="unknown_id", param="id")
        if feedback.corrected is None:
            return
        most = params.most_correction_characters
        if len(feedback.corrected) > most:
            raise RequestError(400, f"expected a corrected answer of at most {most:,} characters", param="corrected")
        if objection := self._schema.objection(feedback.corrected):
            raise RequestError(
                400, f"expected an answer that the workload's schema allows, found: {objection}", param="corrected"
            )
