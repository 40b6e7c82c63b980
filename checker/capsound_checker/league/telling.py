"""A campaign as one document: every rendering, and the exit status, is a function of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from capsound.guarantees import Guarantee
from capsound_checker.league.campaign import Campaign, Judged, brief

GUARANTEES = tuple(guarantee.label for guarantee in Guarantee)


NEW = "new"
"""What has changed of a target that no campaign before has judged."""


def data(campaign: Campaign, price: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a campaign found as JSON data; ``price`` is what soundness costs by ``capsound ratio``."""
    league = campaign.league
    return {
        "format": "capsound.league/1",
        "league": league.path.name,
        **league.terms.to_dict(),
        "targets": [_row(one, str(league.path)) for one in campaign.judged],
        "missing": [name for name in league.targets if name not in {one.target.name for one in campaign.judged}],
        "price": dict(price) if price is not None else None,
        "interrupted": campaign.interrupted,
    }


def _row(one: Judged, league: str) -> dict[str, Any]:
    target, result = one.target, one.result
    check: Mapping[str, Any] | None = result["check"]
    told = brief(result, target)
    doubts = [text for text in (result["reason"], result["alone"], *result.get("differs", ())) if text]
    doubts += check["doubts"] if check is not None else []
    return {
        "name": target.name,
        "kind": target.kind,
        "registry": target.registry,
        "package": target.package,
        "version": target.version,
        "python": result["python"],
        "adapter": target.adapter,
        "judged_on": result["judged_on"],
        "promise": target.promise,
        "source": target.source,
        "limits": list(target.limits),
        "defects": list(target.defects),
        "notes": target.notes,
        "verdict": told["verdict"],
        "only_misused": told["verdict"] == "violated" and _only_misused(check),
        "strongest": told["strongest"],
        "gate": check["adapter"]["gate"] if check is not None else "",
        "assumes": list(check["adapter"]["assumes"]) if check is not None else [],
        "guarantees": [dict(rung) for rung in check["guarantees"]] if check is not None else [],
        "evidence": _evidence(check, told["strongest"]),
        "found": [_found(each) for each in check["found"]] if check is not None else [],
        "precision": _precision(check),
        "fates": dict(result["fates"]),
        "doubts": doubts,
        "accepted": not _unaccepted(target.unknown, told["verdict"], doubts),
        "unexpected": _unexpected(one, told),
        "changes": _changes(one.before, told, target.version),
        "installed": list(result["installed"]),
        "command": f"capsound league {shlex.quote(league)} --only {target.name}",
    }


def _only_misused(check: Mapping[str, Any] | None) -> bool:
    """Whether all that is wrong needs handles that are used twice or copied, or amounts that are none."""
    return check is not None and all(each["misuse"] for each in check["found"] if each["counts"])


def _found(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: each[key] for key in ("anomaly", "sentence", "misuse", "counts", "refutes", "program", "story", "token")
    }


def _evidence(check: Mapping[str, Any] | None, strongest: str) -> str:
    """Return what was tried of the strongest guarantee that is kept, or of the last one below it that was."""
    if check is None:
        return ""
    below = GUARANTEES[: GUARANTEES.index(strongest) + 1] if strongest else ()
    tried = [check["evidence"].get(label, "") for label in below]
    return next((text for text in reversed(tried) if text), "")


def _precision(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the sums of the workloads, and what the target and plain reserve-settle use of what the oracle does."""
    if check is None or not check["precision"]["calls"]:
        return None
    sums: dict[str, int] = dict(check["precision"])
    oracle = max(1, sums["clairvoyant"])
    return {
        **sums,
        "used_per_mille": sums["used"] * 1_000 // oracle,
        "reserve_settle_per_mille": sums["reserve_settle"] * 1_000 // oracle,
    }


def _unaccepted(accepted: Sequence[str], verdict: str, doubts: Sequence[str]) -> list[str]:
    """Return the doubts that make a verdict unknown and that nobody has accepted."""
    if verdict != "unknown":
        return []
    if not doubts:
        return ["nothing says why"]
    return [text for text in doubts if not any(part in text for part in accepted)]


def _unexpected(one: Judged, told: Mapping[str, Any]) -> list[str]:
    """Return in words where a verdict is not what the league file expects."""
    target, out = one.target, list[str]()
    if one.result["check"] is None:
        return out
    if target.strongest and told["strongest"] != target.strongest:
        out.append(f"the strongest guarantee is {told['strongest']}, not {target.strongest}")
    shown = {each["anomaly"] for each in one.result["check"]["found"]}
    out += [f"{name} was not shown" for name in target.anomalies if name not in shown]
    return out


def _changes(before: Mapping[str, Any] | None, told: Mapping[str, Any], version: str) -> list[str]:
    """Return in words what is not as in the last campaign."""
    if before is None:
        return [NEW]
    out: list[str] = []
    if before.get("version", version) != version:
        out.append(f"version {before['version']}, now {version}")
    differing = [name for name in ("verdict", "strongest") if before[name] != told[name]]
    out += [f"{name} {before[name] or '-'}, now {told[name] or '-'}" for name in differing]
    for sign, one, two in (("+", told, before), ("-", before, told)):
        out += [f"{sign}{name}" for name in one["anomalies"] if name not in two["anomalies"]]
    if before["reason"] != told["reason"]:
        out.append(told["reason"] or "it can be judged again")
    return out


def status_of(document: Mapping[str, Any]) -> int:
    """Return the exit status: 1 where a target is not as expected, 2 where one is unknown and nobody accepted why."""
    if document["interrupted"]:
        return 130
    if any(row["unexpected"] for row in document["targets"]):
        return 1
    return 0 if all(row["accepted"] for row in document["targets"]) else 2


# ---------------------------------------------------------------------------------------------- for a terminal


def text_of(document: Mapping[str, Any], *, verbose: bool = False) -> str:
    """Return a campaign as a table for people, then what is not as expected, what changed, and what is not known."""
    rows: list[tuple[str, ...]] = [("target", "version", "strongest", "verdict", "used", "anomalies")]
    rows += [_cells(row) for row in document["targets"]]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for row in document["targets"]:
        said = [f"not as expected: {text}" for text in row["unexpected"]]
        said += [f"unknown: {text}" for text in row["doubts"] if row["verdict"] == "unknown"]
        said += [f"since the last campaign: {', '.join(row['changes'])}"] if row["changes"] not in ([], [NEW]) else []
        if verbose:
            for each in row["found"]:
                said += [f"{each['anomaly']}: {each['sentence']}", *(f"  {line}" for line in each["story"])]
        lines += ["", row["name"], *(f"  {text}" for text in said)] if said else []
    lines += ["", _summed(document)]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    found = dict.fromkeys(each["anomaly"] for each in row["found"] if not each["misuse"])
    return (
        row["name"],
        row["version"] or "-",
        row["strongest"] or "-",
        row["verdict"] + (" only when misused" if row["only_misused"] else ""),
        percent(row["precision"], "used_per_mille"),
        ", ".join(found) or "-",
    )


def percent(precision: Mapping[str, Any] | None, name: str) -> str:
    """Return a share of what the oracle uses, in percent; a dash where it was not measured."""
    return "-" if precision is None else f"{precision[name] / 10:.0f} %"


def _summed(document: Mapping[str, Any]) -> str:
    rows = document["targets"]
    counts = {label: sum(row["strongest"] == label for row in rows) for label in GUARANTEES}
    told = ", ".join(f"{count} {label}" for label, count in reversed(counts.items()) if count)
    unjudged = sum(not row["strongest"] for row in rows)
    parts = [f"{len(rows)} targets: {told}" if told else f"{len(rows)} targets"]
    parts += [f"{unjudged} could not be judged"] if unjudged else []
    left = len(document["missing"])
    if document["interrupted"]:
        parts.append(f"interrupted: {left} are left; the same command goes on there")
    elif left:
        parts.append(f"{left} not asked for")
    return "; ".join(parts)
