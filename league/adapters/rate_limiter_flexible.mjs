// rate-limiter-flexible 11.4.0: `consume` adds points to a counter, and rejects where it is above the limit then.
// What was refused is counted too: the script beside this one shows it.

import { RateLimiterMemory } from "rate-limiter-flexible";
import { serve } from "./harness.mjs";

serve({
  consume: {
    package: "rate-limiter-flexible 11.4.0",
    gate: "charge",
    assumes: ["A1"],
    refused: (error) => error?.consumedPoints !== undefined,
    open: (cap) => new RateLimiterMemory({ points: cap, duration: 0 }), // a duration of 0 never ends
    charge: async (limiter, amount) => void (await limiter.consume("job", amount)),
  },
});
