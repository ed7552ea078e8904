"""Figures, tables, verdicts on claims, and reports: pure functions of histories and configuration.

The folders import one way: `report` imports `figures`, `tables` and `claims`, which do not import
each other, and these import `results`, the numbers taken from histories. Figure kinds, table kinds
and checks have one form: `spec` (base class and registry), `kinds` (one module each, which
registers itself), `catalogue` (reads a paper's configuration) and `render` (writes files). Torch is
imported only where a bound on asynchronous methods is evaluated.
"""
