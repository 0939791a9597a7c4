"""`python -m tests.bench`: all benchmarks, one after the other; `idle` and `plan` need no lab."""

import sys

from tests.bench import failover, idle, move, plan

arguments = sys.argv[1:]
sys.exit(move.main(arguments) or failover.main(arguments) or idle.main(arguments) or plan.main(arguments))
