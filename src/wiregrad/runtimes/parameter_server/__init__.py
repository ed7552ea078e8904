"""A server and its worker processes, in real time."""
