"""Fuzz targets: any bytes or arguments must give the right answer or one clear error.

    python -m fuzz jpeg --runs 1000000 --seed 7      one target
    python -m fuzz all --runs 20000                  every target
    python -m fuzz jpeg --atheris                    guided by coverage, if atheris is installed

A finding prints the input and how to repeat it, and the exit status is 1.
"""
