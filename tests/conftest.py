"""Makes the helpers in tests/support importable; hypothesis without a clock."""

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "support"))
# The same examples on every CI run, other ones on every local run; no deadline: clocks vary.
settings.register_profile("suite", deadline=None, max_examples=25, derandomize="CI" in os.environ)
settings.load_profile("suite")
