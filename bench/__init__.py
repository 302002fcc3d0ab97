"""Benchmarks: this library beside what people use now. `README.md` tells the method and the figures.

Nothing here is part of the installed package.
"""
