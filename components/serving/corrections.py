"""What people say of an answer, as far as it can be judged on arrival: whose id it names, and whether it can be right.

Decides what is refused before anything is stored; whether its sender may speak of that answer is the journal's.
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

    def check(self, told: FeedbackRequest, params: ServingParams) -> None:
        """Refuse what names no answer of this server's, or no answer at all as the right one.

        Raises:
            RequestError: With status 404 or 400.
        """
        if _ID.fullmatch(told.id) is None:
            raise RequestError(404, "expected the id of an answer, found another", code="unknown_id", param="id")
        if told.corrected is None:
            return
        most = params.most_correction_characters
        if len(told.corrected) > most:
            raise RequestError(400, f"expected a corrected answer of at most {most:,} characters", param="corrected")
        if objection := self._schema.objection(told.corrected):
            raise RequestError(
                400, f"expected an answer that the workload's schema allows, found: {objection}", param="corrected"
            )
