"""The public name of `capsound_checker.check.judging`: it stays where modules move."""

from capsound_checker.check.judging import Judgement, judge

__all__ = ["Judgement", "judge"]
