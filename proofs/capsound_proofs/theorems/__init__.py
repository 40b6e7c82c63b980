"""The library of theorems, in order: one short file each (docs/theorems.md)."""

from __future__ import annotations

from capsound_proofs.theorem import Theorem
from capsound_proofs.theorems import (
    a1_is_necessary,
    adaptive_first_call,
    affine_handles,
    buckets,
    cap_soundness,
    check_then_act,
    conjunction,
    conservation,
    expiry,
    lagging_replicas,
    lower_bound,
    overshoot_bound,
    own_accounts,
    published_cap,
    release_after_send,
    slice_soundness,
    sliding_window,
    smallest_margin,
    tokens_per_byte,
    window_reset,
)

THEOREMS: tuple[Theorem, ...] = (
    conservation.THEOREM,
    cap_soundness.THEOREM,
    slice_soundness.THEOREM,
    a1_is_necessary.THEOREM,
    overshoot_bound.THEOREM,
    check_then_act.THEOREM,
    release_after_send.THEOREM,
    affine_handles.THEOREM,
    tokens_per_byte.THEOREM,
    smallest_margin.THEOREM,
    adaptive_first_call.THEOREM,
    lower_bound.THEOREM,
    published_cap.THEOREM,
    own_accounts.THEOREM,
    window_reset.THEOREM,
    conjunction.THEOREM,
    expiry.THEOREM,
    lagging_replicas.THEOREM,
    sliding_window.THEOREM,
    buckets.THEOREM,
)
"""Every theorem, by number."""
