"""`python -m tests.bench`: all benchmarks, one after the other, on one lab."""

import sys

from tests.bench.move import main

sys.exit(main())
