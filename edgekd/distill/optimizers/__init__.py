"""Optimisers, one per file, named by their file in a recipe."""
