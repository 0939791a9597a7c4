"""Statuses as pure functions of the store's snapshot and of the object in this cluster."""
