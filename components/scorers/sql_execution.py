"""Whether a query returns the same as the reference's query, on each of several databases.

A query that is right by luck on one database fails on others. `sql_results` decides what is the same, `sql_databases`
what a query may do. Exceeding a limit and errors are the query's own fault; if the reference fails, nothing can be
decided.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from components.errors import ConfigError, ScorerError
from components.params import SqlExecutionParams
from components.records import Completion, Example, Score
from components.scorers.answers import NotAnAnswer, read_answer, read_reference
from components.scorers.sql_databases import Databases, QueryFailed
from components.scorers.sql_results import Expected, Row, orders, own_keys, with_keys

REMEMBERED = 20_000  # results of reference queries, and scores of answers: rollouts in a group are often equal


class SqlExecutionScorer:
    """1 if the answer's query returns the reference's rows on all databases, 0 otherwise."""

    def __init__(self, params: SqlExecutionParams, schema: Mapping[str, Any]) -> None:
        """Open the databases in a separate process.

        Raises:
            ConfigError: The field is not a property of the schema, or a database does not open.
        """
        if params.field not in schema["properties"]:
            raise ConfigError(
                f"sql_execution.field: expected one of {', '.join(schema['properties'])}, found {params.field}"
            )
        self._params, self._schema = params, schema
        self._databases = Databases(params)
        self._expected = lru_cache(maxsize=REMEMBERED)(self._reference_rows)
        self._judged = lru_cache(maxsize=REMEMBERED)(self._judge)

    def score(self, example: Example, completion: Completion) -> Score:
        reference = self._reference(example)
        try:
            return self._judged(reference, _query(read_answer(completion, self._schema), self._params.field))
        except (NotAnAnswer, QueryFailed) as error:
            return _wrong(str(error)[:300])

    def _judge(self, reference: str, query: str) -> Score:
        """Whether two queries return the same on each database.

        Raises:
            QueryFailed: The second query returns no rows within its limits.
        """
        right = self._expected(reference)
        for place, rows in enumerate(self._databases.rows(query)):
            if not right[place].equals(rows, self._params.tolerance):
                return _wrong(f"other rows than the reference's {right[place].rows:,} (database {place + 1})")
        return Score(value=1.0, passed=True)

    def _reference(self, example: Example) -> str:
        """The reference's query, which has been run on each database.

        Raises:
            ScorerError: There is no such query, or it fails.
        """
        try:
            query = _query(read_reference(example, self._schema), self._params.field)
            self._expected(query)
        except (NotAnAnswer, QueryFailed) as error:
            raise ScorerError(f"expected a reference whose query runs, found {error} (example {example.id})") from error
        return query

    def _reference_rows(self, query: str) -> list[Expected]:
        """The expected rows from each database."""
        params, results = self._params, list(self._databases.rows(query))
        ordered = orders(query, params.dialect) if params.order == "reference" else params.order == "always"
        if not ordered:
            return [Expected.unordered(rows) for rows in results]
        tied = self._tied(query, results) if params.order == "reference" else [None] * len(results)
        return [tie or Expected.ordered(rows) for tie, rows in zip(tied, results, strict=True)]

    def _tied(self, query: str, results: list[list[Row]]) -> list[Expected | None]:
        """The reference's rows in blocks of ties; None if sqlglot cannot determine them."""
        columns = next((len(rows[0]) for rows in results if rows), 0)
        own = own_keys(query, self._params.dialect, columns)
        if own is not None:
            return [Expected.tied(rows, [tuple(row[place] for place in own) for row in rows]) for rows in results]
        keyed = with_keys(query, self._params.dialect)
        try:
            longer = list(self._databases.rows(keyed[0])) if keyed else []
        except QueryFailed:
            longer = []
        if keyed is None or not longer:
            return [None] * len(results)
        return [
            Expected.tied(shorter, [row[-keyed[1] :] for row in rows])
            if [row[: -keyed[1]] for row in rows] == shorter
            else None
            for rows, shorter in zip(longer, results, strict=True)
        ]


def _query(answer: Mapping[str, Any], field: str) -> str:
    query = answer.get(field)
    if not isinstance(query, str) or not query.strip():
        raise NotAnAnswer(f"{field}: expected a query, found {query!r:.60}")
    return query


def _wrong(reason: str) -> Score:
    return Score(value=0.0, passed=False, reason=reason)
