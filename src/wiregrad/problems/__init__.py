"""Problems: a model, its data and its loss, which give the gradients of n workers.

Importing the package registers all of them. It may import `wiregrad.data`, `wiregrad.theory`,
`wiregrad.kernels` and `wiregrad.core`; it knows no method and no runtime.
"""

from wiregrad.problems import convex, finetune, language_model, sentiment, vision
from wiregrad.problems.base import Evaluation, Problem, ProblemSpec, register, registry

__all__ = [
    "Evaluation",
    "Problem",
    "ProblemSpec",
    "convex",
    "finetune",
    "language_model",
    "register",
    "registry",
    "sentiment",
    "vision",
]
