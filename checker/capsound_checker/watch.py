"""The public name of `capsound_checker.programs.watch`: it stays where modules move."""

from capsound_checker.programs.watch import SECONDS

__all__ = ["SECONDS"]
