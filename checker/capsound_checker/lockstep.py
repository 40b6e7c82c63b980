"""The public name of `capsound_checker.programs.lockstep`: it stays where modules move."""

from capsound_checker.programs.lockstep import AdapterFailed, Lockstep, ProviderError

__all__ = ["AdapterFailed", "Lockstep", "ProviderError"]
