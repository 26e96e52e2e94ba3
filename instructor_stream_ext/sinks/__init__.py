"""Consumers of events, one file each: the transition log, telemetry, the terminal, the notebook."""
