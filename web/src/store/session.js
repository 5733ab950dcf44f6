// One user's session in a pane: the client, and all that the pane shows, as signals.
import { computed, signal } from "@preact/signals";
import { createClient, newId } from "fastchat-client";
import * as rooms from "./conversations.js";
import { Frames } from "./frames.js";
import { beginOutage, countDoubles, countNews, report } from "./outage.js";
import { Wire } from "./wire.js";

const TYPING_LASTS = 4000; // milliseconds; the server ends it after 3 s of silence
const FIRST_PAUSE = 500;

export class Session {
  me = signal(null); // {userId, username, displayName}
  state = signal({ name: "idle" });
  conversations = signal(new Map());
  selected = signal(null); // id of a conversation
  outgoing = signal([]); // {clientMessageId, conversationId, content, replyTo, error, fields}
  online = signal(new Map()); // user id → {userId, username, displayName}
  announcement = signal(""); // for screen readers
  notice = signal(null); // {text, isError}
  drafts = new Map(); // conversation id → what was begun and not sent
  wire = new Wire();
  frames = new Frames();
  #acquaintances; // {userId, username, displayName}, known before anybody was met
  #outage = null;
  #typingTimers = new Map();
  #wasOnline = false;

  list = computed(() => rooms.inOrder(this.conversations.value));
  current = computed(() => this.conversations.value.get(this.selected.value) ?? null);
  unread = computed(() => this.list.value.reduce((sum, { unread }) => sum + unread, 0));
  people = computed(() => this.#knownPeople());

  /** `onFirstOnline` is called once, when all conversations and names are there. */
  constructor({ url, getToken, me = null, acquaintances = [], onFirstOnline }) {
    this.onFirstOnline = onFirstOnline;
    this.#acquaintances = acquaintances;
    this.me.value = me;
    this.client = createClient({
      url,
      getToken,
      createSocket: this.wire.open,
      firstPause: FIRST_PAUSE,
    });
    this.#listen();
    this.client.connect();
  }

  /** Send a command; a failure is shown, and undefined returned. */
  async ask(type, fields) {
    try {
      return await this.client.request(type, fields);
    } catch (error) {
      this.say(error.message, true);
    }
  }

  say(text, isError = false) {
    this.notice.value = { text, isError };
    this.announcement.value = text;
  }

  /** Send a message to a conversation; it is shown as pending until it is stored. */
  send(conversation, content, replyTo) {
    const fields = {
      clientMessageId: newId(),
      content,
      ...(replyTo && { replyToMessageId: replyTo.id }),
      ...(conversation.group
        ? { groupId: conversation.group.groupId }
        : { recipientId: conversation.person.userId }),
    };
    const { clientMessageId } = fields;
    const conversationId = conversation.id;
    const one = { clientMessageId, conversationId, content, replyTo, fields, error: null };
    this.outgoing.value = [...this.outgoing.value, one];
    this.#post(one);
  }

  async #post({ clientMessageId, fields }) {
    const type = fields.groupId ? "send_group_message" : "send_private_message";
    try {
      await this.client.request(type, fields);
    } catch (error) {
      this.outgoing.value = this.outgoing.value.map((one) =>
        one.clientMessageId === clientMessageId ? { ...one, error: error.message } : one,
      );
    }
  }

  /** Try a message that failed once more; the same id, so it is stored once whatever happened. */
  sendAgain(one) {
    this.outgoing.value = this.outgoing.value.map((other) =>
      other === one ? { ...one, error: null } : other,
    );
    this.#post(one);
  }

  discard(one) {
    this.outgoing.value = this.outgoing.value.filter((other) => other !== one);
  }

  cut() {
    this.#outage = beginOutage(this.conversations.value);
    this.wire.cut();
  }

  mend() {
    this.wire.mend();
    this.client.connect();
  }

  close() {
    this.client.close();
  }

  /** Change what is known of a conversation; one that is new is looked up. */
  patch(id, change) {
    const known = this.conversations.value.get(id);
    const next = new Map(this.conversations.value);
    next.set(id, change(known ?? rooms.empty(id)));
    this.conversations.value = next;
  }

  drop(id) {
    const next = new Map(this.conversations.value);
    next.delete(id);
    this.conversations.value = next;
    if (this.selected.value === id) this.selected.value = null;
  }

  #listen() {
    const { client } = this;
    client.on("frame", (frame) => this.frames.add(frame));
    client.on("state", (state) => this.#onState(state));
    client.on("connected", ({ user }) => user && (this.me.value = user));
    client.on("sync", (news) => this.#onNews(news));
    client.on("resync", ({ conversationId }) => this.#announceResync(conversationId));
    client.on("left", ({ conversationId }) => this.drop(conversationId));
    for (const type of ["new_private_message", "new_group_message"]) {
      client.on(type, ({ message }) => this.#onMessage(message, true));
    }
    for (const type of ["message_sent", "group_message_sent", "announcement_sent"]) {
      client.on(type, ({ message }) => this.#onMessage(message, false));
    }
    for (const type of rooms.CHANGES) client.on(type, (event) => this.#onChange(event));
    client.on("group_created", (event) => this.#onGroup(event));
    client.on("member_added", (event) => this.#onMemberAdded(event));
    client.on("group_deleted", ({ groupId }) => this.drop(groupId));
    client.on("user_online", ({ user }) => this.#setOnline(user, true));
    client.on("user_offline", ({ user }) => this.#setOnline(user, false));
    client.on("error", (error) => error.requestId ?? this.say(error.details, true));
  }

  #onState(state) {
    const before = this.state.value.name;
    this.state.value = state;
    if (state.name === "waiting" && before !== "waiting") {
      if (before === "online") this.announcement.value = "Connection lost.";
      if (before === "online") this.#outage ??= beginOutage(this.conversations.value);
    }
    if (state.name === "closed" && state.code !== 1000)
      this.say(`Not connected: ${state.reason || state.code}`, true);
    if (state.name === "online") this.#onOnline();
  }

  async #onOnline() {
    await Promise.all([this.#readNames(), this.#readOnline()]);
    if (!this.#wasOnline) this.onFirstOnline?.();
    this.#wasOnline = true;
    if (!this.#outage) return;
    // What waited is being stored now; the report is made when all of it is.
    const end = this.outgoing.value.filter(({ error }) => !error).length;
    if (end) await new Promise((resolve) => this.#whenStored(resolve));
    const text = report(this.#outage, countDoubles(this.conversations.value));
    this.#outage = null;
    this.say(text);
  }

  #whenStored(resolve) {
    const stop = this.outgoing.subscribe((list) => {
      if (list.some(({ error }) => !error)) return;
      queueMicrotask(() => stop());
      resolve();
    });
  }

  /** `sync` names no users of direct conversations; this does. */
  async #readNames() {
    const found = await this.ask("get_conversations", { limit: 200 });
    for (const { conversationId, participant, group, lastMessage } of found?.conversations ?? []) {
      this.patch(conversationId, (one) => ({
        ...one,
        person: participant ?? null,
        group: group ? { ...group, ...one.group } : one.group,
        at: one.at || lastMessage.timestamp,
      }));
    }
  }

  async #readOnline() {
    const found = await this.ask("get_online_users", {});
    if (found) this.online.value = new Map(found.users.map((user) => [user.userId, user]));
  }

  #setOnline(user, isOnline) {
    const next = new Map(this.online.value);
    if (isOnline) next.set(user.userId, user);
    else next.delete(user.userId);
    this.online.value = next;
  }

  #onNews(news) {
    const id = news.conversationId;
    const me = this.me.value.userId;
    const isNew = !this.conversations.value.has(id);
    if (isNew && news.hidden) return;
    this.patch(id, (one) => rooms.takeNews(one, news, me));
    for (const message of news.messages) this.#settle(message);
    const after = this.conversations.value.get(id).messages;
    if (this.#outage) this.#outage = countNews(this.#outage, news, after, me);
    if (isNew && news.groupId && !news.members) this.readMembers(id);
  }

  #announceResync(id) {
    const name = rooms.title(this.conversations.value.get(id));
    this.say(`Much has happened in ${name}: its history was read again.`);
  }

  #onMessage(message, isForeign) {
    const id = message.conversationId;
    const isUnknown = !this.conversations.value.has(id);
    this.patch(id, (one) => rooms.addMessage(one, message, this.me.value.userId));
    this.#settle(message);
    if (isForeign) this.announcement.value = `${message.username}: ${message.content}`;
    if (isUnknown) this.#readNames();
  }

  /** A message of one's own is stored: it is pending no more. */
  #settle({ clientMessageId }) {
    if (!clientMessageId) return;
    const rest = this.outgoing.value.filter((one) => one.clientMessageId !== clientMessageId);
    if (rest.length === this.outgoing.value.length) return;
    if (this.#outage) this.#outage = { ...this.#outage, sent: this.#outage.sent + 1 };
    this.outgoing.value = rest;
  }

  #onChange(event) {
    const { type, userId, conversationId } = event;
    const me = this.me.value.userId;
    if ((type === "member_removed" || type === "member_left") && userId === me) {
      return this.drop(conversationId);
    }
    if (!this.conversations.value.has(conversationId)) return;
    this.patch(conversationId, (one) => rooms.apply(one, event, me));
    if (type === "user_typing") this.#watchTyping(event);
  }

  #watchTyping(event) {
    const key = `${event.conversationId} ${event.userId}`;
    clearTimeout(this.#typingTimers.get(key));
    if (!event.isTyping) return;
    const timer = setTimeout(() => this.#onChange({ ...event, isTyping: false }), TYPING_LASTS);
    this.#typingTimers.set(key, timer);
  }

  #onGroup({ groupId, group, members }) {
    this.patch(groupId, (one) => ({ ...one, group, members, at: one.at || group.createdAt }));
  }

  async #onMemberAdded({ groupId, userId }) {
    await this.readMembers(groupId);
    if (userId === this.me.value.userId) {
      this.say(`You are in the group ${rooms.title(this.conversations.value.get(groupId))} now.`);
    }
  }

  /** Read who is in a group, and what it is called. */
  async readMembers(groupId) {
    const [info, found] = await Promise.all([
      this.ask("get_group_info", { groupId }),
      this.ask("get_group_members", { groupId }),
    ]);
    if (!info || !found) return;
    const { members } = found;
    this.patch(groupId, (one) => ({
      ...one,
      group: info.group,
      members,
      at: one.at || info.group.createdAt,
    }));
  }

  /** Everybody whom this user has met or sees online, by name. */
  #knownPeople() {
    const found = new Map(this.#acquaintances.map((one) => [one.userId, one]));
    for (const one of this.online.value.values()) found.set(one.userId, one);
    for (const { person, members } of this.conversations.value.values()) {
      for (const one of person ? [person] : members) found.set(one.userId, one);
    }
    found.delete(this.me.value?.userId);
    return [...found.values()].sort((a, b) => a.displayName.localeCompare(b.displayName));
  }
}
