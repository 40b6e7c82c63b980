"""Sound: when the next chunk of a stream does not fit, the stream is cut off, and its hold waits for the bill.

Looks like the meter that refunds a stream with its refused chunk.
"""

from zoo_base import Account, Over, Reserving, Streaming

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "rejected_stream_chunk_refunded"


class Metered(Account):
    def extend(self, hold, amount):
        try:
            super().extend(hold, amount)
        except Over:
            hold.cut = True  # no further chunk is asked for
            raise


class Target(Streaming, Reserving):
    account = Metered
