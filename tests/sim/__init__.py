"""Deterministic simulation: the real parts of Tandem on made-up time, a made-up network and a made-up store."""
