"""Faults to plant, at least one for each contract: what is wrong, the code, and the code with the fault in it.

A contract that does not find its faults says nothing. Some are wrong nearly everywhere, some at one number only.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One changed piece of a module; ``old`` occurs in it once."""

    says: str
    old: str
    new: str


MODULES = {"contracts_model": "capsound.accounts", "contracts_reference": "capsound_reference.arithmetic"}
"""The module under contract, and under the faults, for each module of contracts."""

RESERVE = """account = state.account(name)
            taken = replace(account, available=account.available - amount, held=account.held + amount)"""
EXTEND = """account = state.account(held.account)
            taken = replace(account, available=account.available - amount, held=account.held + amount)"""
RECORD = "replace(account, available=account.available - amount, charged=account.charged + amount),"
RELEASE = "freed = replace(account, held=account.held - hold.amount, available=account.available + hold.amount)"
FORFEIT = "freed = replace(account, held=account.held - hold.amount, forfeited=account.forfeited + hold.amount)"
CLOSE = (
    "state = _put(state, replace(child, available=child.available - back, returned=child.returned + back, closed=True))"
)
SETTLED = "available=account.available + hold.amount - amount,"
FITS = "return amount <= available"
HOLD = "return available - amount, held + amount"
SETTLE = "return available + amount - cost, held - amount, charged + cost"
FREE = "return available + amount, held - amount"
WRITE_OFF = "return held - amount, forfeited + amount"
DELEGATE = "return available - amount, delegated + amount"
BACK = "return max(0, available)"
RESET = "return available + spent, held, 0"

FAULTS: dict[str, tuple[Fault, ...]] = {
    # ---------------------------------------------------------------------------------------------- the model
    "open_gives_a_root_its_cap_and_takes_it_from_nobody": (
        Fault("one cap is off by one", "granted=cap, available=cap)", "granted=cap, available=cap + (cap == 123_456))"),
    ),
    "reserve_sets_exactly_the_amount_aside": (
        Fault("set aside, not taken", RESERVE, RESERVE.replace("account.available - amount", "account.available")),
        Fault("taken twice from a debt", RESERVE, RESERVE.replace("available - amount", "available - amount - (amount if account.available < 0 else 0)")),
    ),
    "reserve_is_refused_exactly_when_it_does_not_fit": (
        Fault("the check is strict", "if amount > account.available:", "if amount >= account.available:"),
        Fault("what is held is free", "if amount > account.available:", "if amount > account.available + account.held:"),
        Fault("what is written off is not spent", "if account.spent >= account.granted", "if account.charged >= account.granted"),
    ),
    "extend_adds_exactly_the_amount_to_its_hold": (
        Fault("the account holds more, the hold does not", "replace(held, amount=held.amount + amount))", "held)"),
        Fault("held for nothing", EXTEND, EXTEND.replace("account.available - amount", "account.available")),
    ),
    "extend_is_refused_exactly_when_it_does_not_fit_or_comes_late": (
        Fault("applied twice", "    return move(state, event)\n", "    return move(move(state, event), event)\n"),
        Fault("the extension is not judged", "yield from _admission(state, hold.account, event.amount)", "yield from ()"),
    ),
    "send_moves_no_money_and_marks_its_hold": (
        Fault("a resolved hold is open again", "sent = held if held.state in RESOLVED else replace(", "sent = replace("),
    ),
    "bill_is_kept_in_the_shadow_ledger_and_moves_no_balance": (
        Fault("bills of one call do not add up", "replace(held, billed=held.billed + amount)", "replace(held, billed=amount)"),
        Fault("a large bill is cut", "replace(account, billed=account.billed + amount)", "replace(account, billed=account.billed + min(amount, 1_000_000))"),
    ),
    "bill_breaks_a_cap_exactly_when_the_bills_below_it_exceed_it": (
        Fault("a cap may be reached only", "event.amount > 0 and billed > limit", "event.amount > 0 and billed >= limit"),
        Fault("what a slice gave back still counts", "limit = account.granted - account.returned", "limit = account.granted"),
        Fault("slices are not looked into", "return sum(account.billed for account in self.below(name))", "return self.account(name).billed"),
    ),
    "settle_charges_exactly_the_bill": (
        Fault("what is above the hold is dropped", "held=account.held - hold.amount,\n        charged=account.charged + amount,", "held=account.held - hold.amount,\n        charged=account.charged + min(amount, hold.amount),"),
        Fault("one bill is short by one", SETTLED, SETTLED.replace("- amount", "- amount + (amount == hold.amount - 7 and hold.amount == 123_456)")),
        Fault("what is left is lost", SETTLED, "available=account.available - max(0, amount - hold.amount),"),
    ),
    "settle_is_refused_exactly_when_it_comes_twice_or_drifts": (
        Fault("one broken rule is forgiven", "if broken:\n", "if len(broken) > 1:\n"),
        Fault("told less is no drift", "event.amount != hold.billed", "event.amount > hold.billed"),
    ),
    "settle_again_asks_for_the_money_again": (
        Fault("the hold is freed again", "again = replace(account, available=account.available - amount", "again = replace(account, available=account.available + hold.amount - amount"),
    ),
    "release_gives_back_exactly_the_hold": (
        Fault("given back twice", RELEASE, RELEASE.replace("available + hold.amount", "available + 2 * hold.amount")),
        Fault("held for ever", RELEASE, RELEASE.replace("account.held - hold.amount", "account.held")),
        Fault("given back again", "if hold.state in RESOLVED:\n        return state", "if hold.state is to:\n        return state"),
    ),
    "release_is_refused_exactly_when_sent_or_resolved": (
        Fault("given back although sent", "hold.state is HoldState.SENT:", "hold.state is HoldState.SETTLED:"),
        Fault("refused after it has moved", "if broken:\n", 'if broken:\n        object.__setattr__(state, "accounts", move(state, event).accounts)\n'),
    ),
    "forfeit_writes_off_exactly_the_hold": (
        Fault("given back", FORFEIT, RELEASE),
        Fault("all that is held is written off", FORFEIT, FORFEIT.replace("held=account.held - hold.amount", "held=0")),
    ),
    "delegate_moves_exactly_the_amount_into_a_new_slice": (
        Fault("the slice is a copy", "available=source.available - amount, delegated", "available=source.available, delegated"),
        Fault("a slice of a slice is a root", "Account(child, root=source.root,", "Account(child, root=parent,"),
    ),
    "delegate_is_refused_exactly_when_it_is_more_than_what_is_free": (
        Fault("one unit too many", "if event.amount > parent.available:", "if event.amount > parent.available + 1:"),
    ),
    "close_gives_its_parent_exactly_what_is_free": (
        Fault("the rest is forgotten", "available=parent.available + back, delegated", "available=parent.available, delegated"),
        Fault("the rest is given and kept", CLOSE, CLOSE.replace("child.available - back", "child.available")),
        Fault("a debt is given to the parent", "back = max(0, child.available)\n", "back = child.available\n"),
        Fault("given each time it is closed", "if child.closed or child.parent is None:", "if child.parent is None:"),
    ),
    "close_is_refused_exactly_when_something_in_it_is_open": (
        Fault("a hold of nothing is overlooked", "h.state not in RESOLVED for h", "h.state not in RESOLVED and h.amount > 0 for h"),
        Fault("slices of the slice are overlooked", "if holds or slices:", "if holds:"),
    ),
    "merge_moves_exactly_what_is_free": (
        Fault("a debt is merged too", "back = max(0, state.account(source).available)", "back = state.account(source).available"),
        Fault("taken from nobody", "flow(common, source, -back, grant=False)", "flow(common, source, 0, grant=False)"),
        Fault("the source stays open", "replace(state.account(source), closed=True)", "state.account(source)"),
        Fault("the way down begins one too low", "for name in reversed(down[: down.index(common)]", "for name in reversed(down[: down.index(common) - 1]"),
    ),
    "merge_is_refused_exactly_when_an_end_or_a_root_is_wrong": (
        Fault("roots are not compared", "if source.root != target.root:", "if source.parent == target.id:"),
        Fault("a closed target will do", "yield from _closed(state, event.target, event)", "yield from ()"),
    ),
    "record_charges_exactly_what_is_told": (
        Fault("never into debt", RECORD, RECORD.replace("account.available - amount", "max(0, account.available - amount)")),
    ),
    "refusals_are_false_exactly_when_the_call_fits_and_late_when_it_was_sent": (
        Fault("the exact fit is excused", "if event.amount <= account.available and not", "if event.amount < account.available and not"),
        Fault("late is not noticed", "state.hold(event.hold).state is HoldState.SENT", "state.hold(event.hold).state is HoldState.SETTLED"),
    ),
    "what_is_seen_or_injected_moves_nothing": (
        Fault("a cancellation releases", "case _:\n            return state", 'case _ if event.kind == "cancel":\n            return _move_free(state, event.hold, HoldState.RELEASED)\n        case _:\n            return state'),
    ),
    "two_overlapping_calls_within_their_holds_stay_below_the_cap": (
        Fault("admitted on what is recorded", "if amount > account.available:", "if amount > account.available + account.held:"),
    ),
    "a_slice_gives_back_all_that_its_call_did_not_cost": (
        Fault("the rest is forgotten", "available=parent.available + back, delegated", "available=parent.available, delegated"),
        Fault("only all or nothing comes back", "back = max(0, child.available)\n", "back = child.available if child.available == child.granted else 0\n"),
    ),
    "any_two_events_keep_the_books": (
        Fault("the slice is a copy", "available=source.available - amount, delegated", "available=source.available, delegated"),
    ),
    "any_three_events_keep_the_books": (
        Fault("a longer hold is freed in part", "replace(held, amount=held.amount + amount))", "held)"),
        Fault("one rest is lost", SETTLED, SETTLED.replace("- amount", "- amount - (amount == 123_456)")),
    ),
    # ------------------------------------------------------------------------------------------ the reference
    "hold_keeps_the_sum_and_moves_exactly_the_amount": (
        Fault("never into debt", HOLD, "return max(0, available - amount), held + amount"),
    ),
    "settle_keeps_the_sum_and_charges_exactly_the_cost": (
        Fault("what is above the hold is dropped", SETTLE, "cost = min(cost, amount)\n    " + SETTLE),
        Fault("one bill is short by one", SETTLE, "cost -= amount == 123_456 and cost == amount - 7\n    " + SETTLE),
    ),
    "release_keeps_the_sum_and_frees_exactly_the_hold": (
        Fault("freed twice", FREE, "return available + 2 * amount, held - amount"),
        Fault("all that is held is freed", FREE, "return available + held, 0"),
    ),
    "forfeit_keeps_the_sum_and_writes_off_exactly_the_hold": (
        Fault("kept as held", WRITE_OFF, "return held, forfeited + amount"),
    ),
    "delegate_keeps_the_sum_and_moves_exactly_the_amount": (
        Fault("not taken from the parent", DELEGATE, "return available, delegated + amount"),
    ),
    "what_is_given_back_is_all_that_is_free_and_never_a_debt": (
        Fault("a debt is given back", BACK, "return available"),
        Fault("the last unit is kept", BACK, "return max(0, available - 1)"),
    ),
    "a_new_period_frees_exactly_what_was_spent_and_nothing_that_is_held": (
        Fault("what is held is forgotten", RESET, "return available + spent + held, 0, 0"),
        Fault("one amount is kept", RESET, RESET.replace("available + spent", "available + spent - (spent == 77_777)")),
    ),
    "a_call_in_flight_over_a_reset_leaves_no_debt": (
        Fault("what is held is free as well", RESET, "return available + spent + held, held, 0"),
    ),
    "what_fits_leaves_no_debt_and_what_does_not_would": (
        Fault("the check is strict", FITS, "return amount < available"),
        Fault("nothing always fits", FITS, "return amount <= max(0, available)"),
    ),
    "what_fits_still_fits_when_less_is_asked_or_more_is_free": (
        Fault("one amount is let through", FITS, "return amount <= available or amount == 123_456"),
    ),
    "a_dearer_call_never_leaves_more": (
        Fault("what is above the hold is dropped", SETTLE, "cost = min(cost, amount)\n    " + SETTLE),
    ),
    "a_settlement_leaves_no_new_debt_exactly_when_the_bill_is_covered": (
        Fault("a free call costs one unit", SETTLE, "return available + amount - cost - (cost == 0), held - amount, charged + cost"),
        Fault("the hold is not freed", SETTLE, "return available - cost, held - amount, charged + cost"),
    ),
    "giving_back_keeps_the_order": (
        Fault("small rests are kept", BACK, "return available if available > 10 else 0"),
    ),
    "a_hold_that_is_released_was_never_there": (
        Fault("one hold is lost", FREE, "return available + amount - (amount == 123_456), held - amount"),
    ),
    "a_free_call_settles_as_it_would_be_released": (
        Fault("free calls are charged in full", SETTLE, "cost = cost or amount\n    " + SETTLE),
    ),
    "a_call_at_its_full_hold_spends_what_a_forfeit_does": (
        Fault("a forfeit writes off what is held", WRITE_OFF, "return 0, forfeited + held"),
    ),
    "the_model_reserves_and_extends_alike": (
        Fault("never into debt", HOLD, "return max(0, available - amount), held + amount"),
    ),
    "the_model_settles_alike": (
        Fault("what is above the hold is dropped", SETTLE, "cost = min(cost, amount)\n    " + SETTLE),
        Fault("what is above the hold is taken from what is held", SETTLE, "return available + max(0, amount - cost), held - max(amount, cost), charged + cost"),
    ),
    "the_model_releases_alike": (
        Fault("freed and still held", FREE, "return available + amount, held"),
    ),
    "the_model_forfeits_alike": (
        Fault("written off twice", WRITE_OFF, "return held - amount, forfeited + 2 * amount"),
    ),
    "the_model_delegates_and_takes_back_alike": (
        Fault("a debt is given back", BACK, "return available"),
        Fault("a slice costs one unit", DELEGATE, "return available - amount - 1, delegated + amount"),
    ),
    "the_model_admits_exactly_what_fits": (
        Fault("nothing always fits", FITS, "return amount <= max(0, available)"),
    ),
}  # fmt: skip
