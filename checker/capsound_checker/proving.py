"""The public name of `capsound_checker.solve.proving`: it stays where modules move."""

from capsound_checker.solve.proving import find_theorems, prove

__all__ = ["find_theorems", "prove"]
