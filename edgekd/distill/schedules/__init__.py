"""Learning-rate schedules, one per file, named by their file in a recipe."""
