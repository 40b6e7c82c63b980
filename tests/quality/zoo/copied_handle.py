"""A budget is a plain value: a copy of it is a second budget with the same money.

Known from budgets that are passed on by value, or through a context that is copied with each task.
Where nobody copies one it is sound.
"""

from zoo_base import Account, Reserving

ANOMALY = "minted"
KEEPS = "concurrent"


class Value(Account):
    __reduce_ex__ = object.__reduce_ex__


class Target(Reserving):
    account = Value
