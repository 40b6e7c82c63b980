"""The section ``[[calls]]``: what kinds of calls there are."""

from __future__ import annotations

from capsound.loading.values import Values
from capsound.scenario import CallKind, Interval, Plain, Request, Stream


def read_calls(values: Values) -> tuple[CallKind, ...]:
    """Return the kinds of calls."""
    calls = tuple(_call(values, number) for number in range(len(values.data["calls"])))
    values.names("calls", [kind.name for kind in calls])
    return calls


def _call(values: Values, number: int) -> CallKind:
    here = ("calls", number)
    table = values.get(here)
    name = table.get("name", "call")
    if "bytes" in table:
        given = ("messages", "tools", "max_output", "growth")
        return CallKind(
            name,
            Request(
                values.interval((*here, "bytes")),
                input_tokens=values.interval_if_given((*here, "input_tokens")),
                output_tokens=values.interval_if_given((*here, "output_tokens")),
                cached=values.interval_if_given((*here, "cached")) or Interval(0, 0),
                **{key: table[key] for key in given if key in table},
            ),
        )
    if "chunk" in table:
        return CallKind(name, Stream(values.interval((*here, "chunk")), table["chunks"]))
    return CallKind(name, Plain(values.interval((*here, "estimate")), values.interval((*here, "bill"))))
