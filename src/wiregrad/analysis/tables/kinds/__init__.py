"""The table kinds, one module a kind; each registers itself."""
