"""The report of a run: a self-contained HTML page, a table for the terminal, Markdown and a picture for the record.

Decides how a finished ladder is shown and described; every number comes from the run record.
"""

from components.report.drawing import drawing
from components.report.evidence import Change, Changes, Curve, Evidence, PriceLine, price_lines
from components.report.frontier import frontier
from components.report.markdown import markdown
from components.report.page import render
from components.report.terminal import glance, table
from components.report.trust import Trust
from components.report.words import standing, winner

__all__ = [
    "Change", "Changes", "Curve", "Evidence", "PriceLine", "Trust", "drawing", "frontier", "glance", "markdown",
    "price_lines", "render", "standing", "table", "winner",
]  # fmt: skip
