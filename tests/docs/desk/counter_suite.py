from capsound.adapter import Adapter, Gate
from capsound_checker.suites import suite


class Counter(Adapter):  # an adapter: how capsound uses your budget
    gate = Gate.CHECK  # ask whether it fits, call, record the cost

    def open(self, cap):
        return {"cap": cap, "spent": 0}

    def check(self, budget, amount):
        return budget["spent"] + amount <= budget["cap"]

    def record(self, budget, amount):
        budget["spent"] += amount


TestCounter = suite(Counter)
