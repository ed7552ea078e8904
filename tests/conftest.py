"""Makes the helpers in tests/support importable; no test depends on a clock or on luck."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))
# Nothing is judged by the clock, and the same examples are tried in every run, whatever failed
# before. To look for new ones: pytest --hypothesis-profile=explore.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", unhurried, max_examples=25, derandomize=True)
settings.register_profile("explore", unhurried, max_examples=500)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test draws from the global generators does not depend on the tests before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the legacy generator is what other libraries draw from
    torch.manual_seed(0)
