"""Restarts the failed call of a sub-agent under the same hold: the slice pays once and is billed twice.

A supervisor that restarts its workers. Calls on a root are not restarted. Without errors it is sound.
"""

from zoo_base import Calling

ANOMALY = "slice-overshoot"
KEEPS = "delegated"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        async def supervised():
            try:
                return await provider()
            except Exception:
                if scope.parent is None:
                    raise
                return await provider()

        return await super().call(scope, estimate, supervised)

    def delegate(self, scope, amount):
        return scope.delegate(amount)

    def close(self, scope):
        scope.close()
