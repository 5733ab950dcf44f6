// What the page makes of the news of the server; `make test` runs it under Node.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as rooms from "../src/store/conversations.js";
import { parse, quantile } from "../src/store/figures.js";
import { change, countReactions, merge, react, remove } from "../src/store/messages.js";
import { beginOutage, countDoubles, countNews, report } from "../src/store/outage.js";

const message = (seq, more = {}) => ({
  id: `7-${seq}`,
  seq,
  rev: seq,
  senderId: "2",
  content: `number ${seq}`,
  timestamp: `2024-01-15T10:30:0${seq}.000Z`,
  reactions: [],
  ...more,
});
const news = (more) => ({
  conversationId: "c",
  seq: 0,
  rev: 0,
  messages: [],
  changed: [],
  complete: true,
  readUpTo: {},
  unreadCount: 0,
  hiddenIds: [],
  hidden: false,
  ...more,
});
const conversation = (...messages) => ({ ...rooms.empty("c"), messages });
const seqs = ({ messages }) => messages.map(({ seq }) => seq);

test("messages are kept once, in order, each in its newest state", () => {
  const newer = message(1, { rev: 5, content: "newer" });
  const list = merge([newer, message(3)], [message(2), message(1), message(3)]);
  assert.deepEqual(list, [newer, message(2), message(3)]);
});

test("a change of a message that is not here changes nothing", () => {
  const list = [message(1)];
  assert.deepEqual(change(list, "7-9", { content: "x" }), list);
  assert.deepEqual(react(list, "7-9", "1", { reaction: "x" }, 9), list);
  assert.deepEqual(remove(list, ["7-9"]), list);
});

test("a user has one reaction", () => {
  const give = (list, userId, reaction) =>
    react(list, "7-1", userId, reaction && { userId, username: userId, reaction }, 9);
  let list = give(give([message(1)], "1", "a"), "2", "b");
  list = give(list, "1", "b");
  assert.deepEqual(
    countReactions(list[0].reactions).map(({ reaction, userIds }) => [reaction, userIds]),
    [["b", ["2", "1"]]],
  );
  assert.deepEqual(give(give(list, "1", null), "2", null)[0].reactions, []);
});

test("only a new message of another user counts as unread", () => {
  let one = rooms.addMessage(conversation(), message(1), "1");
  assert.equal(one.unread, 1);
  one = rooms.addMessage(one, message(1), "1");
  one = rooms.addMessage(one, message(2, { senderId: "1" }), "1");
  assert.equal(one.unread, 1);
});

test("news bring new messages, changes and deletions", () => {
  const before = conversation(message(1), message(2), message(3));
  const changed = [
    message(1, { rev: 6, content: "edited" }),
    { id: "7-2", seq: 2, rev: 5, isDeleted: true },
  ];
  const after = rooms.takeNews(before, news({ messages: [message(4)], changed }), "1");
  assert.deepEqual(seqs(after), [1, 3, 4]);
  assert.equal(after.messages[0].content, "edited");
});

test("changes of messages that were not read yet leave no holes", () => {
  const changed = [message(2, { rev: 9 })];
  assert.deepEqual(seqs(rooms.takeNews(conversation(message(5)), news({ changed }), "1")), [5]);
});

test("where something is missing only what came is kept, and there is more", () => {
  const before = conversation(message(1));
  const after = rooms.takeNews(before, news({ messages: [message(8)], complete: false }), "1");
  assert.deepEqual([seqs(after), after.hasMore], [[8], true]);
});

test("what the user removed for himself goes", () => {
  const before = conversation(message(1), message(2), message(3));
  const after = rooms.takeNews(before, news({ hiddenIds: ["7-3"], hiddenUpTo: 1 }), "1");
  assert.deepEqual(seqs(after), [2]);
});

test("reading marks what is before, and counts what is behind", () => {
  const before = { ...conversation(message(1), message(2), message(3)), unread: 3 };
  const read = (readBy) =>
    rooms.apply(before, { type: "message_read", messageId: "7-2", readBy }, "1");
  assert.equal(read("1").unread, 1);
  assert.deepEqual([read("2").readSeq, read("2").unread], [2, 3]);
});

test("an outage counts what came, what is lost and what is doubled", () => {
  const list = (...numbers) => numbers.map((seq) => message(seq));
  const known = new Map([["c", conversation(...list(1, 2))]]);
  const missed = news({ seq: 5, messages: list(3, 5) });
  const outage = countNews(beginOutage(known), missed, list(1, 2, 3, 5), "1");
  assert.deepEqual([outage.came, outage.lost], [2, 1]);
  const twice = [message(1, { clientMessageId: "a" }), message(2, { clientMessageId: "a" })];
  assert.equal(countDoubles(new Map([["c", conversation(...twice)]])), 1);
  assert.match(report(outage, 1), /Caught up with: 2\. Lost: 1\. Doubled: 1\.$/);
});

test("deleted messages are not lost", () => {
  const changed = [{ id: "7-2", seq: 2, rev: 9, isDeleted: true }];
  const missed = news({ seq: 2, changed });
  const known = new Map([["c", conversation(message(1))]]);
  assert.equal(countNews(beginOutage(known), missed, [message(1)], "1").lost, 0);
});

test("the figures of the charts are read from the text of Prometheus", () => {
  const found = parse(
    [
      "# HELP fastchat_messages_stored_total Messages committed",
      "fastchat_messages_stored_total 12.0",
      "fastchat_messages_out_total 30.0",
      'fastchat_worker_connections{worker="1"} 3.0',
      'fastchat_worker_connections{worker="2"} 4.0',
      'fastchat_send_to_ack_seconds_bucket{le="0.01"} 5.0',
      'fastchat_send_to_ack_seconds_bucket{le="+Inf"} 6.0',
    ].join("\n"),
  );
  assert.deepEqual(found, {
    stored: 12,
    delivered: 30,
    workers: [
      ["1", 3],
      ["2", 4],
    ],
    buckets: [
      [0.01, 5],
      [Infinity, 6],
    ],
  });
});

test("a percentile lies within its bucket, and is unknown without observations", () => {
  const buckets = [
    [0.01, 50],
    [0.02, 100],
    [Infinity, 100],
  ];
  assert.equal(quantile(buckets, 0.5), 10);
  assert.equal(quantile(buckets, 0.75), 15);
  assert.equal(
    quantile(
      [
        [0.01, 0],
        [Infinity, 4],
      ],
      0.5,
    ),
    10,
  );
  assert.equal(
    quantile(
      [
        [0.01, 0],
        [Infinity, 0],
      ],
      0.5,
    ),
    null,
  );
});
