"""Tandem: a Kubernetes operator for call centres that run in two or more cities at once."""
