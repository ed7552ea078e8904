"""What everything else builds on: errors, registries, validation, seeds, block layouts, files."""
