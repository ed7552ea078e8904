"""Processes that share the gradients of one run."""
