"""Files of agents' tries, from wherever they come, as trajectories; rewards are kept as they are.

Decides which of four forms a record has: this project's own, tau-bench's published one (`task_id`, `reward`, `info`,
`traj`; tau2's simulations are read alike), OpenAI's messages with `tools`, and spans of a trace. What is to be trained
on needs the schemas of its tools: without them a trace, or a conversation that calls tools, is refused by its name.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from components.data.joining import refusal
from components.data.reading.content import decode, read_bytes
from components.data.reading.conversations import parsed
from components.data.reading.dialogues import messages_of, refuse_strangers, tools_of
from components.data.reading.objects import consecutive, loads
from components.data.reading.spans import holds_spans
from components.data.reading.traces import Traced, traced
from components.errors import DataError
from components.records import Message, Record, Trajectory, Usage, encodable, read_jsonl

ENDING = ".trajectories.jsonl"
_ENDINGS = (".gz", ".json", ".jsonl", ".ndjson", ".trajectories")
Translate = Callable[[Mapping[str, Any], list[Any]], Mapping[str, Any]]
_REWARDS = ("reward", "score")


class Imported(Record):
    """A record of a file before it has its number among the trials of its task."""

    task: str
    trial: int | None
    trajectory: Trajectory


def beside(path: Path) -> Path:
    """Where the tries of a file are written by default: in its folder, under its name without known endings."""
    name = path.name
    while (ending := Path(name).suffix).lower() in _ENDINGS:
        name = name.removesuffix(ending)
    return path.with_name(name + ENDING)


def holds(path: Path, tries: Sequence[Trajectory]) -> bool:
    """Whether a file has these tries, and nothing else."""
    try:
        return read_jsonl(path, Trajectory) == list(tries)
    except DataError:
        return False


def read_trajectories(path: Path, translate: Translate | None = None) -> list[Trajectory]:
    """All tries of a file, in its order; trials of a task are numbered where they are not, or not apart.

    `translate` gives attributes of a span MLflow's names, whatever convention they follow.

    Raises:
        DataError: The file is missing, no JSON, or a record of it has none of the forms.
    """
    content, kind = read_bytes(path)
    if kind != "text":
        raise DataError(f"expected trajectories as JSON, found {kind} ({path})")
    records = list(_records(decode(content, path)[0], path))
    if not records:
        raise DataError(f"expected at least one trajectory, found none ({path})")
    spans = [record for record, _ in records if holds_spans(record)]
    rest = [(record, where) for record, where in records if not holds_spans(record)]
    entries = _of_traces(traced(spans, translate), path)
    entries += [_of_record(record, where) for record, where in rest]
    if not entries:
        raise DataError(
            f"expected at least one trajectory, found none: no span of a model tells what was said ({path})"
        )
    return _numbered([Imported.model_validate(_whole(entry.model_dump())) for entry in entries])


def _records(text: str, path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each record and where it stands."""
    try:
        whole: Any = loads(text)
    except ValueError:
        for value, line in consecutive(text, path):
            yield _object(value, f"{path}:{line}"), f"{path}:{line}"
        return
    if isinstance(whole, Mapping):
        whole = next((whole[name] for name in ("simulations", "traces") if isinstance(whole.get(name), list)), [whole])
    if not isinstance(whole, list):
        raise DataError(f"expected a list of trajectories, found {type(whole).__name__} ({path})")
    for at, value in enumerate(whole, start=1):
        yield _object(value, f"{path}, entry {at}"), f"{path}, entry {at}"


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"expected a trajectory as a JSON object, found {str(value)[:60]!r} ({where})")
    return value


def _of_record(record: Mapping[str, Any], where: str) -> Imported:
    if "stop_reason" in record and "example_id" in record:
        return _of_own(record, where)
    known = {key: value for key, value in record.items() if value is not None}  # tables have null where a row has none
    graded = "task_id" in known and ("reward" in record or "reward_info" in record)
    of_tau = "traj" in known or (graded and "tools" not in known)
    if "messages" in known and not of_tau:
        return _of_messages(known, where)
    if of_tau or "traj" in record:
        return _of_tau(known, where)
    keys = ", ".join(sorted(map(str, known))[:8])
    raise DataError(f"expected a trajectory with traj, messages or spans, found an object with {keys} ({where})")


def _of_own(record: Mapping[str, Any], where: str) -> Imported:
    from pydantic import ValidationError

    try:
        trajectory = Trajectory.model_validate(record)
    except ValidationError as error:
        raise DataError(f"expected a trajectory, found {error.errors()[0]['msg']} ({where})") from error
    return Imported(task=trajectory.example_id, trial=trajectory.trial, trajectory=trajectory)


def _of_tau(record: Mapping[str, Any], where: str) -> Imported:
    """A try at a task of tau-bench: an attempt that its runner gave up has no messages, and the reward it was given."""
    if "task_id" not in record:
        raise DataError(f"expected a trajectory with its task_id, found none ({where})")
    said = record.get("traj", record.get("messages"))
    info = record.get("info")
    failure = info.get("error") if isinstance(info, Mapping) else None
    graded = record.get("reward_info")
    reward = graded.get("reward") if isinstance(graded, Mapping) and "reward" not in record else record.get("reward")
    return _imported(
        str(record["task_id"]),
        record.get("trial"),
        () if said is None else messages_of(said, where),
        reward=_reward(reward, where),
        error=str(failure)[:500] if failure else None,
    )


def _of_messages(record: Mapping[str, Any], where: str) -> Imported:
    messages = messages_of(record["messages"], where)
    refuse_strangers(messages, where)
    tools = tools_of(record.get("tools"), where)
    name = str(record.get("task_id", record.get("id", where)))
    reward = next((record[key] for key in _REWARDS if key in record), None)
    return _known(_imported(name, record.get("trial"), messages, tools=tools, reward=_reward(reward, where)), name)


def _of_traces(traces: Sequence[Traced], path: Path) -> list[Imported]:
    """The try of each trace; of a conversation, which often has one for each turn, those that no other goes on from.

    A conversation that one is left of is its task; several are tasks of their own, because turns are no trials.
    """
    said = {trace.id: messages_of(trace.messages, f"{path}, trace {trace.id}") for trace in traces}
    conversations = defaultdict[str, list[str]](list)
    for trace in traces:
        conversations[trace.conversation or trace.id].append(trace.id)
    tasks: dict[str, str] = {}
    for name, turns in conversations.items():
        names = {id: _names(said[id]) for id in turns}
        gone_on = {name for each in names.values() for name in each[:-1]}
        last = [id for id in turns if gone_on.isdisjoint(names[id][-1:])]
        tasks |= {id: name if len(last) == 1 else id for id in last}
    return [_of_trace(trace, said[trace.id], tasks[trace.id], path) for trace in traces if trace.id in tasks]


def _names(messages: Sequence[Message]) -> list[int]:
    """A name for each beginning of what was said, without the system's words, which may tell the time, and ids."""
    said = (
        (message.role, message.content, tuple((call.name, call.plain_arguments) for call in message.tool_calls))
        for message in messages
        if message.role != "system"
    )
    return list(accumulate(said, lambda before, message: hash((before, message)), initial=0))[1:]


def _of_trace(trace: Traced, messages: tuple[Message, ...], task: str, path: Path) -> Imported:
    where = f"{path}, trace {trace.id}"
    refuse_strangers(messages, where)
    tools, reward = tools_of(trace.tools, where), _reward(trace.reward, where)
    return _known(_imported(task, None, messages, tools=tools, reward=reward), f"trace {trace.id}")


def _known(entry: Imported, name: str) -> Imported:
    """A record that calls only tools whose schemas it has."""
    if why := refusal(entry.trajectory, name):
        raise DataError(why)
    return entry


def _imported(task: str, trial: Any, messages: tuple[Message, ...], **outcome: Any) -> Imported:
    """A record with what is counted of its messages."""
    trajectory = Trajectory(
        id=task,
        example_id=task,
        messages=messages,
        stop_reason="imported",
        turns=sum(message.role == "assistant" for message in messages),
        tool_calls=sum(len(message.tool_calls) for message in messages),
        usage=Usage(input_tokens=0, output_tokens=0),
        **outcome,
    )
    known = isinstance(trial, int) and not isinstance(trial, bool) and trial >= 0
    return Imported(task=task, trial=trial if known else None, trajectory=trajectory)


def _reward(value: Any, where: str) -> float | None:
    """A reward as it is, 1 for true; None where there is none."""
    value = parsed(value)
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise DataError(f"expected a reward as a number, found {str(value)[:60]!r} ({where})")
    return float(value)


def _whole(value: Any) -> Any:
    """A value in whose texts no half of a surrogate pair is left."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list | tuple) else value


def _numbered(entries: list[Imported]) -> list[Trajectory]:
    """Trials by their own numbers where these tell a task's apart, else in the order of the file."""
    named = Counter((entry.task, entry.trial) for entry in entries)
    unclear = {task for (task, trial), times in named.items() if trial is None or times > 1}
    seen = Counter[str]()
    numbered: list[Trajectory] = []
    for entry in entries:
        trial = seen[entry.task] if entry.trial is None or entry.task in unclear else entry.trial
        seen[entry.task] += 1
        numbered.append(entry.trajectory.model_copy(update={"trial": trial, "id": f"{entry.task}#{trial}"}))
    return numbered
