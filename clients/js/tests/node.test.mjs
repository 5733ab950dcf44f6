// The cases under Node.
import { suite, test } from "node:test";
import "./cases.mjs";
import "./trouble.mjs";
import { cases, runCase } from "./harness.mjs";

function add(isAlone) {
  cases.forEach((one, number) => {
    if (one.isAlone === isAlone) {
      test(one.name, () => runCase(one, process.env.CONTROL, 1 + number * 4));
    }
  });
}

suite("together", { concurrency: 4 }, () => add(false));
suite("alone", () => add(true));
