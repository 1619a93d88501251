"""Ways to a machine that runs the agent: one per file."""
