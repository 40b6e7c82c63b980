"""What a scenario says, after it has been read and validated (``capsound.loading`` reads the file).

A scenario names the money, who delegates to whom, how a call is admitted, what is known of its cost, what is
assumed of the provider, which faults may happen, and which verdict is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from capsound.properties import Property
from capsound.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Interval:
    """The amounts from ``lo`` to ``hi``, both included; ``hi`` is None where any amount is possible."""

    lo: int
    hi: int | None

    @classmethod
    def exactly(cls, value: int) -> Interval:
        """Return the interval of one amount."""
        return cls(value, value)

    @property
    def fixed(self) -> bool:
        """Whether only one amount is possible."""
        return self.lo == self.hi

    def __str__(self) -> str:
        if self.fixed:
            return str(self.lo)
        return f"{self.lo}..{'any' if self.hi is None else self.hi}"


ANY = Interval(0, None)


@dataclass(frozen=True, slots=True)
class Plain:
    """A call of which only the estimate and the bill are known, in units of money."""

    estimate: Interval
    bill: Interval


@dataclass(frozen=True, slots=True)
class Request:
    """A call of which the request is known; sizes in bytes, usage in tokens.

    ``input_tokens`` is what the provider counts, where that was measured; where it is None the provider's
    bound applies: tokens_per_byte x bytes + template + per_message x messages + per_tool x tools.
    ``growth`` tokens of history are added to the input of each further call of one agent.
    """

    bytes: Interval
    messages: int = 1
    tools: int = 0
    max_output: int = 0
    input_tokens: Interval | None = None
    output_tokens: Interval | None = None
    growth: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed call: at most ``chunks`` chunks, each billed at most ``chunk`` units of money."""

    chunk: Interval
    chunks: int


@dataclass(frozen=True, slots=True)
class CallKind:
    """A named kind of call."""

    name: str
    cost: Plain | Request | Stream


@dataclass(frozen=True, slots=True)
class Slice:
    """An account delegated from ``parent``; ``grant`` is an amount or a range."""

    name: str
    parent: str
    grant: Interval


@dataclass(frozen=True, slots=True)
class Agents:
    """``count`` identical agents (None: any number) that each make ``calls`` calls of one kind.

    ``account`` is what they charge. Where ``own_slice`` is set, each agent first takes a slice of that amount
    out of ``account`` and charges the slice. ``program`` replaces the calls by explicit handle operations.
    """

    name: str
    count: int | None
    account: str
    call: str
    calls: int = 1
    own_slice: Interval | None = None
    program: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimator:
    """How the estimate of a request is made.

    floor(margin x bytes) + overhead + per_message x messages + per_tool x tools input tokens (floor, as the
    published estimator rounds); ``history`` says whether growth is counted; output is estimated at max_output.
    """

    margin: Fraction = Fraction(1)
    overhead: int = 0
    per_message: int = 0
    per_tool: int = 0
    history: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of the provider's counting, where a call does not say what it was billed."""

    tokens_per_byte: Fraction = Fraction(1)
    template: int = 0
    per_message: int = 0
    per_tool: int = 0


@dataclass(frozen=True, slots=True)
class Prices:
    """Units of money per ``per`` tokens; a bill is rounded up to a whole unit."""

    input: int = 1
    output: int = 1
    per: int = 1


@dataclass(frozen=True, slots=True)
class Assume:
    """Which assumptions hold (``capsound.properties.ASSUMPTIONS``), and by how much the others may fail.

    ``a1`` is None where it has to follow from the estimator: calls given as requests. ``shortfall`` bounds a
    bill by that many times the hold where A1 is off (None: no bound).
    """

    a1: bool | None = True
    a6: bool = True
    a7: bool = True
    a8: bool = True
    a9: bool = True
    a10: bool = True
    shortfall: Fraction | None = None
    width: int | None = None
    rise: Fraction | None = None
    hidden_retries: int | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """How many times the environment may inject each fault."""

    cancel: int = 0
    timeout: int = 0
    crash: int = 0


@dataclass(frozen=True, slots=True)
class Expect:
    """The verdict wanted, which makes a scenario file a regression test; None and empty: not said."""

    verdict: Verdict | None = None
    properties: Mapping[Property, Verdict] = field(default_factory=dict)
    anomalies: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    overshoot: int | None = None
    steps: int | None = None
    margin: Fraction | None = None
    overhead: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Bounds of the search: steps of a counterexample, and seconds for the whole file (None: as many as it takes)."""

    steps: int = 24
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that one question needs: whether the true bill can exceed the cap here."""

    name: str
    cap: Interval
    discipline: str
    agents: tuple[Agents, ...]
    calls: tuple[CallKind, ...]
    title: str = ""
    unit: str = "units"
    slices: tuple[Slice, ...] = ()
    estimator: Estimator = Estimator()
    provider: Provider = Provider()
    prices: Prices = Prices()
    assume: Assume = Assume()
    faults: Faults = Faults()
    properties: tuple[Property, ...] = ()
    expect: Expect = Expect()
    search: Search = Search()
    path: str = ""

    def call(self, name: str) -> CallKind:
        """Return the kind of call named ``name``."""
        return next(kind for kind in self.calls if kind.name == name)


ROOT = "root"
"""The name of the root account in every scenario."""
