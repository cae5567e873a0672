"""The page: a run record and its evidence as a self-contained HTML file.

Decides what is shown, and in which order. The templates contain the markup, `words` the sentences, `picture` the
geometry. Templates escape every text, and the page's content security policy forbids all requests.
"""

from pathlib import Path
from typing import Any

from components.errors import DataError
from components.methods import label_of
from components.records import Ladder, RungResult
from components.report import economics, trust, words
from components.report.evidence import Changes, Curve, Evidence
from components.report.examples import MOST_EXAMPLES, compare
from components.report.frontier import frontier
from components.report.gate import slice_picture
from components.report.picture import HEIGHT, WIDTH, Chart, chart

TEMPLATES = Path(__file__).parent / "templates"


def render(ladder: Ladder, evidence: Evidence, out: Path) -> Path:
    """Write the page of a run to `out` and return its path; equal records give equal bytes.

    Raises:
        DataError: The ladder has no rungs.
    """
    if not ladder.rungs:
        raise DataError(f"expected at least one rung to report on, found none ({ladder.workload}-{ladder.profile})")
    text = _environment().get_template("page.html.j2").render(_view(ladder, evidence))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)
    return out


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("breakable", "percent", "points", "usd", "p_value", "duration", "milliseconds", "relative"):
        environment.filters[name] = getattr(words, name)
    environment.filters["money"] = economics.money
    return environment


def _view(ladder: Ladder, evidence: Evidence) -> dict[str, Any]:
    """The variables of the templates."""
    return {
        "css": (TEMPLATES / "style.css").read_text(encoding="utf-8"),
        "ladder": ladder,
        "evidence": evidence,
        "methods": {rung.method: label_of(rung.method) for rung in ladder.rungs},
        "top": words.winner(ladder),
        "champion": None if (stands := words.champion(ladder)) is None else stands.name,
        "prompt": words.best_prompt(ladder),
        "headline": words.headline(ladder),
        "verdict": words.verdict(ladder, evidence.calls_per_year, evidence.incumbent),
        "accuracies": {rung.name: rung.accuracy.value for rung in ladder.rungs},
        "most_changed": max((max(_moved(rung)) for rung in ladder.rungs), default=0) or 1,
        "dearest": max(rung.cost.usd_per_year for rung in ladder.rungs) or 1.0,
        "changes": [
            _change(rung, evidence.changes.get(rung.name, Changes())) for rung in ladder.rungs if rung.vs_parent
        ],
        "fields": _rows({rung.name: rung.fields for rung in ladder.rungs}),
        "slices": _slices(ladder.rungs),
        "curves": {name: _charts(curves) for name, curves in evidence.curves.items() if _charts(curves)},
        "frontier": frontier(ladder, evidence.spent_usd),
        "gate_slices": slice_picture(ladder.climb),
        "chart_size": (WIDTH, HEIGHT),
        "trust": trust.view(evidence.trust),
        "advice": evidence.advice,
        **economics.view(evidence.account, words.winner(ladder).name),
    }


def _moved(rung: RungResult) -> tuple[int, int]:
    return (rung.vs_parent.fixed, rung.vs_parent.broken) if rung.vs_parent else (0, 0)


def _change(rung: RungResult, changes: Changes) -> dict[str, Any]:
    """What a rung changed, with its first examples compared field by field."""
    return {
        "rung": rung,
        "versus": rung.vs_parent,
        "fixed": [compare(change) for change in changes.fixed[:MOST_EXAMPLES]],
        "broken": [compare(change) for change in changes.broken[:MOST_EXAMPLES]],
    }


def _rows(columns: dict[str, dict[str, float]]) -> list[tuple[str, list[float | None]]]:
    """Rung → key → value as a table, a row per key and a column per rung; None if a rung lacks the key."""
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    return [(key, [column.get(key) for column in columns.values()]) for key in keys]


def _slices(rungs: tuple[RungResult, ...]) -> list[tuple[str, list[tuple[str, list[float | None]]]]]:
    """Each slice with its rows, labelled with their value and number of examples."""
    names = dict.fromkeys(name for rung in rungs for name in rung.slices)
    sizes = {name: size for rung in rungs for name, size in rung.slice_sizes.items()}

    def named(name: str, value: str) -> str:
        return f"{value} ({sizes[name][value]:,})" if value in sizes.get(name, {}) else value

    def column(rung: RungResult, name: str) -> dict[str, float]:
        return {named(name, value): share for value, share in rung.slices.get(name, {}).items()}

    return [(name, _rows({rung.name: column(rung, name) for rung in rungs})) for name in names]


def _charts(curves: dict[str, Curve]) -> list[Chart]:
    return [drawn for name, curve in curves.items() if (drawn := chart(name, curve))]
