"""Where an operation can be stopped: its instructions, told apart by what another thread may see of them."""

from __future__ import annotations

import dis
from enum import Enum
from types import CodeType
from typing import NamedTuple


class Place(NamedTuple):
    """Where the first operation can be stopped so that it may matter."""

    segment: int  # no call and no write lies between two places of one segment
    early: bool  # a write or a ``with`` comes next


class Effect(Enum):
    """What an instruction may do that another thread can see."""

    LOCAL = "nothing"
    OTHER = "read"
    WRITE = "write"
    ENTER = "enter a with statement"
    CALL = "call"


def _effect(opcode: int) -> Effect:
    name = dis.opname[opcode]
    if name in _LOCAL or name.startswith("LOAD_FAST"):
        return Effect.LOCAL
    if name.startswith(_WRITES):
        return Effect.WRITE
    if name in _ENTERS:
        return Effect.ENTER
    return Effect.CALL if name.startswith(_CALLS) else Effect.OTHER


def effects_of(code: CodeType) -> tuple[Effect, ...]:
    """Return the effect of each instruction; kept by identity, since to hash code is slow."""
    known = _KNOWN.get(id(code))
    if known is None:
        known = _KNOWN[id(code)] = code, tuple(map(_effect, code.co_code[::2]))
    return known[1]


_KNOWN: dict[int, tuple[CodeType, tuple[Effect, ...]]] = {}
_LOCAL = {"COPY", "KW_NAMES", "LOAD_CONST", "LOAD_SMALL_INT", "NOP", "PRECALL", "PUSH_NULL", "RESUME", "SWAP"}
_WRITES = ("STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE", "STORE_GLOBAL", "STORE_NAME", "STORE_DEREF", "DELETE_")
_ENTERS = ("BEFORE_WITH", "LOAD_SPECIAL")
_CALLS = ("CALL", "WITH_EXCEPT_START", "SEND", "FOR_ITER")
