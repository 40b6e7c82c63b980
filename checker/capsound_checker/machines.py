"""The public name of `capsound_checker.programs.machines`: it stays where modules move."""

from capsound_checker.programs.machines import Violation

__all__ = ["Violation"]
