"""Logs, metrics and health; reads plain counters that hot objects keep."""
