"""Engines: local transformers, any OpenAI-compatible API, vLLM, behind one protocol.

Decides how completions are computed; what is asked and how answers are judged is decided elsewhere.
"""

from components.engines.base import Ask, CallingEngine, Calls, Engine, Listeners, Sampling, StreamingEngine
from components.engines.factory import open_engine, open_prompting

__all__ = [
    "Ask",
    "CallingEngine",
    "Calls",
    "Engine",
    "Listeners",
    "Sampling",
    "StreamingEngine",
    "open_engine",
    "open_prompting",
]
