"""Figures: a specification in a paper's configuration, drawn from results as SVG and PNG."""
