from purse_adapter import Purse, PurseAdapter


class NoAmount(Exception):
    pass


class HoldUsed(Exception):
    pass


def whole(amount):
    if type(amount) is not int or amount < 0:
        raise NoAmount(repr(amount))
    return amount


class Budget(Purse):
    def __init__(self, cap):
        super().__init__(whole(cap))
        self.open_holds = {}

    def reserve(self, amount):
        super().reserve(whole(amount))
        hold = object()
        self.open_holds[hold] = amount
        return self, hold

    def settle(self, hold, cost):
        whole(cost)
        if hold not in self.open_holds:
            raise HoldUsed
        super().settle(self.open_holds.pop(hold), cost)

    def __reduce_ex__(self, protocol):
        raise TypeError("a copy of a budget would be a second budget")


class BudgetAdapter(PurseAdapter):
    rejected = (NoAmount,)
    stale = (HoldUsed,)
    strict = True

    def open(self, cap):
        return Budget(cap)
