"""`python -m wiregrad`."""

from wiregrad.cli import main

main()
