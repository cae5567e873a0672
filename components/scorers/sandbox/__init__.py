"""The sandbox: generated programs run in it, what they return comes out of it, and nothing else does.

Who decides what: `isolation` how a worker is shut in, `system_calls` what the kernel refuses to a program, `inside`
what happens behind the wall, `worker` how one is talked to, `pool` how many there are and what becomes of a lost one.
Whether a program is right is decided outside, by who knows what was expected: no expectation ever goes in.
"""

from components.scorers.sandbox.pool import Sandbox
from components.scorers.sandbox.programs import Answer, Call, Execution, Program

__all__ = ["Answer", "Call", "Execution", "Program", "Sandbox"]
