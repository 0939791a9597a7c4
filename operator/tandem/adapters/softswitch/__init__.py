"""Adapters to softswitches: `engine.ports.SoftswitchAdapter`."""
