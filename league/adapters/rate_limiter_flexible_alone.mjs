// rate-limiter-flexible 11.4.0, alone: three points of five are used, three more are refused, and the last two are lost.

import assert from "node:assert";
import { RateLimiterMemory } from "rate-limiter-flexible";

const limiter = new RateLimiterMemory({ points: 5, duration: 0 });
await limiter.consume("job", 3);
await assert.rejects(limiter.consume("job", 3), { consumedPoints: 6 });
await assert.rejects(limiter.consume("job", 2), { consumedPoints: 8 });
