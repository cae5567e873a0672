"""What flows between the components: examples, prompts, completions, scores and the record of a run.

Decides their shape and how they are written; computes nothing.
"""

from components.records.answers import Completion, Judged, Score, StopReason, Trajectory, Usage
from components.records.examples import Example, Logged, Preference, Thumb
from components.records.gate import GateNumbers, SliceComparison, SliceFindings, Verdict
from components.records.ladder import DataSummary, Ladder
from components.records.messages import Message, Role, Tool, ToolCall
from components.records.production import (
    FORMAT,
    Feedback,
    Moment,
    Observation,
    Production,
    RouteName,
    Scored,
    Trace,
    choices_id,
    known_fields,
    production_line,
    production_record,
    request_id,
)
from components.records.record import (
    AnyRecord,
    Record,
    encodable,
    read_jsonl,
    read_record,
    to_json,
    write_jsonl,
    write_record,
)
from components.records.results import Comparison, Cost, Interval, Latency, RungResult, TrialShare, TriesResult
from components.records.rungs import DivergedAnswer, Divergence, Makes, Need, RewardWatch, Rung

__all__ = [
    "FORMAT", "AnyRecord", "Comparison", "Completion", "Cost", "DataSummary", "DivergedAnswer", "Divergence", "Example",
    "Feedback", "GateNumbers", "Interval", "Judged", "Ladder", "Latency", "Logged", "Makes", "Message", "Moment",
    "Need", "Observation", "Preference", "Production", "Record", "RewardWatch", "Role", "RouteName", "Rung",
    "RungResult", "Score", "Scored", "SliceComparison", "SliceFindings", "StopReason", "Thumb", "Tool", "ToolCall",
    "Trace", "Trajectory", "TrialShare", "TriesResult", "Usage", "Verdict", "choices_id", "encodable",
    "known_fields", "production_line", "production_record", "read_jsonl", "read_record", "request_id", "to_json",
    "write_jsonl", "write_record",
]  # fmt: skip
