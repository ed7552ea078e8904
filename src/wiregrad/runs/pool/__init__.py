"""Processes that share the gradients of one run, to the same bits as one process."""
