// bottleneck 2.19.5, alone: a job of 3 leaves 2 in a reservoir of 5; one of 3 waits, and one of 2 would run.

import assert from "node:assert";
import Bottleneck from "bottleneck";

const limiter = new Bottleneck({ reservoir: 5 });
await limiter.schedule({ weight: 3 }, async () => null);
assert.deepEqual([await limiter.currentReservoir(), await limiter.check(3), await limiter.check(2)], [2, false, true]);
