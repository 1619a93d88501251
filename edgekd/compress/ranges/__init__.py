"""Range estimators, one per file: histogram -> (low, high)."""
