"""The report of a run: one self-contained HTML page, and a table for the terminal.

Decides how a finished ladder is shown and put in words; every number comes from the run record.
"""

from components.report.evidence import Change, Changes, Curve, Evidence, PriceLine, price_lines
from components.report.page import render
from components.report.terminal import table
from components.report.trust import Trust

__all__ = ["Change", "Changes", "Curve", "Evidence", "PriceLine", "Trust", "price_lines", "render", "table"]
