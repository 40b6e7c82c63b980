"""The public name of `capsound_checker.histories.history`: it stays where modules move."""

from capsound_checker.histories.history import BadHistory, History, check

__all__ = ["BadHistory", "History", "check"]
