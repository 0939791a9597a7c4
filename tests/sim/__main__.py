"""`python -m tests.sim`."""

import sys

from tests.sim.runner import main

if __name__ == "__main__":
    sys.exit(main())
