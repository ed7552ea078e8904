"""Sweeps: what they left behind, heatmaps, tables and checks."""
