"""Pure rules: verdicts, placements, plans, capacity, routes. Imports nothing that does I/O."""
