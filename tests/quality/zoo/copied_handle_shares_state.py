"""Sound: a budget is only a reference to its books, and a copy refers to the same books.

Looks like the budget that is a plain value. Whatever is spent through a copy is seen through the original.
"""

from zoo_base import Reserving

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "copied_handle"


class Name:
    def __init__(self, books):
        self.books = books

    def __deepcopy__(self, memo):
        return Name(self.books)


class Target(Reserving):
    def open(self, cap):
        return Name(super().open(cap))

    def reserve(self, scope, amount):
        return scope.books.reserve(amount)

    def spent(self, scope):
        return scope.books.spent

    def held(self, scope):
        return scope.books.held

    def remaining(self, scope):
        return scope.books.available
