"""``theory-check`` with the components of ``sweep_toys``, as a program of its own."""

import sys

import sweep_toys

from theory_check.cli import main
from theory_check.runs import registry

if __name__ == "__main__":
    registry.discover = lambda: sweep_toys.REGISTRY
    sys.exit(main())
