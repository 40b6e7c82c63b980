"""z3 proofs and counterexamples over the same atomic blocks that the model's explorer runs."""
