"""Sweeps: how each of a grid of runs of one problem and one method ends, many at a time.

The runs of one k advance together (`wiregrad.runtimes.batched`); a run is dropped once it reached
the tolerance, diverged, or cannot become the best any more. When a run ends depends on iterations
and bits alone. Each batch leaves a file, so that an interrupted sweep resumes with the next batch.
"""
