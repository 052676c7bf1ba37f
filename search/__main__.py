"""`python -m search` is `paretune`."""

from search.cli import main

main()
