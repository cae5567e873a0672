"""Versions whose answers an engine elsewhere computes, such as vLLM's server; all else of serving stays this server's.

Prompts, masks, traces, routes and canaries are as ever: what an engine elsewhere gets is the conversation that the
version was trained on. Decides by which name it is asked for a version, and that it knows it before it is asked.
"""

from components.engines import open_engine
from components.errors import EngineError
from components.opening import Artifact, Opened, over, prompt_of
from components.params import ApiParams, Profile, Workload
from components.registry import Version
from components.serving import Served, open_served

_ANSWER_S = 10.0


def open_upstream(version: Version, workload: Workload, profile: Profile) -> Served:
    """Open a registered version: a model's weights elsewhere, anything else here.

    Raises:
        RegistryError: Its files are not those that were registered.
        EngineError: The engine elsewhere is away or does not have it, or the key is missing.
        ConfigError: Its prompt is not there.
    """
    params = workload.serving.upstream
    if params is None or version.makes != "model":
        return open_served(version, workload, profile)
    name = params.name(workload.name, version.number)

    def elsewhere(artifact: Artifact, workload: Workload, profile: Profile, columns: tuple[str, ...]) -> Opened:
        engine = open_engine(params.api, name)
        refuse_unknown(params.api, name)
        return over(engine, prompt_of(artifact, columns), workload, profile)

    return open_served(version, workload, profile, elsewhere)


def refuse_unknown(api: ApiParams, name: str) -> None:
    """Refuse an engine that does not list a version: a canary would be judged by another one's answers.

    Raises:
        EngineError: It does not, or does not answer.
    """
    from openai import OpenAI, OpenAIError

    from components.engines.openai_engine import key_of

    try:
        with OpenAI(api_key=key_of(api), base_url=api.base_url, timeout=_ANSWER_S, max_retries=0) as client:
            known = [model.id for model in client.models.list()]
    except OpenAIError as error:
        raise EngineError(f"expected an engine with {name} at {api.base_url}, found {error}") from error
    if name not in known:
        there = ", ".join(known) or "nothing"
        raise EngineError(f"expected {name} at {api.base_url} (serving.upstream), found {there}")
