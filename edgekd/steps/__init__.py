"""Steps: each stage's verb bound to the store, one file per step. A step says what its result depends on."""
