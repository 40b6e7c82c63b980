"""The public name of `capsound_checker.histories.recording`: it stays where modules move."""

from capsound_checker.histories.recording import record

__all__ = ["record"]
