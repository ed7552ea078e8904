"""Figures, tables, claims, reports: pure functions of histories and configuration, torch-free."""
