// What the client does while all is well.
import { judgeClose } from "../dist/index.js";
import { equal, failure, heard, ok, online, test, until } from "./harness.mjs";

test("goes through its states until it is online", async (scene) => {
  const { of } = await scene.join();
  equal(
    of("state").map(({ name }) => name),
    ["connecting", "authenticating", "syncing", "online"],
  );
});

test("a promise is kept once the message is stored, and others hear of it", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const sent = await ann.client.request("send_private_message", {
    recipientId: ben.user,
    content: "hello",
  });
  equal(
    [sent.type, sent.message.content, sent.message.senderId],
    ["message_sent", "hello", ann.user],
  );
  await until(() => heard(ben).length);
  equal(heard(ben), ["hello"]);
});

test("answers come to listeners as well", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const found = [];
  ann.client.on("message_edited", ({ message }) => found.push(message.content));
  const { messageId } = await ann.client.request("send_private_message", {
    recipientId: ben.user,
    content: "hello",
  });
  await ann.client.request("edit_message", { messageId, content: "hello, Ben" });
  equal(found, ["hello, Ben"]);
});

test("a listener that was removed hears nothing more", async (scene) => {
  const ann = await scene.join();
  let pongs = 0;
  const remove = ann.client.on("pong", () => pongs++);
  await ann.client.request("ping");
  remove();
  await ann.client.request("ping");
  equal(pongs, 1);
});

test("a command that is refused rejects with code and field", async (scene) => {
  const ann = await scene.join();
  const empty = await failure(
    ann.client.request("send_private_message", { recipientId: "2", content: " " }),
  );
  equal([empty.name, empty.code, empty.field], ["ChatError", "VALIDATION_ERROR", "content"]);
  const missing = await failure(ann.client.request("get_group_info", { groupId: "none" }));
  equal(missing.code, "RESOURCE_NOT_FOUND");
  equal(ann.client.waiting, []);
});

test("typing is sent and not waited for", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  const found = [];
  ben.client.on("user_typing", ({ userId, isTyping }) => found.push([userId, isTyping]));
  await ann.client.request("typing", { recipientId: ben.user, isTyping: true });
  await until(() => found.length);
  equal(found, [[ann.user, true]]);
});

test("users who come and go are told one by one, oneself is not", async (scene) => {
  const ann = await scene.client(scene.user());
  const [told, batches] = [[], []];
  for (const type of ["user_online", "user_offline"]) {
    ann.client.on(type, ({ user }) => told.push(`${type} ${user.userId}`));
  }
  ann.client.on("frame", ({ text }) => text.includes('"presence_changes"') && batches.push(text));
  await until(() => batches.some((text) => text.includes(`"${ann.user}"`)));
  const ben = await scene.join();
  await until(() => told.includes(`user_online ${ben.user}`));
  ben.client.close();
  await until(() => told.includes(`user_offline ${ben.user}`));
  ok(!told.includes(`user_online ${ann.user}`));
});

test("the first catching up brings every conversation", async (scene) => {
  const [ann, ben] = [await scene.join(), scene.user()];
  await ann.client.request("send_private_message", { recipientId: ben, content: "one" });
  const late = await scene.join(ben);
  const [news] = late.of("sync");
  equal([news.unreadCount, news.messages.map(({ content }) => content)], [1, ["one"]]);
  equal(late.of("resync"), []);
});

test("the first catching up is as large as wanted", async (scene) => {
  const [ann, ben] = [await scene.join(), scene.user()];
  for (const content of ["one", "two", "three"]) {
    await ann.client.request("send_private_message", { recipientId: ben, content });
  }
  const late = await scene.join(ben, { firstLimit: 1 });
  equal(
    late.of("sync").map(({ complete, messages }) => [complete, messages.map((m) => m.content)]),
    [[false, ["three"]]],
  );
  equal(late.of("resync"), []);
});

test("the next client goes on where the last one stopped", async (scene) => {
  const [ann, ben] = [await scene.join(), await scene.join()];
  await ann.client.request("send_private_message", { recipientId: ben.user, content: "one" });
  await until(() => heard(ben).length);
  const positions = JSON.parse(JSON.stringify(ben.client.positions));
  ben.client.close();
  await ann.client.request("send_private_message", { recipientId: ben.user, content: "two" });
  equal(heard(await scene.join(ben.user, { positions })), ["two"]);
});

test("positions that the server cannot read are forgotten", async (scene) => {
  const positions = { conversations: { conv_1_2: { seq: -1, rev: 1 } } };
  const ann = await scene.join(scene.user(), { positions });
  equal(ann.client.positions.conversations, {});
});

test("frames are shown as they crossed the wire", async (scene) => {
  const ann = await scene.join();
  const frames = [];
  ann.client.on("frame", ({ direction, text }) => {
    const { type } = JSON.parse(text);
    if (type !== "presence_changes") frames.push([direction, type]); // of other cases
  });
  await ann.client.request("ping");
  equal(frames, [
    ["out", "ping"],
    ["in", "pong"],
  ]);
});

test("commands without a session are rejected, messages wait", async (scene) => {
  const [ann, ben] = [await scene.client(scene.user()), await scene.join()];
  ann.client.close();
  equal((await failure(ann.client.request("ping"))).code, "NOT_CONNECTED");
  const sent = ann.client.request("send_private_message", { recipientId: ben.user, content: "x" });
  equal(ann.client.waiting.length, 1);
  ann.client.connect();
  equal((await sent).type, "message_sent");
});

test("the outbox has a bound, and closing empties it", async (scene) => {
  const one = await scene.client(scene.user(), { maxOutbox: 2 });
  one.client.close();
  const send = () => one.client.request("send_private_message", { recipientId: "2", content: "x" });
  const kept = [failure(send()), failure(send())];
  equal((await failure(send())).code, "OUTBOX_FULL");
  one.client.close();
  equal(
    (await Promise.all(kept)).map(({ code }) => code),
    ["CLOSED", "CLOSED"],
  );
  equal(one.client.waiting, []);
});

test("closing rejects what waits for an answer", async (scene) => {
  const ann = await scene.join();
  await ann.wire.freeze();
  const asked = failure(ann.client.request("ping"));
  ann.client.close();
  equal((await asked).code, "CLOSED");
});

test("close and connect again", async (scene) => {
  const ann = await scene.join();
  ann.client.close();
  equal(ann.client.state.name, "closed");
  ann.client.connect();
  await online(ann);
});

test("close codes are judged as documented", async (scene) => {
  const rows = JSON.parse(await scene.post("/close-codes"));
  ok(rows.length > 10);
  for (const { code, reason, final, at_once: atOnce, least } of rows) {
    const verdict = { final, floor: least * 1000, atOnce };
    equal([code, reason, judgeClose(code, reason)], [code, reason, verdict]);
  }
});
