"""Contracts on the arithmetic of the reference implementation, for CrossHair.

As in `contracts_model`: the leading asserts say what is assumed of the integers, the others are the contract. The
last ones hold the functions against the transition function of the model.
"""

# ruff: noqa: PT018 (what a contract assumes is one assertion)

from __future__ import annotations

from contracts_model import HOLD, NEW, ROOT, account, state_of

from capsound.accounts import Account, Hold, breaches, move
from capsound.amounts import Amount
from capsound.events import Close, Delegate, Event, Extend, Forfeit, Record, Release, Reserve, Settle
from capsound_reference.arithmetic import delegate, fits, forfeit, give_back, hold, release, reset, settle

# --------------------------------------------------------------------------------------- nothing appears or vanishes


def hold_keeps_the_sum_and_moves_exactly_the_amount(available: int, held: int, amount: int) -> None:
    assert held >= 0 and amount >= 0
    free, aside = hold(available, held, amount)
    assert free + aside == available + held
    assert aside - held == amount


def settle_keeps_the_sum_and_charges_exactly_the_cost(
    available: int, held: int, charged: int, amount: int, cost: int
) -> None:
    assert 0 <= amount <= held and charged >= 0 and cost >= 0
    free, aside, spent = settle(available, held, charged, amount, cost)
    assert free + aside + spent == available + held + charged
    assert held - aside == amount
    assert spent - charged == cost  # in full, above the hold too


def release_keeps_the_sum_and_frees_exactly_the_hold(available: int, held: int, amount: int) -> None:
    assert 0 <= amount <= held
    free, aside = release(available, held, amount)
    assert free + aside == available + held
    assert free - available == amount


def forfeit_keeps_the_sum_and_writes_off_exactly_the_hold(held: int, forfeited: int, amount: int) -> None:
    assert 0 <= amount <= held and forfeited >= 0
    aside, lost = forfeit(held, forfeited, amount)
    assert aside + lost == held + forfeited
    assert lost - forfeited == amount


def delegate_keeps_the_sum_and_moves_exactly_the_amount(available: int, delegated: int, amount: int) -> None:
    assert delegated >= 0 and amount >= 0
    free, away = delegate(available, delegated, amount)
    assert free + away == available + delegated
    assert away - delegated == amount


def what_is_given_back_is_all_that_is_free_and_never_a_debt(free: int, debt: int) -> None:
    assert free >= 0 and debt > 0
    back, nothing = give_back(free), give_back(-debt)
    assert back == free
    assert nothing == 0


def a_new_period_frees_exactly_what_was_spent_and_nothing_that_is_held(available: int, held: int, spent: int) -> None:
    assert held >= 0 and spent >= 0
    free, aside, left = reset(available, held, spent)
    assert free + aside + left == available + held + spent
    assert aside == held
    assert left == 0


def a_call_in_flight_over_a_reset_leaves_no_debt(
    available: int, spent: int, amount: int, next_: int, cost: int
) -> None:
    assert spent >= 0 and 0 <= cost <= amount and next_ >= 0
    assert fits(available, amount)
    free, held = hold(available, 0, amount)
    free, held, left = reset(free, held, spent)
    if fits(free, next_):  # whatever the new period admits beside it
        free, held = hold(free, held, next_)
    free, held, left = settle(free, held, left, amount, cost)
    assert free >= 0
    assert free + held + left == available + spent
    assert left == cost


# -------------------------------------------------------------------------------------------------- order, and ends


def what_fits_leaves_no_debt_and_what_does_not_would(available: int, held: int, amount: int) -> None:
    assert held >= 0 and amount >= 0
    free, _ = hold(available, held, amount)
    assert fits(available, amount) == (free >= 0)


def what_fits_still_fits_when_less_is_asked_or_more_is_free(available: int, amount: int, more: int, less: int) -> None:
    assert more >= available and 0 <= less <= amount
    if fits(available, amount):
        assert fits(available, less)
        assert fits(more, amount)
    assert fits(available + amount, amount) == fits(available, 0)


def a_dearer_call_never_leaves_more(
    available: int, held: int, charged: int, amount: int, cost: int, dearer: int
) -> None:
    assert 0 <= amount <= held and charged >= 0 and 0 <= cost < dearer
    cheap = settle(available, held, charged, amount, cost)
    dear = settle(available, held, charged, amount, dearer)
    assert dear[0] < cheap[0]
    assert dear[1] == cheap[1]
    assert dear[2] > cheap[2]


def a_settlement_leaves_no_new_debt_exactly_when_the_bill_is_covered(
    available: int, held: int, amount: int, cost: int
) -> None:
    assert available >= 0 and 0 <= amount <= held and cost >= 0
    free, aside, spent = settle(available, held, 0, amount, cost)
    assert (free < 0) == (cost > available + amount)
    assert aside >= 0 and spent >= 0
    assert cost > amount or free >= available  # under A1, a settlement only ever gives back


def giving_back_keeps_the_order(available: int, more: int) -> None:
    assert available <= more
    back, longer = give_back(available), give_back(more)
    assert back <= longer
    assert longer - back <= more - available


def a_hold_that_is_released_was_never_there(available: int, held: int, amount: int) -> None:
    assert held >= 0 and amount >= 0
    free, aside = hold(available, held, amount)
    assert release(free, aside, amount) == (available, held)


def a_free_call_settles_as_it_would_be_released(available: int, held: int, charged: int, amount: int) -> None:
    assert 0 <= amount <= held and charged >= 0
    free, aside = release(available, held, amount)
    assert settle(available, held, charged, amount, 0) == (free, aside, charged)


def a_call_at_its_full_hold_spends_what_a_forfeit_does(available: int, held: int, spent: int, amount: int) -> None:
    assert 0 <= amount <= held and spent >= 0
    aside, lost = forfeit(held, spent, amount)
    assert settle(available, held, spent, amount, amount) == (available, aside, lost)


# --------------------------------------------------------------------------------------- the model does the same


def moved(event: Event, amount: int, free: int, held: int, charged: int, forfeited: int) -> Account:
    """Return the root after `event`; it has one hold of `amount`, which is part of `held`."""
    before = account(ROOT, free, held=held, charged=charged, forfeited=forfeited)
    return move(state_of(before, holds=(Hold(HOLD, ROOT, amount),)), event).accounts[ROOT]


def the_model_reserves_and_extends_alike(available: int, held: int, amount: int) -> None:
    assert held >= 0 and amount >= 0
    free, aside = hold(available, held, amount)
    before = state_of(account(ROOT, available, held=held))
    fresh = move(before, Reserve(ROOT, HOLD, Amount(amount))).accounts[ROOT]
    longer = moved(Extend(HOLD, Amount(amount)), held, available, held, 0, 0)
    assert (fresh.available, fresh.held) == (free, aside)
    assert (longer.available, longer.held) == (free, aside)


def the_model_settles_alike(available: int, held: int, charged: int, forfeited: int, amount: int, cost: int) -> None:
    assert 0 <= amount <= held and charged >= 0 and forfeited >= 0 and cost >= 0
    after = moved(Settle(HOLD, Amount(cost)), amount, available, held, charged, forfeited)
    assert (after.available, after.held, after.charged) == settle(available, held, charged, amount, cost)
    # Spending that is told without a hold is a settlement of a hold of nothing.
    told = moved(Record(ROOT, Amount(cost)), amount, available, held, charged, forfeited)
    assert (told.available, told.held, told.charged) == settle(available, held, charged, 0, cost)


def the_model_releases_alike(available: int, held: int, charged: int, amount: int) -> None:
    assert 0 <= amount <= held and charged >= 0
    after = moved(Release(HOLD), amount, available, held, charged, 0)
    assert (after.available, after.held) == release(available, held, amount)


def the_model_forfeits_alike(available: int, held: int, forfeited: int, amount: int) -> None:
    assert 0 <= amount <= held and forfeited >= 0
    after = moved(Forfeit(HOLD), amount, available, held, 0, forfeited)
    assert (after.held, after.forfeited) == forfeit(held, forfeited, amount)


def the_model_delegates_and_takes_back_alike(available: int, amount: int, spent: int) -> None:
    assert amount >= 0 and spent >= 0
    open_ = move(state_of(account(ROOT, available)), Delegate(ROOT, NEW, Amount(amount)))
    root = open_.accounts[ROOT]
    assert (root.available, root.delegated) == delegate(available, 0, amount)
    used = move(open_, Record(NEW, Amount(spent)))
    back = give_back(used.accounts[NEW].available)
    after = move(used, Close(NEW))
    assert after.accounts[NEW].returned == back
    # What comes back is a delegation undone, as a release undoes a hold.
    assert (after.accounts[ROOT].available, after.accounts[ROOT].delegated) == release(root.available, amount, back)


def the_model_admits_exactly_what_fits(available: int, amount: int) -> None:
    assert amount >= 0
    judged = breaches(state_of(account(ROOT, available)), Reserve(ROOT, HOLD, Amount(amount)))
    assert fits(available, amount) == (not judged)
