// What only a browser has: it knows when the network comes back, and when somebody looks again.
import { equal, lost, online, test, until } from "./harness.mjs";

test("it tries at once when the network is back", async (scene) => {
  const ann = await scene.join(undefined, { firstPause: 1e9, longestPause: 1e9 });
  await ann.wire.cut();
  await lost(ann);
  await ann.wire.mend();
  dispatchEvent(new Event("online"));
  await online(ann);
});

test("it asks the server for a sign of life when the network changes or somebody looks", async (scene) => {
  const ann = await scene.join();
  let pongs = 0;
  ann.client.on("pong", () => pongs++);
  dispatchEvent(new Event("offline"));
  await until(() => pongs === 1);
  document.dispatchEvent(new Event("visibilitychange"));
  await until(() => pongs === 2);
  ann.client.close();
  dispatchEvent(new Event("online"));
  equal(ann.client.state.name, "closed");
});
