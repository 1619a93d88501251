"""Data sources that a recipe can name, one per file."""
