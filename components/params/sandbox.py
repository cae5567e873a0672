"""Settings of the sandbox in which generated programs run, and of the scorer that tests them.

Decides a program's limits; components/scorers/sandbox enforces them.
"""

from typing import Literal

from pydantic import Field, model_validator

from components.params.loading import Settings

Isolation = Literal["auto", "bubblewrap", "unshare", "none_i_trust_the_code"]


class SandboxParams(Settings):
    """How programs are isolated, how many run at once, and the limits of each; each is one process without children."""

    isolation: Isolation = Field(
        default="auto",
        description="auto: bubblewrap where it works, else unshare (util-linux), else a refusal. "
        "none_i_trust_the_code: limits only; programs read and write whatever this user may.",
    )
    workers: int = Field(default=2, ge=1, le=256, description="Programs that run at the same time.")
    cpu_seconds: int = Field(default=2, ge=1, description="Of one program, for all of its tests together.")
    wall_seconds: float = Field(default=10.0, gt=0, description="More than cpu_seconds, as the machine may be busy.")
    memory_mb: int = Field(default=512, ge=64, description="Address space, megabytes of 2^20 bytes.")
    scratch_mb: int = Field(default=16, ge=1, description="Its folder /tmp, in memory, empty at the start.")
    open_files: int = Field(default=64, ge=16)
    threads: int = Field(default=16, ge=1, description="Of one program; not enforced for root, unlike memory.")
    answer_kb: int = Field(default=1024, ge=1, description="Results of all tests together; 2^10 bytes.")

    @model_validator(mode="after")
    def _scratch_fits(self) -> "SandboxParams":
        if self.scratch_mb > self.memory_mb:
            raise ValueError(f"scratch_mb must be ≤ memory_mb = {self.memory_mb}, found {self.scratch_mb}")
        return self


class UnitTestsParams(Settings):
    """Which field of the answer is the program, which evidence has its tests, and the sandbox."""

    field: str = Field(default="code", description="Of the answer; its text is Python.")
    evidence: str = Field(default="tests", description='JSON: [{"call": "f", "args": [1], "expected": 2}, …].')
    tolerance: float = Field(default=1e-9, ge=0, description="Of numbers with a fraction, absolute and relative.")
    sandbox: SandboxParams = SandboxParams()
