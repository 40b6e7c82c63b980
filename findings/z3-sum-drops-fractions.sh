#!/usr/bin/env bash
# z3.Sum cuts a fractional price to a whole number when the other terms are integers; "+" does not.
# Package: z3-solver==5.4.1
# Expected: a float among integer terms raises, or makes the sum a Real, as it does in x + 0.9.
# Happens: Sum([x, 0.9]) is x + 0, of sort Int, and IntVal(2.9) is 2. IntVal("0.9") raises.
# Why it matters for a budget: a model that adds integer amounts and a fee of 0.9 with Sum proves a cap of a system that
#   has no fee. Here "x <= 10, and x + 0.9 > 10" is satisfiable with "+" and unsatisfiable with Sum.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'z3-solver==5.4.1'

cat >"$dir/run.py" <<'PY'
import z3

x = z3.Int("x")
for name, bill in (("x + 0.9", x + 0.9), ("Sum([x, 0.9])", z3.Sum([x, 0.9]))):
    solver = z3.Solver(ctx=x.ctx)
    solver.add(x >= 0, x <= 10, bill > 10)
    print(f"{name} is {bill} of sort {bill.sort()}; over the cap: {solver.check()}")
for value in (2.9, "0.9"):
    try:
        print(f"IntVal({value!r}) is {z3.IntVal(value)}")
    except z3.Z3Exception:
        print(f"IntVal({value!r}) raises")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected="x + 0.9 is ToReal(x) + 9/10 of sort Real; over the cap: sat
Sum([x, 0.9]) is x + 0 of sort Int; over the cap: unsat
IntVal(2.9) is 2
IntVal('0.9') raises"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: with Sum the fee is gone and the cap is proved"
