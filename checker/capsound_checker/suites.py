"""The public name of `capsound_checker.check.suites`: it stays where modules move."""

from capsound_checker.check.suites import Suite, suite

__all__ = ["Suite", "suite"]
