"""The figure kinds, one module a kind; each registers itself."""
