"""A date with a metaclass of its own, as some libraries have one: with the moved clocks it cannot be derived."""

from __future__ import annotations

from datetime import date


class Meta(type):
    """Any metaclass."""


class Day(date, metaclass=Meta):
    """A day."""
