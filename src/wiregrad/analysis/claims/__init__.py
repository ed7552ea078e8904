"""Claims, their checks and verdicts."""
