"""When the next chunk of a stream does not fit, the refusal gives back the hold of all chunks so far.

Known from published stream meters: the stream is seen as failed, and a failed call as free. What has been streamed
will be billed.
"""

from zoo_base import Account, Over, Streaming

ANOMALY = "stale-admit"
KEEPS = "stops"


class Metered(Account):
    def extend(self, hold, amount):
        try:
            super().extend(hold, amount)
        except Over:
            self.available += hold.amount  # its chunks were sent
            self.held -= hold.amount
            hold.amount = 0
            raise


class Target(Streaming):
    account = Metered
