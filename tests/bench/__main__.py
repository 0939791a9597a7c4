"""`python -m tests.bench`: all benchmarks, one after the other, each on a lab of its own."""

import sys

from tests.bench import failover, move

sys.exit(move.main(sys.argv[1:]) or failover.main(sys.argv[1:]))
