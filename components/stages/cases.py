"""The workload's must-pass cases as examples; a case that nobody could pass is refused before work begins."""

from collections.abc import Sequence
from pathlib import Path

from components.errors import ConfigError
from components.params import MustPass, Workload
from components.records import Example, to_json
from components.schema.patterns import SchemaValidator, errors
from components.scorers.answers import write


def cases_of(workload: Workload) -> list[Example]:
    """The cases as examples: the right answer in the form of completions; of an agent what its scorers read."""
    return [_example(workload, case) for case in workload.must_pass]


def _example(workload: Workload, case: MustPass) -> Example:
    right = to_json(case.expected) if workload.agent else write(case.expected, workload.output)
    return Example(
        id=case.name, input=case.input, demonstration=right, reference=right, group=case.name, evidence=case.evidence
    )


def refuse_cases(workload: Workload, columns: Sequence[str], path: Path) -> None:
    """Refuse a case that lacks an input column, or whose expected answer is none; `path` is the workload's file.

    Raises:
        ConfigError: There is such a case, or two have the same name.
    """
    names = [case.name for case in workload.must_pass]
    for case in workload.must_pass:
        if names.count(case.name) > 1:
            raise ConfigError(f"must_pass: expected names that occur once, found {case.name} twice ({path})")
        if any(column not in case.input for column in columns):
            found = ", ".join(case.input) or "none"
            raise ConfigError(
                f"must_pass.{case.name}.input: expected the columns {', '.join(columns)}, found {found} ({path})"
            )
        problem = None if workload.agent else next(errors(SchemaValidator(workload.output), case.expected), None)
        if problem is not None:
            raise ConfigError(
                f"must_pass.{case.name}.expected: expected an answer with the fields {', '.join(workload.fields)} "
                f"that output allows, found {problem.message} ({path})"
            )
