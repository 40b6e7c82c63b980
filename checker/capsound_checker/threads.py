"""The public name of `capsound_checker.schedules.threads`: it stays where modules move."""

from capsound_checker.schedules.threads import interrupt, pairs, race

__all__ = ["interrupt", "pairs", "race"]
