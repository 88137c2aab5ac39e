"""Probes: what a live endpoint answers to harmless requests."""
