"""Serves versions with a remote engine, such as vLLM's server, which only computes the answers.

Prompts, masks, traces, routes and canaries stay here; the remote engine gets the conversation that the version was
trained on. Decides the engine's name for a version, checks that the engine has it, and parts the names of the version's
control tokens in texts, which the engine would read as tokens.
"""

from components.errors import EngineError
from components.opening import Artifact, Opened, over, prompt_of
from components.params import ApiParams, Profile, Workload
from components.registry import Version
from components.serving import Served, in_time, open_served

_ANSWER_S = 10.0


def open_upstream(version: Version, workload: Workload, profile: Profile) -> Served:
    """Open a registered version: a model on the remote engine, anything else here.

    Raises:
        RegistryError: Its files differ from those that were registered.
        EngineError: The remote engine does not answer or does not have it, or the key or its tokenizer is missing.
        ConfigError: Its prompt is missing.
    """
    from components.engines.openai_engine import OpenAIEngine
    from components.engines.parting import Parting

    params = workload.serving.upstream
    if params is None or version.makes != "model":
        return open_served(version, workload, profile)
    name = params.name(workload.name, version.number)

    def elsewhere(artifact: Artifact, workload: Workload, profile: Profile, columns: tuple[str, ...]) -> Opened:
        engine = OpenAIEngine(name, in_time(params.api, workload.serving), Parting.of(artifact.folder))
        refuse_unknown(params.api, name)
        return over(engine, prompt_of(artifact, columns), workload, profile)

    return open_served(version, workload, profile, elsewhere)


def refuse_unknown(api: ApiParams, name: str) -> None:
    """Refuse an engine that does not list a version: otherwise a canary could be judged by another's answers.

    Raises:
        EngineError: The engine does not list the version, or does not answer.
    """
    from openai import OpenAI, OpenAIError

    from components.engines.openai_engine import key_of

    try:
        with OpenAI(api_key=key_of(api), base_url=api.base_url, timeout=_ANSWER_S, max_retries=0) as client:
            listed = [model.id for model in client.models.list()]
    except OpenAIError as error:
        raise EngineError(f"expected an engine with {name} at {api.base_url}, found {error}") from error
    if name not in listed:
        there = ", ".join(listed) or "nothing"
        raise EngineError(f"expected {name} at {api.base_url} (serving.upstream), found {there}")
