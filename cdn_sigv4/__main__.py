"""`python -m` with the package's name, whatever that is: the command line."""

from .cli import main

raise SystemExit(main(prog=f"python -m {__package__}"))
