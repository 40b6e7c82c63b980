"""Sends a failed request again under the same hold: both requests may be billed.

The hidden retry of client libraries. Admission is right, each bill is within the estimate, and the two together are
not. Without errors it is sound.
"""

from zoo_base import Calling

ANOMALY = "overshoot"
KEEPS = "delegated"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        async def twice():
            try:
                return await provider()
            except Exception:  # noqa: BLE001
                return await provider()

        return await super().call(scope, estimate, twice)
