"""The adapter over a harness: to whoever drives it, an adapter like any other.

Each instance is one run, which begins with ``reset``. What was done in it is remembered: when the child dies or hangs,
or when another run was begun in between, everything is done once more in the same order, and answered as before.
Handles are the ids that the harness gives. A copy of an id is the id: whoever wants a copy of what it stands for asks
for one (``copied``).
"""

from __future__ import annotations

import re
import types
from collections.abc import Generator, Mapping
from typing import Any, ClassVar

from capsound.adapter import OPERATIONS, Adapter, Gate, Granted, NotOffered, Provider, Refused, Rejected, Stale, offers
from capsound_checker.programs.watch import SECONDS, Hung
from capsound_checker.remote.connection import Connection, HarnessDiverged, HarnessErrored, close_all, errored
from capsound_checker.remote.process import LOAD_SECONDS, Address, parse_address
from capsound_checker.remote.protocol import ODD, Message

__all__ = ["Connection", "HarnessDiverged", "HarnessErrored", "Remote", "close_all", "remote", "remote_adapter"]


@types.coroutine
def _turn() -> Generator[None, Any, None]:
    yield


class Remote(Adapter):
    """Base of the adapters over a harness; ``remote`` makes a subclass with the operations that are offered."""

    connection: ClassVar[Connection]
    odd: ClassVar[frozenset[str]]
    turns: ClassVar[bool] = False
    """Whether several calls can be made to begin in one turn of the event loop over there, and have to be."""
    every_await: ClassVar[bool] = True
    """Whether a call is answered ``waiting`` wherever it is suspended."""
    copies: ClassVar[bool | None] = None
    """Whether handles can be copied over there; None where the harness does not say."""
    singly: ClassVar[bool] = False
    """Whether balances are asked for one by one, since ``observe`` was skipped."""
    left_out: ClassVar[tuple[str, ...]] = ()
    """The drivers that its claims call for and that need it in this interpreter: what they would find, nobody has."""

    def __init__(self) -> None:
        self.log: list[tuple[Message, Message]] = []
        self._observed: Mapping[str, Message] = {}
        self._calls = 0
        self._turn: list[Message] | None = None
        self._between = 0
        self._turned: dict[str, Message] = {}
        self._elsewhere = memoryview(b"")  # the state is not here: who reads ours is told that it is opaque

    def _do(self, cmd: str, **fields: Any) -> Any:
        return self._outcome(self._asked(cmd, **fields))

    def _asked(self, cmd: str, **fields: Any) -> Message:
        if self._turn is not None:
            self.end_turn()
        self._observed = {}
        answer = self.connection.ask(self, {"cmd": cmd, **fields})
        self._observed = answer.get("observed", {})
        return answer

    def begin_turn(self, between: int) -> None:
        """Hold back the calls and replies that come next: ``end_turn`` does them, ``between`` micro-tasks apart."""
        self._turn, self._between = [], between

    def end_turn(self) -> list[bool]:
        """Do what was held back in one turn; each call hears what has become of it when it is resumed.

        Return for each whether it is at the provider now. A harness that turns out not to know turns does one after
        the other.
        """
        steps, self._turn = self._turn or [], None
        if not steps:
            return []
        answer = self._asked("turn", steps=steps)
        if answer["answer"] == "turned":
            said = answer["calls"]
        else:
            type(self).turns, said = False, {}
            for step in steps:
                fields = {name: value for name, value in step.items() if name not in ("cmd", "after")}
                said[step["call"]] = self._asked(step["cmd"], **fields)
        self._turned.update(said)
        return [said[step["call"]].get("for") == "provider" for step in steps]

    async def _in_turn(self, cmd: str, call: str, **fields: Any) -> Message:
        """Ask for a call to begin or to go on: at once, or in the turn that is being gathered."""
        if self._turn is None:
            return self._asked(cmd, call=call, **fields)
        after = {"after": self._between} if self._turn and self._between else {}
        self._turn.append({"cmd": cmd, "call": call, **fields, **after})
        await _turn()
        if self._turn is not None:
            self.end_turn()
        answer = self._turned.pop(call)
        if answer["answer"] == "errored":
            raise errored(cmd, answer)
        return answer

    def _outcome(self, answer: Message) -> Any:
        kind = answer["answer"]
        if kind == "done":
            return answer["value"]
        if kind == "skipped":
            raise NotOffered(f"the harness skips this: {answer['reason']}")
        if kind == "hung":
            raise Hung(answer["why"])
        raise _RAISED[kind](answer["why"])

    def copied(self, handle: Any, *, deep: bool) -> Any:
        """Return a copy of a hold or a scope, made over there; the handle itself where nothing can be copied.

        Raises ``Rejected`` and whatever else a request can end with.
        """
        if not self.copies:
            return handle
        twin = self._do("copy", of=handle, deep=deep)
        return handle if twin is None else twin

    def _amount(self, amount: Any) -> Any:
        """Return an amount as it is sent; what the language of the harness has no word for is rejected here."""
        if type(amount) is int:
            return amount
        name = next((n for n, v in ODD.items() if type(v) is type(amount) and repr(v) == repr(amount)), None)
        if name is None or name not in self.odd:
            raise Rejected(f"{amount!r} cannot be said to this harness")
        return {"odd": name}

    def _tells(self, scope: Any) -> Message:
        """Return what a scope says of itself: what came with the last answer, or what it says when it is asked."""
        observed = self._observed.get(scope)
        if observed is None:
            observed = self._told(scope)
            self._observed = {**self._observed, scope: observed}
        return observed

    def _told(self, scope: Any) -> Message:
        """Ask a scope for what it says of itself; one that does not know ``observe`` is asked for each balance."""
        balances = [name for name in _BALANCES if name in offers(self)]
        if balances and not self.singly:
            answer = self.connection.ask(self, {"cmd": "observe", "scope": scope}, logged=False)
            if answer["answer"] != "skipped":
                told: Message = self._outcome(answer)
                return told
            type(self).singly = True
        return {
            name: self._outcome(self.connection.ask(self, {"cmd": name, "scope": scope}, logged=False))
            for name in balances
        }

    def observe(self, scope: Any) -> tuple[int | None, int | None, int | None]:
        """Return ``spent``, ``held`` and ``remaining``, each ``None`` where it is not offered."""
        observed = self._tells(scope)
        return observed.get("spent"), observed.get("held"), observed.get("remaining")


_BALANCES = ("spent", "held", "remaining", "balances")
"""The operations that ``observe`` stands for."""

_RAISED: Mapping[str, type[Exception]] = {"refused": Refused, "rejected": Rejected, "stale": Stale}


def _open(self: Remote, cap: int) -> Any:
    return self._do("open", cap=self._amount(cap))


def _reserve(self: Remote, scope: Any, amount: int) -> Any:
    return self._do("reserve", scope=scope, amount=self._amount(amount))


def _sent(self: Remote, hold: Any) -> Any:
    return self._do("sent", hold=hold)


def _settle(self: Remote, hold: Any, actual: int) -> Any:
    return self._do("settle", hold=hold, actual=self._amount(actual))


def _extend(self: Remote, hold: Any, amount: int) -> Any:
    return self._do("extend", hold=hold, amount=self._amount(amount))


def _release(self: Remote, hold: Any) -> Any:
    return self._do("release", hold=hold)


def _forfeit(self: Remote, hold: Any) -> Any:
    return self._do("forfeit", hold=hold)


def _check(self: Remote, scope: Any, amount: int) -> Any:
    return self._do("check", scope=scope, amount=self._amount(amount))


def _charge(self: Remote, scope: Any, amount: int) -> Any:
    return self._do("charge", scope=scope, amount=self._amount(amount))


def _record(self: Remote, scope: Any, amount: int) -> Any:
    return self._do("record", scope=scope, amount=self._amount(amount))


def _delegate(self: Remote, scope: Any, amount: int) -> Any:
    value = self._do("delegate", scope=scope, amount=self._amount(amount))
    return Granted(value["scope"], value["granted"]) if isinstance(value, dict) else value


def _close(self: Remote, scope: Any) -> Any:
    return self._do("close", scope=scope)


def _merge(self: Remote, target: Any, source: Any) -> Any:
    return self._do("merge", target=target, source=source)


def _spent(self: Remote, scope: Any) -> Any:
    return self._tells(scope)["spent"]


def _held(self: Remote, scope: Any) -> Any:
    return self._tells(scope)["held"]


def _remaining(self: Remote, scope: Any) -> Any:
    return self._tells(scope)["remaining"]


def _balances(self: Remote, scope: Any) -> Any:
    return self._tells(scope)["balances"]


def _journal(self: Remote, scope: Any) -> Any:
    return self._outcome(self.connection.ask(self, {"cmd": "journal", "scope": scope}, logged=False))


def _rest(self: Remote, scope: Any) -> Any:
    return self._do("rest", scope=scope)


async def _call(self: Remote, scope: Any, estimate: int, provider: Provider) -> Any:
    self._calls += 1
    name = f"c{self._calls}"
    given: BaseException | None = None
    answer = await self._in_turn("call", name, scope=scope, estimate=estimate)
    while answer["answer"] == "waiting":
        cmd, fields = "step", {}
        try:
            if answer["for"] == "provider":
                cmd, fields = "reply", {"bill": await provider()}
            else:
                await _turn()
        except GeneratorExit as error:
            if not self.connection.serves(self):  # nobody drives this run any more: it was dropped
                raise
            cmd, given = "crash", error
        except Exception as error:  # noqa: BLE001 - the provider's error, whatever it is
            cmd, given = "fail", error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            cmd, given = "cancel", error
        answer = await self._in_turn(cmd, name, **fields)
    if answer["answer"] == "raised":
        raise (
            given if given is not None else HarnessErrored(f"call ended by an error that nobody gave: {answer['why']}")
        )
    return self._outcome(answer)


_METHODS: Mapping[str, Any] = {name: globals()[f"_{name}"] for name in OPERATIONS}


_OUT_OF_REACH: Mapping[str, tuple[str, ...]] = {"threads": ("threads", "history"), "handlers": ("handlers",)}
"""The drivers that cannot be used over a pipe, by the claim that calls for them."""


def remote(address: Address) -> type[Remote]:
    """Start the harness, and return the adapter over it: it offers what the harness offers.

    Raises ``CannotStart``, ``HarnessDied``, ``HarnessHung``, ``HarnessErrored``, ``BadMessage`` and ``NotOffered``.
    """
    connection = Connection(address)
    try:
        started = connection.start()
        known, every_await = connection.takes_turns() if started["gate"] == Gate.CALL else (False, True)
    except BaseException:
        connection.close()
        raise
    claims = started.get("claims", {})
    space: dict[str, Any] = {
        "__doc__": f"{started['harness']['implementation']} in {started['harness']['language']}, over a pipe.",
        "__module__": __name__,
        "connection": connection,
        "odd": frozenset(started.get("odd", ())),
        "gate": Gate(started["gate"]),
        "strict": claims.get("strict", False),
        "complete": claims.get("complete", False),
        "eventual": claims.get("eventual", False),
        "zero_is_unlimited": claims.get("zero_is_unlimited", False),
        "assumes": tuple(started.get("assumes", ())),
        "copies": claims.get("copies"),
        "timeout": max(SECONDS, address.timeout),
        "left_out": tuple(
            driver
            for claim, drivers in _OUT_OF_REACH.items()
            if claims.get(claim, False)
            for driver in drivers
            if driver != "history" or started["gate"] != Gate.CALL
        ),
        "turns": known and not every_await,  # where every await is seen, a call is interrupted by what comes next
        "every_await": every_await,
        **{name: _METHODS[name] for name in started["offers"]},
    }
    name = re.sub(r"\W", "_", started["harness"]["name"])
    return type(name if name.isidentifier() else f"_{name}", (Remote,), space)


def remote_adapter(text: str, *, start: float = LOAD_SECONDS) -> type[Remote]:
    """Return the adapter over the harness at an address such as ``cmd[timeout=5]:node harness.js``.

    ``start`` is how many seconds it may take to start where the address itself does not say.
    """
    return remote(parse_address(text, start=start))
