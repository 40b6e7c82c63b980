"""The section ``[expect]``: what ``solve --expect`` compares with."""

from __future__ import annotations

from capsound.loading.values import Values
from capsound.properties import Property
from capsound.scenario import Expect
from capsound.verdict import Verdict


def read_expect(values: Values) -> Expect:
    """Return what is expected."""
    from capsound.anomalies import ANOMALIES

    table = values.get(("expect",), {})
    if isinstance(table, str):
        return Expect(verdict=Verdict(table))
    for number, name in enumerate(table.get("anomalies", [])):
        if name not in ANOMALIES:
            values.unknown(("expect", "anomalies", number), "anomaly", ANOMALIES)
    for key in ("anomalies", "flags"):
        values.unique(("expect", key), table.get(key, []))
    return Expect(
        verdict=Verdict(table["verdict"]) if "verdict" in table else None,
        properties={Property(name): Verdict(said) for name, said in table.get("properties", {}).items()},
        anomalies=tuple(table.get("anomalies", ())),
        flags=tuple(table.get("flags", ())),
        overshoot=table.get("overshoot"),
        steps=table.get("steps"),
        margin=values.ratio(("expect", "margin")) if "margin" in table else None,
        overhead=table.get("overhead"),
    )
