// What the client does when the wire is cut, the server silent, or the token over.
import { equal, failure, heard, lost, ok, online, test, until } from "./harness.mjs";

const send = ({ client }, to, content) =>
  client.request("send_private_message", { recipientId: to.user, content });

test("what is sent while the wire is cut arrives once, in order", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const texts = Array.from({ length: 20 }, (_, number) => `number ${number}`);
  const sent = texts.slice(0, 10).map((text) => send(ann, ben, text));
  await ann.wire.cut();
  await lost(ann);
  sent.push(...texts.slice(10).map((text) => send(ann, ben, text)));
  await ann.wire.mend();
  await Promise.all(sent);
  await until(() => heard(ben).length >= texts.length);
  equal(heard(ben), texts);
});

test("however often the wires are cut, each message arrives once, in order", async (scene) => {
  const both = [await scene.join(), await scene.join()];
  const texts = Array.from({ length: 40 }, (_, number) => `number ${number}`);
  const sent = both.flatMap((one, index) => texts.map((text) => send(one, both[1 - index], text)));
  let isOver = false;
  const all = Promise.all(sent).finally(() => (isOver = true));
  for (let cuts = 0; !isOver && cuts < 12; cuts++) {
    const { wire } = both[cuts % 2];
    await (cuts % 3 ? wire.cut() : wire.mute());
    await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
    await wire.cut();
    await wire.mend();
    await new Promise((resolve) => setTimeout(resolve, 60 * Math.random()));
  }
  const answers = await all;
  equal(new Set(answers.map(({ messageId }) => messageId)).size, 2 * texts.length);
  for (const one of both) {
    await until(() => new Set(heard(one)).size === texts.length);
    // Live and by catching up: the same one may come twice, under the same id.
    equal([...new Set(heard(one))], texts);
  }
});

test("a message whose answer was lost is not doubled", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  await ann.wire.mute();
  const sent = send(ann, ben, "once");
  await until(() => heard(ben).length);
  await ann.wire.cut();
  await ann.wire.mend();
  equal((await sent).duplicate, true);
  equal(heard(ben), ["once"]);
  equal(ann.client.waiting, []);
});

test("what was missed comes by catching up, each once", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const { messageId } = await send(ann, ben, "first");
  const second = await send(ann, ben, "second");
  await until(() => heard(ben).length === 2);
  ben.seen.length = 0;
  await ben.wire.cut();
  await lost(ben);
  await ann.client.request("edit_message", { messageId, content: "first, changed" });
  await ann.client.request("delete_message", { messageId: second.messageId });
  await send(ann, ben, "third");
  await ben.wire.mend();
  await online(ben);
  const [news, ...more] = ben.of("sync");
  equal(more, []);
  equal(
    news.messages.map(({ content }) => content),
    ["third"],
  );
  equal(
    news.changed.map(({ content, isDeleted }) => content ?? isDeleted),
    ["first, changed", true],
  );
  // The server keeps such events for whoever is away; what they say is known already.
  equal([...ben.of("message_edited"), ...ben.of("message_deleted")], []);
  equal([news.complete, ben.of("resync"), ben.of("new_private_message")], [true, [], []]);
});

test("what happened while another device was there comes by catching up", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const { messageId } = await send(ann, ben, "first");
  const second = await send(ann, ben, "second");
  await until(() => heard(ben).length === 2);
  await scene.join(ben.user);
  ben.seen.length = 0;
  await ben.wire.cut();
  await lost(ben);
  await ann.client.request("edit_message", { messageId, content: "first, changed" });
  await ann.client.request("delete_message", { messageId: second.messageId });
  await ben.wire.mend();
  await online(ben);
  equal(
    ben.of("sync").flatMap((news) => news.changed.map((one) => one.content ?? one.isDeleted)),
    ["first, changed", true],
  );
  equal(ben.of("message_edited"), []);
});

test("where too much was missed it says that the history must be read again", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join(undefined, { syncLimit: 3 })];
  await send(ann, ben, "before");
  await until(() => heard(ben).length);
  await ben.wire.cut();
  await lost(ben);
  for (const text of ["1", "2", "3", "4"]) await send(ann, ben, text);
  await ben.wire.mend();
  await online(ben);
  const [{ conversationId, news }] = ben.of("resync");
  equal([news.complete, news.messages.map(({ content }) => content)], [false, ["2", "3", "4"]]);
  equal(Object.keys(ben.client.positions.conversations), [conversationId]);
});

test("groups that were left meanwhile are named", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const { groupId } = await ann.client.request("create_group", {
    groupName: "Friends",
    initialMembers: [ben.user],
  });
  await until(() => groupId in ben.client.positions.conversations);
  await ben.wire.cut();
  await lost(ben);
  await ann.client.request("remove_group_member", { groupId, userId: ben.user });
  await ben.wire.mend();
  await online(ben);
  equal(ben.of("left"), [{ conversationId: groupId }]);
  equal(ben.client.positions.conversations, {});
});

test("an event that went missing on a live connection is caught up with", async (scene) => {
  let swallow = 0;
  // A real socket that loses some of what comes.
  const createSocket = (url) => {
    const socket = new WebSocket(url);
    const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
    Object.defineProperty(socket, "onmessage", {
      set: (handler) =>
        set.call(
          socket,
          handler &&
            ((event) => {
              const isLost = swallow && event.data.includes('"new_private_message"');
              if (isLost) swallow--;
              else handler(event);
            }),
        ),
    });
    return socket;
  };
  const [ann, ben] = [await scene.join(), await scene.join(undefined, { createSocket })];
  await send(ann, ben, "one");
  await until(() => heard(ben).length);
  swallow = 1;
  await send(ann, ben, "two");
  await send(ann, ben, "three");
  await until(() => heard(ben).length >= 4);
  // What came behind the gap comes once more: whoever keeps messages by their id has each once.
  equal(heard(ben), ["one", "two", "three", "three"]);
  equal(ben.client.state.name, "online");
});

test("what comes while it catches up is told after that, unless the answer has it", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const order = [];
  for (const type of ["sync", "new_private_message"]) ben.client.on(type, () => order.push(type));
  ben.client.on("frame", ({ text }) => {
    if (text.startsWith('{"type":"new_private_message"')) order.push("frame");
  });
  await ben.wire.cut();
  await lost(ben);
  await send(ann, ben, "missed");
  // Many, so that some come between the log-in and the answer to `sync`.
  const texts = Array.from({ length: 30 }, (_, number) => `live ${number}`);
  const sent = texts.map((text) => send(ann, ben, text));
  await ben.wire.mend();
  await Promise.all(sent);
  await until(() => heard(ben).length > texts.length);
  equal(heard(ben), ["missed", ...texts]);
  const first = order.indexOf("new_private_message");
  ok(first < 0 || order.indexOf("sync") < first, order.join());
});

test("a silent server is given up and found again", async (scene) => {
  const [ann, ben] = [
    await scene.join(undefined, { heartbeat: 50, patience: 200 }),
    await scene.join(),
  ];
  await ann.wire.freeze();
  equal((await lost(ann)).code, 1006);
  const sent = send(ann, ben, "still here");
  await ann.wire.mend();
  await sent;
  await online(ann);
});

test("pauses grow to a bound, with chance in them", async (scene) => {
  const pauses = [];
  const one = await scene.client(scene.user(), {
    firstPause: 4,
    longestPause: 16,
    createSocket: () => {
      throw new Error("no network");
    },
  });
  one.client.on("state", ({ name, retryAt, attempt, reason }) => {
    if (name === "waiting") pauses.push([attempt, retryAt - Date.now(), reason]);
  });
  await until(() => pauses.length >= 12);
  pauses.forEach(([attempt, pause, reason]) => {
    equal(reason, "no network");
    ok(pause <= Math.min(16, 4 * 2 ** (attempt - 1)), `try ${attempt}: ${pause} ms`);
  });
  ok(new Set(pauses.map(([, pause]) => Math.round(pause * 1000))).size > 3);
});

test("after a final close code it stops, and says why", async (scene) => {
  let socket;
  const createSocket = (url) => (socket = new WebSocket(url));
  const ann = await scene.join(undefined, { createSocket });
  socket.send(new Uint8Array([1]));
  await until(() => ann.client.state.name === "closed");
  equal(ann.client.state.code, 1003);
  ann.client.connect();
  await online(ann);
});

test("a message that is too large is refused, and the next one sent", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const large = failure(send(ann, { user: "200" }, "x".repeat(1_100_000)));
  const small = send(ann, ben, "small");
  equal((await large).code, "VALIDATION_ERROR");
  await small;
  await until(() => heard(ben).length);
  equal(heard(ben), ["small"]);
});

test("a token that is refused is replaced once", async (scene) => {
  const user = scene.user();
  let calls = 0;
  const getToken = () => (++calls === 1 ? "not.a.token" : scene.token(user));
  await scene.join(user, { getToken });
  equal(calls, 2);
});

test("when the new token is refused too it stops", async (scene) => {
  let calls = 0;
  const one = await scene.client("1", { getToken: () => `not.a.token${++calls}` });
  await until(() => one.client.state.name === "closed");
  equal([one.client.state.code, one.client.state.reason], [1008, "The token is malformed."]);
  equal(calls, 2);
});

test("a token that cannot be had is asked for again", async (scene) => {
  const user = scene.user();
  let calls = 0;
  const getToken = async () => {
    if (++calls < 3) throw new Error("the backend is away");
    return scene.token(user);
  };
  const one = await scene.join(user, { getToken });
  equal(
    one
      .of("state")
      .filter(({ name }) => name === "waiting")
      .map(({ reason }) => reason),
    ["the backend is away", "the backend is away"],
  );
});

test("however many need a token, it is fetched once", async (scene) => {
  const user = scene.user();
  let calls = 0;
  let give;
  const getToken = () => {
    calls++;
    return new Promise((resolve) => (give = resolve));
  };
  const one = await scene.client(user, { getToken });
  for (let times = 0; times < 3; times++) {
    one.client.close();
    one.client.connect();
  }
  give(await scene.token(user));
  await online(one);
  equal(calls, 1);
});

test("the token is replaced before the session ends", async (scene) => {
  const user = scene.user();
  const one = await scene.join(user, { getToken: () => scene.token(user, "?expires=3") });
  let refreshed = 0;
  // The server says so only on a live session.
  one.client.on("token_refreshed", () => refreshed++);
  await until(() => refreshed);
});

test("after a session was revoked it comes back with another token", async (scene) => {
  const user = scene.user();
  let calls = 0;
  const getToken = () => scene.token(user, ++calls === 1 ? `?jti=gone-${user}-${Date.now()}` : "");
  const one = await scene.join(user, { getToken });
  await scene.post(`/revoked/${user}`);
  await lost(one);
  await online(one);
  equal(calls, 2);
});

test(
  "what could not be stored or checked is tried again when the server said",
  async (scene) => {
    const [ann, ben] = [await scene.join(), await scene.join()];
    const refused = [];
    ann.client.on("error", ({ code, retryAfter }) => refused.push([code, retryAfter, Date.now()]));
    await scene.post("/database/cut");
    const sent = send(ann, ben, "in the end");
    await until(() => refused.length);
    const late = await scene.client(scene.user());
    const told = [];
    late.client.on("auth_error", ({ code, retryAfter }) =>
      told.push([code, retryAfter, Date.now()]),
    );
    const { retryAt } = await lost(late);
    const [[code, retryAfter, at]] = told;
    ok(code === "SERVICE_UNAVAILABLE" && retryAt >= at + retryAfter * 1000);
    await scene.post("/database/mend");
    const sendings = [];
    ann.client.on("frame", ({ direction, text }) => {
      if (direction === "out" && text.includes("in the end")) sendings.push(Date.now());
    });
    // What the server asked for holds on the next connection, too.
    const end = refused.at(-1)[2] + refused.at(-1)[1] * 1000;
    await ann.wire.cut();
    await lost(ann);
    await ann.wire.mend();
    await sent;
    ok(sendings[0] >= end || refused.length > 1, `sent ${end - sendings[0]} ms too early`);
    await online(late);
    await until(() => heard(ben).length);
    equal(heard(ben), ["in the end"]);
    equal(refused[0][0], "SERVICE_UNAVAILABLE");
    ok(refused.length < 2 || refused[1][2] >= refused[0][2] + refused[0][1] * 1000);
  },
  { isAlone: true },
);

test(
  "when a worker is replaced it comes back when it was told to",
  async (scene) => {
    const ann = await scene.join();
    const told = [];
    ann.client.on("server_draining", ({ retryAfter }) => told.push([retryAfter, Date.now()]));
    await scene.post("/restart");
    const first = await lost(ann);
    const [[retryAfter, at]] = told;
    equal(first.code, 1001);
    ok(first.retryAt >= at + retryAfter * 1000);
    await online(ann);
  },
  { isAlone: true },
);
