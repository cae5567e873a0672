"""Whether a completion is a JSON object that is valid against the workload's schema, whatever its values.

The dialect is JSON Schema 2020-12, as jsonschema implements it: `format` is an annotation and rejects nothing.
"""

from collections.abc import Mapping
from typing import Any

from components.errors import ConfigError, ScorerError
from components.records import Completion, Example, Score, encodable
from components.schema.patterns import SchemaValidator, errors
from components.scorers.answers import Answer, NotAnAnswer, read
from components.scorers.flat_schema import compile_flat

_VALID = Score(value=1.0, passed=True)


class JsonSchemaScorer:
    """1 for a valid answer, 0 for everything else: text around it, a duplicate key, NaN, a failed call.

    An agent is judged by its last answer, and a try that did not end by itself is not valid.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile the schema.

        Raises:
            ConfigError: It is not a JSON Schema.
        """
        from jsonschema import SchemaError

        try:
            SchemaValidator.check_schema(schema)
        except SchemaError as error:
            raise ConfigError(f"output must be a JSON Schema, found {error.message}") from error
        self._schema = schema
        self._validator: Any = SchemaValidator(schema)
        self._surely_valid = compile_flat(schema)

    def score(self, example: Example, completion: Completion) -> Score:
        failed = completion.error is not None
        reason = f"no answer: {completion.error}" if failed else self.objection(completion.text)
        trajectory = completion.trajectory
        if reason is None and trajectory is not None and not trajectory.ended:
            reason = f"the try ended by {trajectory.stop_reason}"
        return _VALID if reason is None else Score(value=0.0, passed=False, reason=reason)

    def allows(self, text: str) -> bool:
        """Whether an answer is valid."""
        return self.objection(text) is None

    def objection(self, text: str) -> str | None:
        """Why an answer is invalid; None if it is valid."""
        try:
            answer = read(text, self._schema)
        except NotAnAnswer as error:
            return str(error)
        return None if self._surely_valid(answer) else self._first_error(answer)

    def _first_error(self, answer: Answer) -> str | None:
        """The first error that jsonschema reports, with its field.

        Raises:
            ScorerError: A reference in the schema does not resolve.
        """
        from referencing.exceptions import Unresolvable

        try:
            error: Any = next(errors(self._validator, answer), None)
        except Unresolvable as unresolvable:
            raise ScorerError(f"expected a schema whose references resolve, found {unresolvable}") from unresolvable
        if error is None:
            return None
        place = encodable(".".join(str(part) for part in error.absolute_path))
        return f"{place}: {error.message}"[:300] if place else str(error.message)[:300]
