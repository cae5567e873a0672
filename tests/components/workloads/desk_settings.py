"""The desk as its settings have it, for tests of agents."""

from pathlib import Path

from components.params import Workload, load
from components.prompts import load_prompt

PARAMS = Path(__file__).resolve().parents[3] / "params"
WORKLOAD = load(PARAMS / "workloads/desk.yaml", Workload)
PROMPT = load_prompt(PARAMS / "prompts/desk", "policies", ("message",))
SHORT = load_prompt(PARAMS / "prompts/desk", "short", ("message",))
