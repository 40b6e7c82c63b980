// bottleneck 2.19.5: a job takes its weight from the reservoir before it runs; one that does not fit waits.
// What it cost in the end is not told. Here a job that would have to wait is refused: `check` asks that.

import Bottleneck from "bottleneck";
import { Refused, serve } from "./harness.mjs";

serve({
  reservoir: {
    package: "bottleneck 2.19.5",
    gate: "charge",
    assumes: ["A1"],
    open: (cap) => new Bottleneck({ reservoir: cap }),
    charge: async (limiter, amount) => {
      if (!(await limiter.check(amount))) throw new Refused("the job would wait");
      await limiter.schedule({ weight: amount }, async () => null);
    },
    remaining: (limiter) => limiter.currentReservoir(),
  },
});
