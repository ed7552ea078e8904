"""The report and the explorer (two pages that open without a network), and publication."""
