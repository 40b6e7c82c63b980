"""What a scenario says, after it has been read and validated (``capsound.loading`` reads the file).

A scenario names the money, who delegates to whom, how a call is admitted, what is known of its cost, what is
assumed of the provider, which faults may happen, and which verdict is expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from capsound.disciplines import Discipline
from capsound.frames import Algebra, Num
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

    def highest(self, algebra: Algebra, size: Num) -> Num | None:  # noqa: ARG002 - of one kind it is the same for all
        """Return the largest bill of a call that is estimated at ``size``, None where there is no bound."""
        return self.bill.hi


@dataclass(frozen=True, slots=True)
class Several(Plain):
    """Calls of several kinds, each an estimate and a bill: ``estimate`` and ``bill`` range over all of them.

    It is written in no file: proofs look at calls of many kinds as at one kind that has a larger choice.
    """

    kinds: tuple[Plain, ...] = ()

    def highest(self, algebra: Algebra, size: Num) -> Num | None:
        """Return the largest bill of those kinds that may be estimated at ``size``."""
        most: Num = self.bill.lo
        for kind in self.kinds:
            lo, hi, top = kind.estimate.lo, kind.estimate.hi, kind.bill.hi
            if hi is None or top is None:
                return self.bill.hi
            here = algebra.both(size >= lo, size <= hi)
            most = algebra.ite(here, algebra.ite(most > top, most, top), most)
        return most


@dataclass(frozen=True, slots=True)
class Request:
    """A call of which the request is known; sizes in bytes, usage in tokens.

    ``input_tokens`` is what the provider counts, where that was measured; where it is None the provider's
    bound applies: tokens_per_byte x bytes + template + per_message x messages + per_tool x tools.
    ``growth`` tokens of history are added to the input of each further call of one agent. ``cached`` is how many input
    tokens the provider reads from its cache.
    """

    bytes: Interval
    messages: int = 1
    tools: int = 0
    max_output: int = 0
    input_tokens: Interval | None = None
    output_tokens: Interval | None = None
    growth: int = 0
    cached: Interval = Interval(0, 0)


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


SETTLED, HELD, FIRST, BUCKET = "settlement", "hold", "first", "bucket"
"""When a ledger forgets a cost under a window that slides: when its settlement is as old as the window, or its hold;
when the first cost of all that it counts is; or when the bucket in which it was settled begins to be."""


@dataclass(frozen=True, slots=True)
class Window:
    """A cap that holds for a window of time: ``written`` is how the file names it, and the scenario has no lengths.

    It begins anew, ``resets`` times at most (None: any number), or it ``slides``: a bill counts until it is as old as
    the window. ``keeps``: whether a reset, or the age of a hold, keeps what open calls hold. ``forgets`` is how the
    ledger counts the age of costs. A sliding window may move in ``buckets`` (0: at any moment).
    """

    written: str
    keeps: bool = True
    resets: int | None = None
    slides: bool = False
    forgets: str = SETTLED
    buckets: int = 0


ROOT = "root"
"""The name of the root account in every scenario."""

MONEY, TOKENS, REQUESTS = "money", "tokens", "requests"
"""What a ceiling counts."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A limit with roll-up: what is spent under it counts in ``parent``, too; nothing is granted.

    ``dimension`` is what it counts: money, tokens or requests; ``cap`` is in that.
    """

    name: str
    parent: str
    cap: Interval
    dimension: str = MONEY
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Agents:
    """``count`` identical agents (None: any number) that each make ``calls`` calls of one kind.

    ``account`` is what they charge; ``ceilings`` are several at once instead, in the order in which they are asked.
    Where ``own_slice`` is set, each agent first takes a slice of that amount out of ``account`` and charges the
    slice; where ``inherits`` is set, that slice is a copy of what ``account`` has left when the agent starts, and
    what it spent is charged when it ends. ``program`` replaces the calls by explicit handle operations. The agents
    start when all those that ``after`` names are done. ``up_to``: each may stop after any of its calls.
    ``affordable``: none of their calls may be refused.
    """

    name: str
    count: int | None
    account: str
    call: str
    calls: int = 1
    own_slice: Interval | None = None
    program: tuple[str, ...] = ()
    ceilings: tuple[str, ...] = ()
    inherits: bool = False
    after: tuple[str, ...] = ()
    up_to: bool = False
    affordable: bool = False


@dataclass(frozen=True, slots=True)
class Estimator:
    """How the estimate of a request is made.

    floor(margin x bytes) + overhead + per_message x messages + per_tool x tools input tokens (floor, as the
    published estimator rounds); ``history`` says whether growth is counted; output is estimated at max_output. They are
    priced in the tier of their number, or all in the first one (``tier``), and ``cached`` of them as read from a cache.
    """

    margin: Fraction = Fraction(1)
    overhead: int = 0
    per_message: int = 0
    per_tool: int = 0
    history: bool = False
    tier: str = "by size"
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of the provider's counting, where a call does not say what it was billed."""

    tokens_per_byte: Fraction = Fraction(1)
    template: int = 0
    per_message: int = 0
    per_tool: int = 0


@dataclass(frozen=True, slots=True)
class Tier:
    """Above ``over`` input tokens all of the input costs ``price``."""

    over: int
    price: int


@dataclass(frozen=True, slots=True)
class Prices:
    """Units of money per ``per`` tokens; a bill is rounded up to a whole unit.

    ``tiers`` follow the price ``input``, smallest first, and never fall. ``cached`` is the price of input tokens that
    the provider reads from its cache, None where they cost what all others do.
    """

    input: int = 1
    output: int = 1
    per: int = 1
    cached: int | None = None
    tiers: tuple[Tier, ...] = ()

    @property
    def inputs(self) -> tuple[int, ...]:
        """The price of the input in each tier, cheapest first."""
        return (self.input, *(tier.price for tier in self.tiers))


@dataclass(frozen=True, slots=True)
class Assume:
    """Which assumptions hold (``capsound.properties.ASSUMPTIONS``), and by how much the others may fail.

    ``a1`` is None where it has to follow from the estimator: calls given as requests. ``shortfall`` bounds a
    bill by that many times the hold where A1 is off (None: no bound). ``client`` is the name of the client from which
    ``a10`` and ``hidden_retries`` follow (``capsound.clients``), or None where the file says them itself.
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
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """How many times the environment may inject each fault; ``expire``: the ledger lets a hold go, its call goes on."""

    cancel: int = 0
    timeout: int = 0
    crash: int = 0
    expire: int = 0


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
    """All that one question needs: whether the true bill can exceed the cap here.

    ``spent`` is what of the cap is already gone, billed and charged to the root: a cap is never below it. ``table`` is
    the discipline that the file writes down itself; ``discipline`` is then the name that it gives it. ``window`` is
    that of the root. Amounts are whole numbers, of which ``10**digits`` are one of ``unit``; people read them with at
    least ``places`` decimals (``told``).
    """

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
    spent: int = 0
    table: Discipline | None = None
    ceilings: tuple[Ceiling, ...] = ()
    window: Window | None = None
    digits: int = 0
    places: int = 0

    @property
    def stands_alone(self) -> bool:
        """Whether each account is a ceiling of its own: with ceilings, with windows, and where holds expire."""
        return bool(self.ceilings or self.window is not None or self.faults.expire)

    def charges(self, agents: Agents) -> tuple[str, ...]:
        """Return all that a call of these agents counts in, in the order in which it is asked: the root last."""
        parents = {ceiling.name: ceiling.parent for ceiling in self.ceilings}
        found: dict[str, None] = {}
        for name in agents.ceilings or (agents.account,):
            while name != ROOT:
                found[name] = None
                name = parents[name]
        return (*found, ROOT)

    def call(self, name: str) -> CallKind:
        """Return the kind of call named ``name``."""
        return next(kind for kind in self.calls if kind.name == name)

    def told(self, amount: int | Interval) -> str:
        """Return an amount, or a range of them, as people read it: in the unit of the file."""
        if isinstance(amount, Interval):
            if amount.hi is None or amount.fixed:
                return self.told(amount.lo) if amount.fixed else f"{self.told(amount.lo)}..any"
            return f"{self.told(amount.lo)}..{self.told(amount.hi)}"
        return decimal(amount, self.digits, self.places)

    def told_of(self, account: str, amount: int | Interval) -> str:
        """Return an amount of an account as people read it: only money is in the unit of the file."""
        return self.told(amount) if self.dimension(account) == MONEY else str(amount)

    def dimension(self, account: str) -> str:
        """Return what is counted on an account: money, but for ceilings that say otherwise."""
        return next((ceiling.dimension for ceiling in self.ceilings if ceiling.name == account), MONEY)

    def in_unit(self, text: str, account: str = ROOT) -> str:
        """Return a sentence on an account, in which every whole number that stands alone is an amount of it."""
        if (not self.digits and not self.places) or self.dimension(account) != MONEY:
            return text
        return _ALONE.sub(lambda found: self.told(int(found[0].replace(",", ""))), text)


def decimal(amount: int, digits: int, places: int) -> str:
    """Return ``amount`` / 10**``digits``, exactly, with at least ``places`` decimals."""
    whole, rest = divmod(abs(amount), 10**digits)
    tail = f"{rest:0{digits}d}".rstrip("0") if digits else ""
    tail = tail.ljust(places, "0")
    return ("-" if amount < 0 else "") + str(whole) + (f".{tail}" if tail else "")


_ALONE = re.compile(r"(?<![\w.\-/])\d(?:[\d,]*\d)?(?![\w/]|[.,]\d|-\w| of its)")
"""A whole number that is no part of a name, of a fraction or of a decimal."""
