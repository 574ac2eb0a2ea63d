"""``theory-check`` with the experiments and figures of the current folder, as a program."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.catalogues import with_files_of

from theory_check.cli import main

if __name__ == "__main__":
    sys.exit(main(catalogue=with_files_of(Path.cwd())))
