"""`python -m tests.bench`: all benchmarks, one after the other, each on a lab of its own; `idle` needs none."""

import sys

from tests.bench import failover, idle, move

sys.exit(move.main(sys.argv[1:]) or failover.main(sys.argv[1:]) or idle.main(sys.argv[1:]))
