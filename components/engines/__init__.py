"""Engines: transformers, llama.cpp and vLLM here, any OpenAI-compatible API, behind one protocol.

Decides how completions are computed. What is asked and how answers are scored is decided elsewhere.
"""

from components.engines.base import (
    CallingEngine,
    Calls,
    ChatRequest,
    ConcurrentEngine,
    Engine,
    Listeners,
    Sampling,
    StreamingEngine,
)
from components.engines.factory import open_engine, open_prompting

__all__ = [
    "CallingEngine",
    "Calls",
    "ChatRequest",
    "ConcurrentEngine",
    "Engine",
    "Listeners",
    "Sampling",
    "StreamingEngine",
    "open_engine",
    "open_prompting",
]
