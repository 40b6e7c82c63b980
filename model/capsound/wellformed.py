"""Which lists of blocks can run: what is wrong with others, where, and the cure.

A discipline is checked when it is made, whether it comes from this package, from Python or from a scenario file; the
file reader says the same with the line. The rules keep to what the model can give a meaning to: what a real budget does
wrong is to be written down and found broken, but a step that has no meaning where it stands proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from capsound.frames import Step

Block = tuple[Step, ...]

EXAMPLE = "for example [[check, reserve], [send], [settle]]"

LISTS = ("blocks", "stream")
"""The parts that are lists of blocks; all others are one block."""

PARTS = ("blocks", "before-send", "after-send", "on-refuse", "stream", "on-abort", "delegate", "move", "close")
"""The parts of a discipline, in the order in which a call lives."""

HANDLERS = ("before-send", "after-send", "on-refuse", "on-abort")

HOMES: Mapping[str, tuple[str, ...]] = {
    "admits": ("blocks",),
    "sends": ("blocks",),
    "holds": ("blocks",),
    "reads-left": ("blocks",),
    "reads-spent": ("blocks", "after-send"),
    "needs-left": ("blocks",),
    "keeps": ("blocks",),
    "flushes": ("blocks", "after-send"),
    "resolves": ("blocks", "before-send", "after-send"),
    "undoes": ("on-refuse",),
    "locks": ("blocks", *HANDLERS),
    "slots": ("blocks", *HANDLERS),
    "chunk": ("stream",),
    "extends": ("stream",),
    "tail": ("on-abort",),
    "delegates": ("delegate",),
    "moves": ("move",),
    "closes": ("close",),
    "inherits": (),
}
"""In which parts a step with a tag has a meaning."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a list of blocks cannot run: ``says`` follows the name of the discipline. Indices count from 0."""

    says: str
    part: str
    block: int | None = None
    step: int | None = None
    cause: str = ""
    hint: str = ""

    @property
    def where(self) -> str:
        """The place in words."""
        if self.block is None or self.part not in LISTS:
            return self.part
        return f"block {self.block + 1} of {self.part}"


@dataclass(frozen=True, slots=True)
class _At:
    """A step of the blocks, and where it stands."""

    part: str
    block: int
    index: int
    step: Step

    def flaw(self, says: str, cause: str = "", hint: str = "") -> Flaw:
        return Flaw(says, self.part, self.block, self.index, cause, hint)


def flaws(
    parts: Mapping[str, Sequence[Block]],
    *,
    same_hold: bool = False,
    slots: int = 0,
    lag: int = 0,
    turn: int = 1,
    one_by_one: bool = False,
) -> Iterator[Flaw]:
    """Yield what is wrong with a discipline, most telling first.

    ``parts`` has the blocks of each of ``PARTS``; a handler is one block. ``same_hold``: a request whose reply never
    came is sent again under the same hold. ``slots``: how many the semaphore has. ``lag``: how much an agent keeps
    before it writes back. ``turn``: of how many calls only the first is checked. ``one_by_one``: ceilings are asked one
    after the other, so that one may refuse what others hold.
    """
    life = [_At("blocks", b, s, step) for b, block in enumerate(parts["blocks"]) for s, step in enumerate(block)]
    yield from _out_of_place(parts, one_by_one=one_by_one)
    yield from _once(parts, life)
    tagged = {tag: [at for at in life if tag in at.step.tags] for tag in ("admits", "sends", "holds", "resolves")}
    if len(tagged["admits"]) != 1 or len(tagged["sends"]) != 1:
        return
    yield from _order(life, tagged)
    yield from _holds(parts, life, tagged)
    yield from _reads(life)
    # What is granted is what the scenario says, once: proofs of slices take that for granted.
    for part, example in (("delegate", "carve"), ("move", "move-all")):
        if not any(parts.get(part, ())):
            yield Flaw(f"has nothing in {part}", part, hint=f'write {part} = ["{example}"], or leave it out')
    if same_hold:
        yield from _same_hold(parts["blocks"])
    yield from _guards(parts)
    yield from _streams(parts, tagged["sends"][0])
    yield from _locks(parts, life, slots)
    if turn > 1 and any("tries" in at.step.tags for at in life):
        yield Flaw("adds first, and looks once for a turn", "turn", hint="check and reserve, or leave turn out")
    if turn > 1 and (tagged["sends"][0].step.name == "send-stream" or tagged["admits"][0].step.guard is None):
        yield Flaw("checks once for a turn that it streams, or never checks", "turn", hint="leave turn out")
    if lag and not any("flushes" in at.step.tags for at in _all(parts)):
        yield Flaw("has a lag, and writes nothing back", "lag", hint='put "flush" into the blocks, or leave it out')


def _all(parts: Mapping[str, Sequence[Block]]) -> Iterator[_At]:
    for part in PARTS:
        for b, block in enumerate(parts.get(part, ())):
            for s, step in enumerate(block):
                yield _At(part, b, s, step)


def _out_of_place(parts: Mapping[str, Sequence[Block]], *, one_by_one: bool) -> Iterator[Flaw]:
    for at in _all(parts):
        if one_by_one and at.part == "on-refuse" and "resolves" in at.step.tags:
            continue
        for tag in sorted(at.step.tags):
            homes = HOMES.get(tag)
            if homes is not None and at.part not in homes:
                what = f"has {at.step.name!r} in {at.part}, where it has no meaning"
                hint = f"{at.step.name} belongs in {' or '.join(homes)}"
                if not homes:
                    hint = 'give agents slice = "what is left": they inherit when they start, and roll up when they end'
                elif at.part == "on-refuse" and "resolves" in at.step.tags:
                    hint = "a refused call has nothing to resolve: take-back undoes an add, unlock frees a lock"
                yield at.flaw(what, hint=hint)
                break


def _once(parts: Mapping[str, Sequence[Block]], life: Sequence[_At]) -> Iterator[Flaw]:
    for tag, what in (("admits", "admits a call"), ("sends", "sends it")):
        found = [at for at in life if tag in at.step.tags]
        if len(found) == 1:
            continue
        last = found[-1] if found else None
        yield Flaw(
            f"has {len(found)} steps that {what.split()[0][:-1]} the call",
            "blocks",
            last.block if last else None,
            last.index if last else None,
            f"exactly one step {what}",
            f"list the blocks in order, {EXAMPLE}",
        )
    for part, tag, what in (
        ("blocks", "resolves", "resolves the call"),
        ("blocks", "holds", "holds the estimate"),
        ("blocks", "keeps", "keeps the estimate"),
        ("before-send", "resolves", "resolves the call"),
        ("after-send", "resolves", "resolves the call"),
        ("on-refuse", "undoes", "takes back what was added"),
        ("on-abort", "tail", "bills the tail"),
        ("delegate", "delegates", "grants the slice"),
        ("move", "moves", "moves the balance"),
        ("close", "closes", "gives back"),
    ):
        found = [at for at in _all(parts) if at.part == part and tag in at.step.tags]
        for again in found[1:]:
            yield again.flaw(
                f"{what} twice in {part}", "what is resolved or held twice has no meaning", "leave one out"
            )


def _order(life: Sequence[_At], tagged: Mapping[str, list[_At]]) -> Iterator[Flaw]:
    place = {id(at): number for number, at in enumerate(life)}
    admits, sends = place[id(tagged["admits"][0])], place[id(tagged["sends"][0])]
    if sends < admits:
        yield life[sends].flaw("sends before it admits", hint="that would be a late refusal")
    for at in tagged["holds"]:
        if place[id(at)] < admits and "tries" not in at.step.tags:
            yield at.flaw(
                "reserves before it admits",
                "what is held is the estimate that the call was admitted for: before that it would hold nothing",
                "put RESERVE behind the step that admits, for example [[CHECK, RESERVE], [SEND], [SETTLE]]; "
                "or write add, then look",
            )
        elif place[id(at)] > sends:
            yield at.flaw("holds the estimate after it has sent", hint=f"hold it before the send, {EXAMPLE}")
    for at in (at for at in life if "keeps" in at.step.tags):
        if not admits < place[id(at)] < sends:
            yield at.flaw(
                "keeps the estimate elsewhere than between the check and the send", hint="put it behind the check"
            )
    for at in tagged["resolves"]:
        if place[id(at)] < sends:
            yield at.flaw("resolves the call before it has sent", hint=f"resolve it after the send, {EXAMPLE}")
    for at in life[sends + 1 :]:
        if at.step.guard is not None:
            yield at.flaw("has a guard behind the send", "the request has left already", "move it in front of the send")


def _holds(
    parts: Mapping[str, Sequence[Block]], life: Sequence[_At], tagged: Mapping[str, list[_At]]
) -> Iterator[Flaw]:
    held = bool(tagged["holds"])
    for at in _all(parts):
        if "ends-hold" in at.step.tags and not held:
            yield at.flaw(
                f"has {at.step.name!r} in {at.part}, and nothing is held",
                "it ends a hold",
                "hold the estimate first with reserve or add; without a hold, debit books and forget gives up",
            )
    kept = [at for at in life if "keeps" in at.step.tags]
    for at in _all(parts):
        if "needs-keep" in at.step.tags and not kept:
            yield at.flaw(f"has {at.step.name!r} in {at.part}, and nothing is kept", hint="put keep behind check-local")
    tries = [at for at in life if "tries" in at.step.tags]
    looks = [at for at in life if at.step.name == "look"]
    if tries and not looks:
        yield tries[0].flaw("adds and never looks", hint="admit the call with look, behind add")
    if looks and (not tries or life.index(tries[0]) > life.index(looks[0])):
        yield looks[0].flaw("looks at what was never added", hint="put add into a block in front of look")
    if not tries:
        for at in _all(parts):
            if "undoes" in at.step.tags:
                yield at.flaw("takes back what was never added", hint="put add into a block in front of look")


def _reads(life: Sequence[_At]) -> Iterator[Flaw]:
    read = ""
    for at in life:
        for needed, name in (("left", "see"), ("spent", "read")):
            if f"needs-{needed}" in at.step.tags and read != needed:
                yield at.flaw(f"uses in {at.step.name!r} what was not read before", hint=f"put {name} in front of it")
        read = next((kind for kind in ("left", "spent") if f"reads-{kind}" in at.step.tags), read)


def _same_hold(blocks: Sequence[Block]) -> Iterator[Flaw]:
    for number, block in enumerate(blocks):
        tags = {tag for step in block for tag in step.tags}
        if "sends" in tags and tags & {"admits", "holds"}:
            yield Flaw(
                "sends again under the same hold, and admits in the block that sends",
                "blocks",
                number,
                cause="what is sent again would be admitted again, so that the hold is not the same",
                hint="give SEND a block of its own, for example [[CHECK, RESERVE], [SEND], [SETTLE]]",
            )


def _guards(parts: Mapping[str, Sequence[Block]]) -> Iterator[Flaw]:
    for part in PARTS:
        for number, block in enumerate(parts.get(part, ())):
            guarded = [i for i, step in enumerate(block) if step.guard is not None or step.waits is not None]
            if guarded and part in HANDLERS:
                name = block[guarded[0]].name
                yield Flaw(
                    f"has {name!r} in {part}, which cannot wait and cannot be refused",
                    part,
                    number,
                    guarded[0],
                    hint="a handler runs at once: leave the step out",
                )
            elif guarded and guarded[-1] >= len(guarded):
                shown = list(block)
                yield Flaw(
                    f"has a guard after an effect in {shown}"
                    if part == "blocks"
                    else f"has a guard after an effect in {part}",
                    part,
                    number,
                    guarded[-1],
                    "a block happens at once or not at all",
                    "move the guard to the front of its block, or cut the block in two",
                )
    for number, block in enumerate(parts["blocks"]):
        if not block:
            yield Flaw("has an empty block", "blocks", number, hint=f"leave it out, or name its steps, {EXAMPLE}")


def _streams(parts: Mapping[str, Sequence[Block]], sends: _At) -> Iterator[Flaw]:
    chunks = [at for at in _all(parts) if at.part == "stream" and "chunk" in at.step.tags]
    if sends.step.name != "send-stream":
        for part in ("stream", "on-abort"):
            if any(parts.get(part, ())):
                yield Flaw(f"has {part} and does not stream", part, 0, hint="send with send-stream, or leave it out")
    elif len(chunks) != 1:
        at = chunks[-1] if chunks else sends
        yield at.flaw(
            f"has {len(chunks)} steps that bill the next chunk",
            "what stands in stream is done once for each further chunk",
            'write stream = [["extend"], ["next-chunk"]]',
        )


def _locks(parts: Mapping[str, Sequence[Block]], life: Sequence[_At], slots: int) -> Iterator[Flaw]:
    locks = [at for at in _all(parts) if "locks" in at.step.tags]
    enters = [at for at in _all(parts) if "slots" in at.step.tags]
    if locks and enters:
        yield enters[0].flaw("has a lock and a semaphore", "an account has one of them", "use slots = 1 for a lock")
    if enters and not slots:
        yield enters[0].flaw("has a semaphore without slots", hint="add slots = 2, or how many calls may be inside")
    if slots and not enters:
        yield Flaw(
            "has slots that nobody takes", "slots", hint='put "enter" and "leave" into the blocks, or leave it out'
        )
    taken = 0
    for at in life:
        if at.step.name in ("lock", "enter"):
            if taken:
                yield at.flaw(f"takes {at.step.name!r} twice", "it would wait for itself", "leave one out")
            taken += 1
        elif at.step.name in ("unlock", "leave"):
            if not taken:
                yield at.flaw(f"has {at.step.name!r} before anything was taken", hint="take it first, or leave it out")
            taken = 0
