"""NumPy twins of the kernels, written for clarity: what the C code must equal."""
