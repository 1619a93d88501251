"""Where models come from: one source per file, named by its file in a recipe."""
