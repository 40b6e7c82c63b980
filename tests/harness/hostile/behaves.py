"""Nothing is wrong with it: the others differ from this one."""

from hostile_base import Sound

VERDICT, EVIDENCE = "sound", ""


class Target(Sound):
    pass
