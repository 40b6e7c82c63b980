"""Merges two accounts without checking that they share a root: one customer's money pays for another's calls.

Nothing is lost and nothing is made; each root for itself keeps less or more than it was opened with.
"""

from zoo_base import Account, Merging, Wrong

ANOMALY = "wrong-root"
KEEPS = "concurrent"


class Open(Account):
    def merge(self, source):
        self.require_open()
        source.require_open()
        if source is self:
            raise Wrong("an account cannot be merged with itself")
        source.require_idle()
        source.end()
        source.give(self)


class Target(Merging):
    account = Open
