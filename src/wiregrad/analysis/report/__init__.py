"""The report, the explorer, and publication."""
