"""The sandbox: generated programs run in it, and only what they return comes out.

`isolation` isolates workers, `system_calls` decides what the kernel refuses to a program, `inside` runs inside the
isolation, `worker` communicates with it, `pool` manages workers and replaces lost ones. Whether a program is right is
decided outside: expectations never go in.
"""

from components.scorers.sandbox.pool import Sandbox
from components.scorers.sandbox.programs import Answer, Call, Execution, Program

__all__ = ["Answer", "Call", "Execution", "Program", "Sandbox"]
