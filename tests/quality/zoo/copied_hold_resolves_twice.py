"""A hold itself records that it was resolved: an earlier copy does not know, and is resolved once more.

Known from receipts that are plain values and pass through a queue or a cache. The second time gives back what is not
held any more, beyond the cap.
"""

from zoo_base import Account, Hold, Reserving

ANOMALY = "double-settle"
KEEPS = "none"


class Receipt(Hold):
    def __copy__(self):
        return self.__deepcopy__({})

    def __deepcopy__(self, memo):
        twin = Receipt(self.account, self.amount)
        twin.sent, twin.done = self.sent, self.done
        return twin


class Copyable(Account):
    hold = Receipt


class Target(Reserving):
    account = Copyable
