"""Twin of the pool's rule of sizes."""

import math


def class_size(size):
    """Twin of the size rule: four leading binary digits, 64 bytes at least."""
    step = 64
    while size > 16 * step:
        step *= 2
    return max(1, math.ceil(size / step)) * step
