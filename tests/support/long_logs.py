"""Logs as systems write them, drawn at random: mostly calls that are as they should be, and everything that is not."""

from __future__ import annotations

import json
from random import Random
from typing import Any

QUOTED = '"h1"'
ODD = (
    *("delegate", "close", "merge", "release", "forfeit", "extend", "refuse", "record", "observe", "cancel"),
    *("timeout", "crash", "resend", "rebill", "resettle", "reserve", "open", "accept", "stall", "told"),
)


def spoilt(rnd: Random, line: str) -> str:
    """Return a line with one thing wrong in it."""
    place = rnd.randrange(len(line))
    match rnd.randrange(16):
        case 0:
            return line[:place] + rnd.choice('{}[]",:0-.eE\\x\x01\t é\ud800') + line[place + 1 :]
        case 1:
            return line[:place] + line[place + 1 :]
        case 2:
            return line[:place]
        case 3:
            return line + line
        case 4:
            return rnd.choice(
                ["", " ", "null", "3", "[]", "{}", '"x"', "\ufeff" + line, line + "\r", " " + line, line + "\x0c"]
            )
        case 5:
            return line.replace('"amount": ', '"amount": ' + rnd.choice(["1.0e", "0", "-", "1", "9" * 70, '"']))
        case 6:
            key = rnd.choice(["amount", "hold", "call", "event", "at", "v", "seq"])
            return f'{line[:-1]}, "{key}": {rnd.choice(["7", "7.0", "null", "true", QUOTED])}}}'
        case 7:
            return line.replace('"event"', rnd.choice(['"\\u0065vent"', '"Event"']))
        case 8:
            return line[:-1] + ', "note": "x"}'
        case 9:
            return line[:-1] + ', "agent": "' + "a" * rnd.choice([150, 300, 600]) + '"}'
        case 10:
            return line.replace("h", rnd.choice(["\\u0068", "é", "\\ud83d\\ude00", "\\ud800"]), 1)
        case 11:
            return line[:-1] + f', "at_most": {rnd.choice(["9", "0", "null", "-1"])}}}'
        case 12:
            return line.replace('": ', '":' + rnd.choice(["", "  ", "\\n"]))
        case 13:
            return line[:-1] + ', "amount": 1' + "0" * rnd.choice([18, 19, 25, 61, 210]) + "}"
        case 14:
            return line.replace('"settle"', '"bill"') if '"settle"' in line else line.replace("h", "c")
        case _:
            return line


def log(
    rnd: Random,
    events: int,
    *,
    roots: int = 3,
    bills: str = "logged",
    odd: float = 0.05,
    wrong: float = 0.0,
    beside: bool = False,
    names: int = 997,
) -> list[str]:
    """Return the lines of a log of calls on several roots.

    ``bills`` is ``logged``, ``late`` or ``settled``; ``odd`` is the share of events that are no plain call, ``wrong``
    that of lines that are spoilt, and ``beside`` puts times and numbers beside some events. ``names`` is how many names
    there are of holds and of calls.
    """
    out: list[dict[str, Any]] = []
    owners = [f"r{n}" for n in range(roots)]
    accounts = list(owners)
    flying: list[tuple[str, str, int]] = []
    owed: list[tuple[str, int]] = []
    done: list[tuple[str, str, int]] = []
    number = 0

    def one(event: str, **fields: Any) -> None:
        out.append({"event": event, **fields})

    def some(listed: list[Any], otherwise: Any) -> Any:
        return rnd.choice(listed) if listed and rnd.random() < 0.97 else otherwise

    caps = rnd.choice([60, 400, 20 * events])
    for name in owners:
        if rnd.random() < 0.97:
            one("open", root=name, cap=caps)
    while len(out) < events:
        hold, call, amount = some(flying if rnd.random() < 0.6 else done, ("h?", "c?", 3))
        account = some(accounts, "nobody")
        if rnd.random() < odd:
            number += 1
            match rnd.choice(ODD):
                case "delegate":
                    accounts.append(f"s{number}")
                    one("delegate", parent=account, child=accounts[-1], amount=rnd.randrange(40))
                case "close":
                    one("close", child=account)
                case "merge" if rnd.random() < 0.3:
                    one("merge", target=account, source=some(accounts, account))
                case "release" | "forfeit" as kind:
                    one(kind, hold=hold)
                case "extend":
                    one("extend", hold=hold, amount=rnd.randrange(9))
                case "refuse":
                    one("refuse", account=account, amount=rnd.randrange(99))
                case "record":
                    one("record", account=account, amount=rnd.randrange(9))
                case "observe":
                    one("observe", account=account, spent=rnd.randrange(60), remaining=rnd.randrange(60))
                case "cancel":
                    one("cancel", hold=hold)
                case "timeout":
                    one("timeout", call=call)
                case "crash":
                    one("crash", agent=f"a{rnd.randrange(4)}")
                case "resend":
                    one("send", hold=hold, call=rnd.choice([call, f"{call}+"]))
                case "rebill":
                    one("bill", call=call, amount=rnd.randrange(9))
                case "resettle":
                    one("settle", hold=hold, amount=amount)
                case "reserve":
                    one("reserve", account=account, hold=hold, amount=amount)
                case "open":
                    one("open", root=account, cap=9)
                case "accept":
                    one("accept", account=account, operation="reserve", value="nan")
                case "stall":
                    one("stall", agents=["a1"])
                case _:
                    one("send", hold=hold, call=f"{hold} (told)")
        elif len(flying) < 8 and rnd.random() < 0.5:
            number += 1
            amount, hold, call = rnd.randrange(1, 20), f"h{number % names}", f"c{number % names}"
            agent = {"agent": f"a{number % 4}"} if rnd.random() < 0.7 else {}
            one("reserve", account=account, hold=hold, amount=amount, **agent)
            bill = rnd.randrange(amount + 1) if rnd.random() < 0.97 else amount + 3
            if rnd.random() < (0.2 if bills == "settled" else 0.98):
                one("send", hold=hold, call=call)
            flying.append((hold, call, bill))
            if bills == "logged" and rnd.random() < 0.98:
                one("bill", call=call, amount=bill)
            elif bills == "late":
                owed.append((call, bill))
        elif flying:
            hold, call, amount = flying.pop(rnd.randrange(len(flying)))
            done.append((hold, call, amount))
            del done[:-12]
            one("settle", hold=hold, amount=amount)
            if owed and rnd.random() < 0.7:
                call, bill = owed.pop(0)
                one("bill", call=call, amount=bill)
    lines = []
    for place, data in enumerate(out):
        if beside and rnd.random() < 0.98:
            data = {
                "at": rnd.choice([place, place + 0.5, f"2026-01-01T00:{place // 60 % 60:02}:{place % 60:02}Z"]),
                **data,
                "seq": place,
                **({"model": rnd.choice(["small", "large"])} if rnd.random() < 0.3 else {}),
            }
        line = json.dumps(data)
        lines.append(spoilt(rnd, line) if rnd.random() < wrong else line)
    end = "" if rnd.random() < 0.1 else "\n"
    return [f"{line}\n" for line in lines[:-1]] + [lines[-1] + end]
