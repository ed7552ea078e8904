"""Numbers taken from histories."""
