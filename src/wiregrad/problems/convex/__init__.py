"""Problems with closed-form gradients: convex ones, and logistic regression in general."""

from wiregrad.problems.convex.base import Convex
from wiregrad.problems.convex.least_squares import LeastSquares
from wiregrad.problems.convex.logistic import Logistic
from wiregrad.problems.convex.quadratic import Quadratic
from wiregrad.problems.convex.stochastic import ToyStochastic

__all__ = ["Convex", "LeastSquares", "Logistic", "Quadratic", "ToyStochastic"]
