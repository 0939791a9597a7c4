"""Servers that alarms are asked of."""
