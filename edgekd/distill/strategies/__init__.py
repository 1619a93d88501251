"""Distillation strategies, one paper per file, named by their file in a recipe."""
