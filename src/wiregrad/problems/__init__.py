"""Problems; importing the package registers all of them."""

from wiregrad.problems import convex, finetune, language, language_model, vision
from wiregrad.problems.base import Evaluation, Problem, ProblemSpec, register, registry

__all__ = [
    "Evaluation",
    "Problem",
    "ProblemSpec",
    "convex",
    "finetune",
    "language",
    "language_model",
    "register",
    "registry",
    "vision",
]
