"""One run, from its configuration to its files.

`execute.execute` is the way in. May import runtimes, problems, methods and all below, no studies.
"""
