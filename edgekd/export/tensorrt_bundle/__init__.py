"""Files that travel in a TensorRT bundle as they are."""
