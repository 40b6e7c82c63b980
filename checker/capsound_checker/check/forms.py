"""The adapter forms that ``capsound new adapter`` writes: one for each gate, plain or with coroutines.

Each stands over a small budget of its own, so that it works as it stands. The budgets of the gates ``check`` and
``record`` have the race that such gates have: ``check`` says ``violated`` of them, and a comment says why.
"""

from __future__ import annotations

from capsound.adapter import Gate


def adapter_template(gate: Gate = Gate.RESERVE, *, asynchronous: bool = False) -> str:
    """Return a commented adapter for a gate: it works as it stands, and its budget is to be replaced by the library.

    With ``asynchronous``, the operations are coroutines that wait.
    """
    parts = [_HEAD, _BUDGETS[gate], _ADAPTER, _OPERATIONS[gate], _TOLD[gate], _ALSO[gate]]
    text = "".join(parts).replace("GATE", gate.name)
    import_asyncio = "import asyncio\n\n" if asynchronous else ""
    text = text.replace("?import\n", import_asyncio).replace("?def", "async def" if asynchronous else "def")
    text = text.replace("?await ", "await " if asynchronous else "")
    return text.replace("?wait\n", f"        {_WAIT}\n" if asynchronous else "")


_WAIT = "await asyncio.sleep(0)  # stands for whatever the library waits for; other agents may run meanwhile"

_HEAD = '''"""An adapter for capsound: a thin class over a budget library. Replace `Budget` by the library.

    capsound smoke my_adapter.py:MyBudget     does the adapter work?
    capsound check my_adapter.py:MyBudget     does the library keep its cap?
"""

?import
from capsound.adapter import Adapter, Gate


class OverBudget(Exception):
    """What the library raises when the budget says no."""


def whole(amount):
    if type(amount) is not int or amount < 0:
        raise ValueError(f"{amount!r} is not an amount")
    return amount


'''

_RESERVING = """    def __init__(self, cap):
        self.available, self.held, self.spent, self.open = whole(cap), 0, 0, set()

    ?def reserve(self, amount):
        whole(amount)
?wait
        if amount > self.available:
            raise OverBudget(f"{amount} of {self.available}")
        self.available -= amount
        self.held += amount
        hold = (self, amount, object())
        self.open.add(hold)
        return hold
"""

_SETTLING = """
    ?def settle(self, hold, cost):
        whole(cost)
?wait
        self.open.remove(hold)  # KeyError: it was settled before
        self.held -= hold[1]
        self.spent += cost
        self.available += hold[1] - cost
"""

_UNCOPIED = """
    def __reduce_ex__(self, protocol):
        raise TypeError("a copy of a budget would be a second budget")


"""

_BUDGETS = {
    Gate.RESERVE: f'''class Budget:
    """Stands for the library: it reserves before a call and settles after it."""

{_RESERVING}{_SETTLING}{_UNCOPIED}''',
    Gate.CHARGE: f'''class Budget:
    """Stands for the library: it debits the estimate before a call, and puts it right after it."""

    def __init__(self, cap):
        self.cap, self.spent, self.open = whole(cap), 0, set()

    ?def charge(self, amount):
        whole(amount)
?wait
        if self.spent + amount > self.cap:
            raise OverBudget(f"{{amount}} of {{self.cap - self.spent}}")
        self.spent += amount
        receipt = (self, amount, object())
        self.open.add(receipt)
        return receipt

    ?def correct(self, receipt, cost):
        whole(cost)
?wait
        self.open.remove(receipt)  # KeyError: it was put right before
        self.spent += cost - receipt[1]
{_UNCOPIED}''',
    Gate.CHECK: f'''class Budget:
    """Stands for the library: it is asked whether a call fits, and told afterwards what it cost.

    `check` says violated of it: it counts no calls that are under way, so that two fit where there is room for one.
    """

    def __init__(self, cap):
        self.cap, self.spent = whole(cap), 0

    ?def fits(self, amount):
        whole(amount)
?wait
        return self.spent + amount <= self.cap

    ?def record(self, cost):
        whole(cost)
?wait
        self.spent += cost
{_UNCOPIED}''',
    Gate.RECORD: f'''class Budget:
    """Stands for the library: it is told what a call cost, and says when that is too much.

    `check` says violated of it: nothing stands before a call, so that every call is made.
    """

    def __init__(self, cap):
        self.cap, self.spent = whole(cap), 0

    ?def record(self, cost):
        whole(cost)
?wait
        self.spent += cost
        if self.spent > self.cap:
            raise OverBudget(f"{{self.spent}} of {{self.cap}}")
{_UNCOPIED}''',
    Gate.CALL: f'''class Budget:
    """Stands for the library: it makes the call itself, under a hold of its own."""

{_RESERVING}
    async def call(self, estimate, provider):
        hold = ?await self.reserve(estimate)
        cost = estimate  # what counts unless the bill is told: the request leaves, and may be billed whatever it costs
        try:
            cost = await provider()  # sends the request; returns the bill, raises, or is cancelled
        finally:  # nothing is awaited here: a call that is cancelled may never come back from it
            self.settle(hold, cost)

    def settle(self, hold, cost):
        self.open.remove(hold)
        self.held -= hold[1]
        self.spent += cost
        self.available += hold[1] - cost
{_UNCOPIED}''',
}

_ADAPTER = """class MyBudget(Adapter):
    # What stands between an agent and the provider: RESERVE (reserve, send, settle), CHARGE (check and debit at once),
    # CHECK (ask, send, record), RECORD (nothing before the call), CALL (the library calls the provider itself).
    gate = Gate.GATE

    # What the exceptions of the library mean. Any other stops the check: nothing can be said of it.
    refused = (OverBudget,)  # the budget said no, and nothing has changed
    rejected = (ValueError,)  # a bad argument, or not legal now
    stale = (KeyError,)  # the handle was used up before

    # Override what the library has, and delete the rest. Amounts are whole numbers of the smallest unit.

    def open(self, cap):
        return Budget(cap)

"""

_OPERATIONS = {
    Gate.RESERVE: """    ?def reserve(self, scope, amount):
        return ?await scope.reserve(amount)

    ?def settle(self, hold, actual):
        ?await hold[0].settle(hold, actual)

    ?def forfeit(self, hold):  # the call was sent, and what it cost will never be known
        ?await hold[0].settle(hold, hold[1])
""",
    Gate.CHARGE: """    ?def charge(self, scope, amount):
        return ?await scope.charge(amount)

    ?def settle(self, hold, actual):  # of what `charge` returned; delete this where an estimate stays debited
        ?await hold[0].correct(hold, actual)
""",
    Gate.CHECK: """    ?def check(self, scope, amount):
        return ?await scope.fits(amount)

    ?def record(self, scope, amount):
        ?await scope.record(amount)
""",
    Gate.RECORD: """    ?def record(self, scope, amount):
        ?await scope.record(amount)
""",
    Gate.CALL: """    async def call(self, scope, estimate, provider):  # `provider()` sends a request
        await scope.call(estimate, provider)
""",
}

_SAYS = """
    # What the library says of itself. Offering `held` says that it is already taken off `remaining`.

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return scope.available
"""

_SAYS_LESS = """
    # What the library says of itself.

    def spent(self, scope):
        return scope.spent

    def remaining(self, scope):
        return scope.cap - scope.spent
"""

_TOLD = {
    Gate.RESERVE: _SAYS,
    Gate.CHARGE: _SAYS_LESS,
    Gate.CHECK: _SAYS_LESS,
    Gate.RECORD: _SAYS_LESS,
    Gate.CALL: _SAYS,
}

_FURTHER = {
    Gate.RESERVE: "sent, release, extend, check, charge, record, delegate, close, merge, balances, call, journal",
    Gate.CHARGE: "delegate, close, merge, balances, journal",
    Gate.CHECK: "delegate, close, merge, balances, journal",
    Gate.RECORD: "delegate, close, merge, balances, journal",
    Gate.CALL: "delegate, close, merge, balances, journal",
}

_ALSO = {
    gate: f"""
    # Also: {names}.
    # What each means: python -m pydoc capsound.adapter
"""
    for gate, names in _FURTHER.items()
}
