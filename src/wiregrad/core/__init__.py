"""The basis of all other rooms: errors, registries, validation, seeds, vector layouts, files.

It imports nothing else of wiregrad, and torch only where a generator is made.
"""
