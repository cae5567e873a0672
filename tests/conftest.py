"""What holds for every test: offline, quiet, one thread.

The variables are set here, before any test module is imported, because torch, transformers and
Prefect read them once, when they are imported.
"""

import os
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRL_EXPERIMENTAL_SILENCE="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_HOME=str(ROOT / "state" / "prefect"),
    DO_NOT_TRACK="1",
    DVC_NO_ANALYTICS="1",
    # Torch's threads spin while they wait: with two threads on a busy machine, up to 10x slower.
    OMP_WAIT_POLICY="PASSIVE",
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
)

# One slow example says that the machine is busy, not that the code is wrong.
settings.register_profile("gradus", deadline=None)
settings.load_profile("gradus")
