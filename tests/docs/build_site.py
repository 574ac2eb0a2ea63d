"""Build the site as ``python -m sphinx`` does, with the arguments of that.

A program of its own, without collections of garbage, which would look through all documents.
"""

from __future__ import annotations

import gc
import sys

from sphinx.cmd.build import main

if __name__ == "__main__":
    gc.disable()
    sys.exit(main(sys.argv[1:]))
