"""A sound budget whose own file derives a date with a metaclass of its own: no time can pass for it."""

from __future__ import annotations

from datetime import date

from wicked_budgets import Sound


class Meta(type):
    """Any metaclass."""


class Day(date, metaclass=Meta):
    """A day."""


class Timeless(Sound):
    """Sound."""
