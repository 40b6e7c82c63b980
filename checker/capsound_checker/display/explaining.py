"""``capsound explain``: every name that a message can contain, in one place."""

from __future__ import annotations

import difflib
import textwrap

from capsound.accounts import RULES
from capsound.anomalies import ANOMALIES, IMPLICATIONS, UnknownName, implied_by
from capsound.clients import FAULTS, known_clients
from capsound.disciplines import DISCIPLINES, Discipline
from capsound.frames import Step
from capsound.glossary import TERMS
from capsound.guarantees import LADDER
from capsound.properties import ASSUMPTIONS, MEANING
from capsound.steps import STEPS

WIDTH = 100


def names_by_kind() -> dict[str, list[str]]:
    """Return all names that can be explained, by kind, in the order in which the meanings of one name are given."""
    return {
        "anomalies": list(ANOMALIES),
        "guarantees": [rung.guarantee.label for rung in LADDER],
        "properties": [prop.value for prop in MEANING],
        "assumptions": list(ASSUMPTIONS),
        "disciplines": list(DISCIPLINES),
        "steps": list(STEPS),
        "rules": list(RULES),
        "terms": list(TERMS),
        "clients": list(known_clients()),
    }


def list_names() -> str:
    """Return the list that ``capsound explain`` prints without a name."""
    out = ["capsound explain NAME explains one of these:", ""]
    for kind, names in names_by_kind().items():
        out.append(textwrap.fill(f"{kind}: {', '.join(names)}", WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    return "\n".join(out)


def explain_name(name: str) -> str:
    """Return what a name means; raises ``UnknownName`` with the nearest name of any kind.

    A name may mean several things (``overrun`` is a property, ``release`` a step and a term): all of them are given.
    """
    parts = [
        text
        for text in (
            _anomaly(name),
            _guarantee(name),
            _property(name),
            _assumption(name),
            _discipline(name),
            _step(name),
            _rule(name),
            _term(name),
            _client(name),
        )
        if text
    ]
    if not parts:
        raise UnknownName(f"nothing is called {name!r}", hint=_suggestion(name))
    return "\n\n".join(parts)


def _suggestion(name: str) -> str:
    """Return the nearest name of any kind, whatever the case of its letters, or where to find all of them."""
    known = {name.lower(): name for names in names_by_kind().values() for name in names}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {known[close[0]]!r}?" if close else "`capsound explain` lists all names"


def _anomaly(name: str) -> str:
    if name not in ANOMALIES:
        return ""
    a = ANOMALIES[name]
    out = [f"{a.name} (anomaly): {a.meaning}.", f"  breaks: {a.breaks.value} ({MEANING[a.breaks]})"]
    if a.ends is not None:
        out.append(f"  rules out: {a.ends.label} and every stronger guarantee")
    for cause, effect, because in IMPLICATIONS:
        if cause == name:
            out.append(f"  leads to: {effect}, because {because}")
    further = [n for n in implied_by(name) if (name, n) not in {(c, e) for c, e, _ in IMPLICATIONS}]
    if further:
        out.append(f"  and so to: {', '.join(further)}")
    out.append(f"  cure: {a.cure}")
    out.append(f"  known from: {a.reference}")
    return "\n".join(out)


def _guarantee(name: str) -> str:
    for rung in LADDER:
        if rung.guarantee.label == name:
            weaker = [r.guarantee.label for r in LADDER if r.guarantee < rung.guarantee]
            under = f" (under {rung.under})" if rung.under != "-" else ""
            return f"{name} (guarantee): {rung.holds_when}{under}.\n  includes: {', '.join(weaker) or 'nothing'}"
    return ""


def _property(name: str) -> str:
    for prop, meaning in MEANING.items():
        if prop.value == name:
            broken_by = [a.name for a in ANOMALIES.values() if a.breaks is prop]
            evidence = f"\n  broken by: {', '.join(broken_by)}" if broken_by else ""
            return f"{name} (property): {meaning}.{evidence}"
    return ""


def _assumption(name: str) -> str:
    found = ASSUMPTIONS.get(name.upper())
    return (
        "" if found is None else f"{found.name} (assumption): {found.statement}.\n  if switched off: {found.when_off}."
    )


def _discipline(name: str) -> str:
    d = DISCIPLINES.get(name)
    if d is None:
        return ""
    out = [f"{d.name} (discipline): {d.says}.", f"  blocks: {d}"]
    for label, block in (
        ("given up before it is sent", d.before_send),
        ("given up after it is sent", d.after_send),
        ("refused", d.on_refuse),
        ("a slice is opened", d.delegate),
        ("a slice ends", d.close),
    ):
        if block:
            out.append(f"  {label}: {', '.join(step.name for step in block)}")
    out += [f"    {step}: {STEPS[step].says}" for step in _steps_of(d)]
    return "\n".join(out)


def _steps_of(d: Discipline) -> list[str]:
    return list(dict.fromkeys(step.name for block in d.blocks for step in block))


def _step(name: str) -> str:
    step = STEPS.get(name)
    if step is None:
        return ""
    users = [d.name for d in DISCIPLINES.values() if name in _steps_of(d)]
    return f"{name} (step): {step.says}.\n  used by: {', '.join(users) or _otherwise(step)}"


def _otherwise(step: Step) -> str:
    """Return who uses a step that no discipline has in its blocks."""
    parts = {part for d in DISCIPLINES.values() for part, blocks in d.parts.items() if any(step in b for b in blocks)}
    return "delegation and faults only" if parts else "tables of your own"


def _rule(name: str) -> str:
    rule = RULES.get(name.upper())
    return "" if rule is None else f"{rule.id} (rule): {rule.says}\n  breaking it is called: {rule.anomaly}"


def _term(name: str) -> str:
    term = TERMS.get(name.lower())
    if term is None:
        return ""
    out = [f"{term.name} (term): {term.meaning}", f"  example: {term.example}"]
    if term.see:
        out.append(f"  see: {', '.join(term.see)}")
    return "\n".join(out)


def _client(name: str) -> str:
    client = known_clients().get(name)
    if client is None:
        return ""
    how = "measured by `capsound clients`" if client.measured else "taken over from another measurement"
    again, worst = client.hidden_retries, client.worst
    out = [
        f"{name} (client): {client.call} of {client.library} {client.version} ({client.registry}).",
        f"  {how} on {client.date}",
        f"  hidden retries: {again}" + (f", on {', '.join(worst)}" if worst else ""),
    ]
    out += [
        f"  {fault}: {number} request{'s' * (number != 1)} ({FAULTS[fault]})"
        for fault, number in client.requests.items()
    ]
    out.append(f'  in a scenario: client = "{name}" in [assume]')
    return "\n".join(out)
