"""The public name of `capsound_checker.programs.coverage`: it stays where modules move."""

from capsound_checker.programs.coverage import small_scope

__all__ = ["small_scope"]
