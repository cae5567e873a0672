"""Requests of one conversation with tools as one try: production's trajectories.

Decides which requests belong together: one goes on where another ended if all that was said until then stands at its
beginning, the same sender asks for the same customer, and no more than a day lies between. Of several that could have
been gone on from, the latest that nothing followed is taken. What is to be trained on needs the schemas of its tools.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from components.records import Message, Record, StopReason, Tool, Trace, Trajectory, Usage, choices_id
from components.records.messages import in_order_of_calls, is_failure

MOST_APART_S = 86_400.0


class Joined(Record):
    """A conversation of production: its try, the traces of its turns, whose it is, and when it ended."""

    trajectory: Trajectory
    traces: tuple[str, ...]
    customer: str = ""
    at: float = 0.0


@dataclass
class _Turn:
    """A request on its way to a conversation; `names` are those of its beginnings, up to the answer."""

    trace: Trace
    names: list[bytes]
    parent: "_Turn | None" = None
    children: list["_Turn"] = field(default_factory=list["_Turn"])

    @property
    def path(self) -> list["_Turn"]:
        """The turns from the conversation's beginning to this one."""
        path, turn = list["_Turn"](), self
        while turn is not None:
            path.append(turn)
            turn = turn.parent
        return path[::-1]


def join(traces: Sequence[Trace], scores: Mapping[str, float] | None = None) -> list[Joined]:
    """The conversations of these traces, in the order in which they ended; requests without tools are left out.

    A conversation that was continued in two ways is two tries at one task. `scores` are what is known of answers,
    by trace; the last that is known of a conversation's is its reward.
    """
    turns = [
        _Turn(trace, list(_names(trace)))
        for trace in sorted(traces, key=lambda trace: trace.at)
        if trace.returned and trace.is_turn
    ]
    _connect(turns)
    conversations: list[Joined] = []
    trials = Counter[str]()
    for leaf in _leaves(turns):
        path = leaf.path
        conversations.append(_joined(path, trials[path[0].trace.id], scores or {}))
        trials[path[0].trace.id] += 1
    return conversations


def kindred(request: Sequence[Trace], others: Iterable[Trace]) -> set[str]:
    """Of others those requests that hold what this one asked and was answered, or whose own it holds.

    They are turns of one conversation, before it and behind it, with tools or without.
    """
    ends = {end for trace in request for end in _ends(trace)}
    begins = {name for trace in request for name in list(_names(trace))[:-1]}
    return {
        choices_id(trace.id)
        for trace in others
        if not ends.isdisjoint(list(_names(trace))[:-1]) or not begins.isdisjoint(_ends(trace))
    }


def refusal(trajectory: Trajectory, name: str = "") -> str | None:
    """Why a try teaches nothing: a tool was called whose schema is not known; None where that is not so.

    It is named as it is where it comes from, or by its id.
    """
    if not (unknown := trajectory.unknown_tools):
        return None
    return (
        f"expected the schema of each tool that is called, found none of {unknown[0]!r:.60} ({name or trajectory.id})"
    )


def _names(trace: Trace) -> Iterator[bytes]:
    """A name for each beginning of a conversation of this sender; the last one includes the answer."""
    name = "\0".join((trace.workload, trace.caller, trace.customer)).encode()
    for message in in_order_of_calls((*trace.messages, trace.reply)):
        calls = [(call.id, call.name, call.plain_arguments) for call in message.tool_calls]
        said = [message.role, message.content, calls, message.tool_call_id]
        name = hashlib.sha256(name + json.dumps(said).encode()).digest()
        yield name


def _ends(trace: Trace) -> set[bytes]:
    """The names of what was said when it was answered: as it was asked, and as its sender knows it.

    A message that was put into a prompt stands without it at the beginning of what follows.
    """
    forms = [trace]
    if len(trace.input) == 1:
        (said,) = trace.input.values()
        forms.append(trace.model_copy(update={"messages": (Message(role="user", content=said),)}))
    return {list(_names(form))[-1] for form in forms}


def _connect(turns: Sequence[_Turn]) -> None:
    """Give each turn, in the order of time, the one that it goes on from.

    Of those that ended alike only the latest is looked at, and the latest that nothing followed: all others are older.
    """
    latest: dict[bytes, _Turn] = {}
    loose: dict[bytes, list[_Turn]] = defaultdict(list)  # what nothing followed
    for turn in turns:
        name = next((name for name in reversed(turn.names[:-1]) if name in latest), None)
        if name is not None:
            free = loose[name]
            earlier = free.pop() if free and _is_near(free[-1], turn) else latest[name]
            if _is_near(earlier, turn):
                turn.parent = earlier
                earlier.children.append(turn)
        if not turn.trace.failed:
            latest[turn.names[-1]] = turn
            loose[turn.names[-1]].append(turn)


def _is_near(earlier: _Turn, turn: _Turn) -> bool:
    return turn.trace.at - earlier.trace.at <= MOST_APART_S


def _leaves(turns: Sequence[_Turn]) -> list[_Turn]:
    """The last turns of conversations.

    Left out are completions beside the one that was continued, or beside the first one, and failures that were asked
    again.
    """
    taken = {choices_id(turn.trace.id) for turn in turns if turn.children}
    answered = {turn.names[-2] for turn in turns if not turn.trace.failed}
    leaves: list[_Turn] = []
    for turn in turns:
        request = choices_id(turn.trace.id)
        again = turn.trace.failed and turn.names[-2] in answered
        if not turn.children and request not in taken and not again:
            leaves.append(turn)
            taken.add(request)
    return leaves


def _joined(path: Sequence[_Turn], trial: int, scores: Mapping[str, float]) -> Joined:
    traces = [turn.trace for turn in path]
    last, task = traces[-1], traces[0].id
    messages = in_order_of_calls(last.messages if last.failed else (*last.messages, last.reply))
    results = [message.content for message in messages if message.role == "tool"]
    known = [scores[trace.id] for trace in traces if trace.id in scores]
    trajectory = Trajectory(
        id=f"{task}#{trial}",
        example_id=task,
        trial=trial,
        messages=messages,
        tools=_tools(traces),
        stop_reason=_stop(last),
        turns=sum(message.role == "assistant" for message in messages),
        tool_calls=len(results),
        tool_errors=sum(map(is_failure, results)),
        usage=Usage(
            input_tokens=sum(trace.usage.input_tokens for trace in traces),
            output_tokens=sum(trace.usage.output_tokens for trace in traces),
        ),
        latency_ms=sum(trace.latency_ms for trace in traces),
        reward=known[-1] if known else None,
        policy_version="+".join(dict.fromkeys(str(trace.version) for trace in traces)),
        error=last.text[:500] if last.failed else None,
    )
    return Joined(trajectory=trajectory, traces=tuple(trace.id for trace in traces), customer=last.customer, at=last.at)


def _tools(traces: Sequence[Trace]) -> tuple[Tool, ...]:
    """All that was offered, each as it was the last time."""
    return tuple({tool.name: tool for trace in traces for tool in trace.tools}.values())


def _stop(last: Trace) -> StopReason:
    """Why it ended; where the last calls were never answered, nobody knows."""
    if last.failed:
        return "engine_error"
    if last.finish_reason == "length":
        return "max_sampled_tokens"
    return "imported" if last.calls else "completed"
