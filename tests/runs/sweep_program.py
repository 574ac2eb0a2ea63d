"""``theory-check`` with the components of ``sweep_toys``, as a program of its own."""

import sys

import sweep_toys

from theory_check.cli import main

if __name__ == "__main__":
    sys.exit(main(catalogue=sweep_toys.CATALOGUE))
