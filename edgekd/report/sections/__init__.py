"""The report's sections, one per file: `section(document)` gives blocks, or None when there is nothing to say."""
