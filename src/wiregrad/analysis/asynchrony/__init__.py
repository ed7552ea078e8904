"""Runs under delay and asynchrony: what they measured, their pictures and their checks."""
