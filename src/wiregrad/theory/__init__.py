"""Constants, step sizes and bounds: of problems (`constants`), and of methods, one file a paper."""

from wiregrad.theory.constants import Constants
from wiregrad.theory.methods import step_size

__all__ = ["Constants", "step_size"]
