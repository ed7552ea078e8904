"""Figures of runs under delay and asynchrony."""
