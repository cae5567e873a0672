"""Conversations as a server's journal leaves them: a trace for each turn of the assistant, personal data masked."""

from collections.abc import Sequence
from typing import Any

from components.data.masking import mask
from components.records import Feedback, Message, Trace, Trajectory, Usage


def conversed(trajectory: Trajectory, name: str, at: float, system: str = "", **more: Any) -> list[Trace]:
    """The traces of a try: each turn is asked with all that was said before it, one second after the other."""
    opening = [Message(role="system", content=system)] if system else []
    messages = [*opening, *map(masked, trajectory.messages)]
    turns = [place for place, message in enumerate(messages) if message.role == "assistant"]
    common: dict[str, Any] = {
        "workload": "desk", "version": 1, "method": "sft", "latency_ms": 1.0, "valid": True,
        "usage": Usage(input_tokens=100, output_tokens=10), "tools": trajectory.tools,
    }  # fmt: skip
    return [
        Trace(
            id=f"chatcmpl-{name}x{number}", at=at + number, messages=tuple(messages[:place]),
            text=messages[place].content, calls=messages[place].tool_calls,
            finish_reason="tool_calls" if messages[place].tool_calls else "stop", **(common | more),
        )
        for number, place in enumerate(turns)
    ]  # fmt: skip


def masked(message: Message) -> Message:
    calls = tuple(call.model_copy(update={"arguments": mask(call.arguments)}) for call in message.tool_calls)
    return message.model_copy(update={"content": mask(message.content), "tool_calls": calls})


def praised(traces: Sequence[Trace], score: float = 1.0, **more: Any) -> Feedback:
    """What the one who asked says of the last turn."""
    last = traces[-1]
    common: dict[str, Any] = {"workload": last.workload, "score": score, "sender": last.caller}
    return Feedback(trace_id=last.id, at=last.at + 1, **(common | more))
