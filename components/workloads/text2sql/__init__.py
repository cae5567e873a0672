"""The embedded workload `text2sql`: simulated questions over a small shop's database to one SQL query."""

from components.workloads.text2sql.questions import Question, generate
from components.workloads.text2sql.shop import databases, sealed_databases

__all__ = ["Question", "databases", "generate", "sealed_databases"]
