import importlib.util

import pytest

from components.engines import open_engine
from components.errors import EngineError
from components.params import EngineParams


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_says_how_to_install_it() -> None:
    with pytest.raises(EngineError, match=r"pip install --group vllm"):
        open_engine(EngineParams(kind="vllm"), "some/model")
