"""Plans a run's rungs from a ladder's YAML: expands groups, checks names, resolves settings.

Decides what a ladder may say. How a rung is made is up to its method.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.errors import ConfigError
from components.methods import NAMES, Job, Made, method_of
from components.params import BASE, LadderParams, Profile, RungParams, Settings, Workload
from components.params.ladder import NAME
from components.params.loading import explain, merged
from components.records import Makes, Need
from components.tracking import Tracker

MODEL: Makes = "model"
CLASSIFIER: Makes = "classifier"


@dataclass(frozen=True)
class PlannedRung:
    """A rung of a run before it is made.

    `starts_from` is `base`, a rung, a group, or None; `compared_with` a rung, a group, or None. `group` is the group
    that the rung belongs to, of which only the best on dev goes on; `prompt` is its own prompt.
    """

    name: str
    made_by: str
    settings: Settings
    starts_from: str | None
    compared_with: str | None
    group: str | None = None
    prompt: str | None = None

    @property
    def makes(self) -> Makes:
        """The kind of artifact that it will be."""
        return method_of(self.made_by).makes

    @cached_property
    def needs(self) -> frozenset[Need]:
        """What it requires before it is made; the graph depends on it, so that no stage has to read settings for it."""
        return method_of(self.made_by).needs(self.settings)

    def takes(self, setting: str) -> bool:
        """Whether its method has a setting of this name."""
        return setting in type(self.settings).model_fields

    def make(self, job: Job, tracker: Tracker, settings: Settings | None = None) -> Made:
        """Make it, with the given settings or else its own."""
        return method_of(self.made_by).make(job, settings or self.settings, tracker)

    @cached_property
    def teacher(self) -> str | None:
        """The rung or group of the ladder that teaches it; None if none does. The graph depends on it, as on needs."""
        return getattr(getattr(self.settings, "teacher", None), "rung", None)

    @property
    def named_prompts(self) -> dict[str, str]:
        """The prompts that a teacher is asked with, by the setting that names them."""
        if "teacher" not in self.needs:
            return {}
        teacher = getattr(self.settings, "teacher", None)
        named = {"teacher.prompt": getattr(teacher, "prompt", None), "prompt": getattr(self.settings, "prompt", None)}
        return {setting: prompt for setting, prompt in named.items() if prompt}

    @property
    def rewarded(self) -> bool:
        """Whether the workload's scorer decides what it learns."""
        return "reward" in self.needs


@dataclass(frozen=True)
class Sources:
    """What a run's rungs are planned from, and the files that it comes from, for error messages.

    `changes` are the run's own settings by rung.
    """

    ladder: LadderParams
    workload: Workload
    profile: Profile
    changes: Mapping[str, Mapping[str, Any]]
    run: str
    ladder_file: Path
    profile_file: Path
    pipeline_file: Path


def plan(given: Sources) -> tuple[PlannedRung, ...]:
    """The rungs of a run, in the ladder's order.

    Raises:
        ConfigError: A name is used twice or refers to nothing before it or to another kind than the method starts from,
            a method is unknown, or a setting is wrong.
    """
    _refuse_unknown_methods(given)
    planned: list[PlannedRung] = []
    names: dict[str, Makes] = {BASE: MODEL}
    for name, params in given.ladder.rungs.items():
        rungs = list(_spread(name, params, given))
        if not rungs:
            continue
        made = [rung.name for rung in rungs]
        owned = [name, *made] if params.each else made
        for own in owned:
            if own in names or owned.count(own) > 1:
                raise ConfigError(
                    f"expected every rung, group and prompt under a name of its own, found {own} twice "
                    f"({given.ladder_file}, prompts of {given.workload.name})"
                )
            if not re.fullmatch(NAME, own):
                raise ConfigError(
                    f"expected a rung named by small letters, digits, - and _, found {own!r} ({given.ladder_file})"
                )
        _refuse_without_api(name, rungs[0], given)
        roles = {"from": rungs[0].starts_from, "compare": params.compare, "settings.teacher.rung": rungs[0].teacher}
        for role, reference in roles.items():
            if reference is not None and reference not in names:
                raise ConfigError(
                    f"rungs.{name}.{role}: expected one of {', '.join(sorted(names))}, which come before it, "
                    f"found {reference} ({given.ladder_file})"
                )
        _refuse_other_kind(name, rungs[0], names, given)
        names.update((own, rungs[0].makes) for own in owned)
        planned += rungs
    if unknown := given.changes.keys() - given.ladder.rungs.keys():
        raise ConfigError(
            f"runs.{given.run}.rungs: expected rungs of the ladder, found {min(unknown)} ({given.pipeline_file}, "
            f"{given.ladder_file})"
        )
    return tuple(planned)


def _refuse_unknown_methods(given: Sources) -> None:
    """Refuse settings of a method that there is none of; one of the user's own need not be there.

    Raises:
        ConfigError: There are such settings.
    """
    if unknown := [name for name in given.profile.methods if name not in NAMES and ":" not in name]:
        raise ConfigError(
            f"methods: expected settings of {', '.join(NAMES)} or module:Class, found {unknown[0]} "
            f"({given.profile_file})"
        )


def _refuse_without_api(name: str, rung: PlannedRung, given: Sources) -> None:
    """Refuse a rung that needs the profile's API for prompts where there is none.

    Raises:
        ConfigError: The profile names none.
    """
    if "api" in rung.needs and given.profile.prompting is None:
        raise ConfigError(
            f"rungs.{name}: expected an API for prompts in the profile (prompting), which {rung.made_by} needs unless "
            f"its settings name one, found none ({given.ladder_file}, {given.profile_file})"
        )


def _refuse_other_kind(name: str, rung: PlannedRung, names: Mapping[str, Makes], given: Sources) -> None:
    """Refuse a rung that starts from another kind than its method makes.

    One's own method may start from any, and what starts from nothing is given a start in vain.

    Raises:
        ConfigError: It does.
    """
    if rung.starts_from is None or names[rung.starts_from] == rung.makes:
        return
    if rung.made_by not in NAMES or not getattr(method_of(rung.made_by), "starts", True):
        return
    known = ", ".join(each for each, makes in names.items() if makes == rung.makes)
    raise ConfigError(
        f"rungs.{name}.from: expected a {rung.makes} for {rung.made_by} ({known or 'none comes before it'}), "
        f"found {rung.starts_from}, which is a {names[rung.starts_from]} ({given.ladder_file})"
    )


def _spread(name: str, params: RungParams, given: Sources) -> Iterator[PlannedRung]:
    """The rung, or one for each prompt of the workload, compared with the one before; for agents no classifiers.

    Raises:
        ConfigError: There is no such method, it cannot learn from tries, or a setting is wrong.
    """
    try:
        made_by, method = params.method, method_of(params.method)
    except ConfigError as error:
        raise ConfigError(f"rungs.{name}.{error} ({given.ladder_file})") from error
    if given.workload.agent is not None and method.makes == CLASSIFIER:
        return  # a classifier cannot act, and an agent that does nothing must score nothing, so there is no floor
    if given.workload.agent is not None and not getattr(method, "acts", False):
        name_of_method = ", ".join(
            name_of_method for name_of_method in NAMES if getattr(method_of(name_of_method), "acts", False)
        )
        raise ConfigError(
            f"rungs.{name}: expected a method that learns from an agent's tries ({name_of_method}), "
            f"found {made_by} ({given.ladder_file}, agent of {given.workload.name})"
        )
    settings = _settings(name, params, made_by, given)
    start = params.starts_from or (BASE if method.makes == MODEL else None)
    compared = params.compare or (None if start == BASE else start)
    if params.each is None:
        yield PlannedRung(name, made_by, settings, start, compared)
        return
    for prompt in given.workload.prompts:
        yield PlannedRung(prompt, made_by, settings, start, compared, group=name, prompt=prompt)
        compared = prompt


def _settings(name: str, params: RungParams, made_by: str, given: Sources) -> Settings:
    """The method's settings in the profile, changed by the ladder and then by the run.

    In a mapping each changes only the keys that it names. A method that `inherits` starts from the other method's
    settings; `dev_examples` and `max_tokens` default to the profile's, or to an agent's own.
    """
    method, profile = method_of(made_by), given.profile
    fields = method.params.model_fields
    shared = {"dev_examples": profile.dev_examples, "max_tokens": given.workload.max_tokens(profile.max_tokens)}
    inherited = merged(
        {key: value for key, value in shared.items() if key in fields},
        profile.methods.get(getattr(method, "inherits", ""), {}),
    )
    places = (
        (f"methods.{made_by}", given.profile_file, merged(inherited, profile.methods.get(made_by, {}))),
        (f"rungs.{name}.settings", given.ladder_file, params.settings),
        (f"runs.{given.run}.rungs.{name}", given.pipeline_file, dict(given.changes.get(name, {}))),
    )  # fmt: skip
    try:
        return method.params.model_validate(reduce(merged, [settings for _, _, settings in places]))
    except ValidationError as error:
        wrong = error.errors()[0]["loc"]
        named = [_named(settings, wrong) for _, _, settings in places]
        last = max(range(len(places)), key=lambda at: (named[at], at)) if any(named) else 0
        section, path, _ = places[last]
        raise ConfigError(explain(error, section, path)) from error


def _named(settings: Any, field: tuple[str | int, ...]) -> int:
    """How many steps of the way to a field these settings have."""
    for steps, name in enumerate(field):
        if not isinstance(settings, Mapping) or name not in settings:
            return steps
        settings = settings[name]
    return len(field)
