"""Adapters to CTIs: `engine.ports.CTIAdapter`."""
