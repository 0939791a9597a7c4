"""The demo: 1,000 agents move between two cities, measured one by one. `make demo` runs it."""
