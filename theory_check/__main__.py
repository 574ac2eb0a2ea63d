"""Run the command as ``python -m theory_check``."""

import sys

from theory_check.cli import main

sys.exit(main())
