"""The public name of `capsound_checker.schedules.asynchronous`: it stays where modules move."""

from capsound_checker.schedules.asynchronous import explore, replay

__all__ = ["explore", "replay"]
