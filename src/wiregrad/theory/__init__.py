"""Constants, step sizes and bounds of the papers, one file a paper."""
