"""The public name of `capsound_checker.schedules.agents`: it stays where modules move."""

from capsound_checker.schedules.agents import Call, Program

__all__ = ["Call", "Program"]
