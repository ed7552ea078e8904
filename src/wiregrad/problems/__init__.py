"""Problems; importing the package registers all of them."""

from wiregrad.problems import convex, finetune, language, vision
from wiregrad.problems.base import Evaluation, Problem, ProblemSpec, register, registry

__all__ = [
    "Evaluation",
    "Problem",
    "ProblemSpec",
    "convex",
    "finetune",
    "language",
    "register",
    "registry",
    "vision",
]
