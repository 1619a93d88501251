"""Notations of the report, one per file."""
