// The cases in a browser; the outcome is in `window.outcome`: `{passed, failed: [text]}`.
import "./cases.mjs";
import "./trouble.mjs";
import "./window.mjs";
import { cases, runCase } from "./harness.mjs";

const FIRST_USER = 501; // those below are for Node
const failed = [];

async function runOne(one) {
  try {
    await runCase(one, location.origin, FIRST_USER + cases.indexOf(one) * 4);
  } catch (error) {
    failed.push(`${one.name}: ${error.stack}`);
  }
}

const together = cases.filter(({ isAlone }) => !isAlone);
const runSome = async () => {
  while (together.length) await runOne(together.shift());
};
await Promise.all([1, 2, 3, 4].map(runSome));
for (const one of cases.filter(({ isAlone }) => isAlone)) await runOne(one);
window.outcome = { passed: cases.length - failed.length, failed };
