"""The checks, one module each; each registers itself under the name that claims use."""
