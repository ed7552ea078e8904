"""Runtimes: what moves payloads between workers and server."""
