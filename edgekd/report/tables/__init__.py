"""Tables that sections are made of, one per file."""
