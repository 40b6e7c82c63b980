#!/usr/bin/env bash
# Adding to a counter replaces the time at which it runs out: a cap of a day starts anew after five quiet minutes.
# Packages: Django==5.2.19 (file and database cache), cachelib==0.17.0 (what Flask-Caching stands on);
#   beside them, as it should work: Django's memory cache and diskcache==5.6.3
# Expected: `set(key, 0, timeout=window)` and then `incr(key, cost)` keeps the moment at which the window ends.
# Happens: in these stores incr is a get and a set without a timeout, so that the default one (300 s) begins anew with
#   each cost. The run has a window of 6 s and a default of 1 s: two seconds after a cost the counter is gone.
# Why it matters for a budget: "at most 20 a day" is "at most 20 until nothing was spent for five minutes", and a window
#   that is shorter than five minutes never ends while it is used. In tests with the memory cache both work.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'Django==5.2.19' 'cachelib==0.17.0' 'diskcache==5.6.3'

cat >"$dir/run.py" <<'PY'
import sys
import time

import django
from cachelib import FileSystemCache, SimpleCache
from diskcache import Cache
from django.conf import settings

FOLDER = sys.argv[1]
DEFAULT, WINDOW, QUIET = 1, 6, 2
BACKENDS = "django.core.cache.backends"
settings.configure(
    CACHES={
        "default": {"BACKEND": f"{BACKENDS}.locmem.LocMemCache", "TIMEOUT": DEFAULT},
        "file": {"BACKEND": f"{BACKENDS}.filebased.FileBasedCache", "LOCATION": f"{FOLDER}/f", "TIMEOUT": DEFAULT},
        "database": {"BACKEND": f"{BACKENDS}.db.DatabaseCache", "LOCATION": "counters", "TIMEOUT": DEFAULT},
    },
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/db"}},
)
django.setup()

from django.core.cache import caches
from django.core.management import call_command

call_command("createcachetable", verbosity=0)

disk = Cache(f"{FOLDER}/d")
stores = {"django memory": caches["default"], "django file": caches["file"], "django database": caches["database"]}
others = {"cachelib memory": SimpleCache(default_timeout=DEFAULT)}
others["cachelib file"] = FileSystemCache(f"{FOLDER}/c", default_timeout=DEFAULT)

for store in (*stores.values(), *others.values()):
    store.set("spent", 0, timeout=WINDOW)
disk.set("spent", 0, expire=WINDOW)
for store in (*stores.values(), disk):
    store.incr("spent", 20)
for store in others.values():
    store.inc("spent", 20)
time.sleep(QUIET)
seen = {name: store.get("spent") for name, store in (stores | others | {"diskcache": disk}).items()}
for name, left in seen.items():
    print(f"{name}: {left} spent, {QUIET} s after the cost, in a window of {WINDOW} s")
forgotten = sorted(name for name, left in seen.items() if left is None)
kept = sorted(name for name, left in seen.items() if left == 20)
same = forgotten == ["cachelib file", "cachelib memory", "django database", "django file"]
same = same and kept == ["diskcache", "django memory"]
print("as described" if same else f"changed: forgotten by {forgotten}, kept by {kept}")
sys.exit(not same)
PY

"$dir/venv/bin/python" -W ignore "$dir/run.py" "$dir"
