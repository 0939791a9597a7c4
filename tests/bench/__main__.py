"""`python -m tests.bench`: all benchmarks, one after the other; `idle` and `plan` need no lab."""

import sys

from tests.bench import failover, floor, idle, move, paced, plan, writes

arguments = sys.argv[1:]
benches = (move, paced, writes, failover, floor, idle, plan)
sys.exit(next((status for bench in benches if (status := bench.main(arguments))), 0))
