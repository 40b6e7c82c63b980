#!/usr/bin/env bash
# A limit of two calls in 30 days lets ten of ten through within a tenth of a second, in four packages for Node.
# Packages: rate-limiter-flexible@11.4.0, p-queue@9.3.5, p-throttle@8.1.1, async-sema@3.1.1; beside them, as the limit
#   should work: limiter@4.1.0, bottleneck@2.19.5
# Expected: each keeps its count for 30 days, or refuses a window that it cannot keep.
# Happens: the windows end by a timer, a timer of Node holds at most 2^31 - 1 milliseconds (24.8 days), and a longer one
#   fires after a millisecond. Nothing is raised; Node prints a TimeoutOverflowWarning. With 24 days all but p-throttle
#   keep two; that one makes calls wait in a queue, and the fifth of them would wait for 48 days.
# Why it matters for a budget: a daily or weekly cap works, and the same line with a month in it is no cap at all.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund rate-limiter-flexible@11.4.0 p-queue@9.3.5 p-throttle@8.1.1 async-sema@3.1.1 \
  limiter@4.1.0 bottleneck@2.19.5

cat >run.mjs <<'JS'
import { RateLimit } from "async-sema";
import Bottleneck from "bottleneck";
import { RateLimiter } from "limiter";
import PQueue from "p-queue";
import pThrottle from "p-throttle";
import { RateLimiterMemory } from "rate-limiter-flexible";

const DAY = 86_400_000;
const CAP = 2;
const CALLS = 10;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Each way takes a window and returns a function that makes one call when the limit allows it.
const ways = {
  "rate-limiter-flexible": (window) => {
    const limit = new RateLimiterMemory({ points: CAP, duration: window / 1000 });
    return (call) => limit.consume("team").then(call);
  },
  "p-queue": (window) => {
    const queue = new PQueue({ interval: window, intervalCap: CAP });
    return (call) => queue.add(call);
  },
  "p-throttle": (window) => {
    const throttle = pThrottle({ limit: CAP, interval: window });
    return (call) => throttled(throttle, call);
  },
  "async-sema": (window) => {
    const limit = RateLimit(CAP, { timeUnit: window });
    return (call) => limit().then(call);
  },
  limiter: (window) => {
    const limit = new RateLimiter({ tokensPerInterval: CAP, interval: window, fireImmediately: false });
    return (call) => limit.tryRemoveTokens(1) && call();
  },
  bottleneck: (window) => {
    const limit = new Bottleneck({ reservoir: CAP, reservoirRefreshInterval: window, reservoirRefreshAmount: CAP });
    return (call) => limit.schedule(async () => call());
  },
};

let shared;
let current;
function throttled(throttle, call) {
  if (current !== throttle) {
    current = throttle;
    shared = throttle((work) => work());
  }
  return shared(call);
}

const seen = {};
for (const days of [24, 30]) {
  for (const [name, way] of Object.entries(ways)) {
    const make = way(days * DAY);
    let made = 0;
    for (let i = 0; i < CALLS; i++) {
      Promise.resolve(make(() => { made += 1; })).catch(() => {});
      await pause(5);
    }
    await pause(50);
    (seen[name] ??= []).push(made);
    console.log(`${name}: ${made} of ${CALLS} calls under a limit of ${CAP} in ${days} days`);
  }
}
const wanted = {
  "rate-limiter-flexible": [2, 10], "p-queue": [2, 10], "p-throttle": [8, 10], "async-sema": [2, 10],
  limiter: [2, 2], bottleneck: [2, 2],
};
const same = JSON.stringify(seen) === JSON.stringify(wanted);
console.log(same ? "as described" : `changed: ${JSON.stringify(seen)}`);
process.exit(same ? 0 : 1);
JS

node --no-warnings run.mjs
