"""Opens an engine by its settings. An engine's libraries are imported only when it is opened."""

from pathlib import Path

from components.engines.base import Engine
from components.models import model_folder
from components.params import ApiParams, EngineParams, LlamaCppParams, Precision, Profile


def open_engine(settings: EngineParams | ApiParams, model: str | Path, precision: Precision = "auto") -> Engine:
    """Open the engine that the settings name.

    `model` is a folder; for vLLM it may be a name on the Hugging Face hub, for an API it is the API's name for the
    model, and `precision` is ignored.

    Raises:
        EngineError: The model cannot be opened, the engine's library is not installed, or the API's key is missing.
    """
    if isinstance(settings, ApiParams):
        from components.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(str(model), settings)
    if settings.kind == "vllm":
        from components.engines.vllm_engine import VllmEngine

        return VllmEngine(str(model), precision)
    if settings.kind == "llama_cpp":
        from components.engines.llama_cpp_engine import LlamaCppEngine

        return LlamaCppEngine.open(Path(model), settings.llama_cpp or LlamaCppParams(), precision)
    from components.engines.transformers_engine import TransformersEngine

    return TransformersEngine.open(Path(model), settings.batch_tokens, precision)


def open_prompting(profile: Profile, incumbent: str) -> Engine:
    """What answers prompts: the incumbent's API where the profile names one, else the profile's base model.

    Raises:
        EngineError: As `open_engine`.
    """
    if profile.prompting is not None:
        return open_engine(profile.prompting, incumbent)
    model = profile.model
    return open_engine(profile.engine, model_folder(model.path, model.chat_template_kwargs), model.precision)
