"""Synchronous rounds of n processes under torch.distributed."""
