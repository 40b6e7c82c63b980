"""It prints without end, also what looks like our messages, on every stream."""

import os
import sys

from hostile_base import Sound

VERDICT, EVIDENCE = "sound", ""


class Target(Sound):
    def reserve(self, scope, amount):
        print('{"say": "end", "intact": true}' * 20)
        print("x" * 5_000, file=sys.stderr)
        os.write(1, b"\xff\xfe\x00")
        return super().reserve(scope, amount)
