"""Hypothesis: the same examples on every CI run, other ones on every local run."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile(
    "wiregrad",
    deadline=None,
    max_examples=12,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wiregrad")
