"""It makes the monitor dumb in the middle of a run, and admits everything from then on: the other process sees it."""

from hostile_base import Sound

from capsound.monitor import Monitor

VERDICT, EVIDENCE = "violated", "stale-admit"
opened = []
feed = Monitor.feed


class Target(Sound):
    def open(self, cap):
        opened.append(cap)
        if len(opened) == 3:
            Monitor.feed = lambda self, event: feed(self, event)[:0]
        return super().open(cap)

    def reserve(self, scope, amount):
        if len(opened) < 3:
            return super().reserve(scope, amount)
        scope.held += amount
        scope.available -= amount
        hold = (scope, amount, object())
        scope.open.add(hold)
        return hold
