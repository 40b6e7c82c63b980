"""What steps note besides the ledger: ghosts of admissions, bills and resolutions, which only the model sees.

It is the same for every discipline, so that no step can book a bill differently from another.
"""

from __future__ import annotations

from capsound.frames import Frame, Num


def admit(f: Frame) -> None:
    """Note an admission: the call is outstanding from here on."""
    f.call.cover = f.costs.estimate(f)
    f.account.outstanding = f.account.outstanding + f.call.cover
    begin_window(f)


def begin_window(f: Frame) -> None:
    """Note that a call was admitted just now."""
    # Only calls outstanding at the last admission, or admitted by it, may still push the bills above the cap:
    # whoever admits in debt cannot point at deficits that are settled.
    f.account.window = f.account.deficit
    f.emit("reserve")


def bill(f: Frame, amount: Num) -> None:
    """Note a bill: the provider charges, whatever the ledger thinks."""
    before = f.excess(f.call.bill, f.call.cover)
    f.call.bill = f.call.bill + amount
    f.account.billed = f.account.billed + amount
    grown = f.excess(f.call.bill, f.call.cover) - before
    f.account.deficit = f.account.deficit + grown
    f.account.window = f.account.window + grown


def resolve(f: Frame, told: Num, *, known: bool) -> None:
    """Note a resolution: the call is no longer in flight."""
    f.account.outstanding = f.account.outstanding - f.call.cover
    f.account.booked = f.account.booked + told
    if known:
        f.account.deficit = f.account.deficit - f.excess(f.call.bill, f.call.cover)
        f.account.settled = f.account.settled + f.call.bill
    else:
        f.account.lost = f.account.lost + f.call.bill
