"""Adapters to carriers: `engine.ports.CarrierAdapter`."""
