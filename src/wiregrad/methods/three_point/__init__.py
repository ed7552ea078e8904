"""The three-point compressors (3PC) and the methods that are built on them."""
