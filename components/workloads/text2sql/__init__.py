"""The embedded workload `text2sql`: simulated questions about a small shop's database to a SQL query."""

from components.workloads.text2sql.questions import Question, generate
from components.workloads.text2sql.shop import databases, sealed_databases

__all__ = ["Question", "databases", "generate", "sealed_databases"]
