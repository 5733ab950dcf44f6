// What a client is made of, and what it tells.

import type { SavedPositions } from "./positions.js";
import type { ConversationNews, Events } from "./protocol.js";
import type { GetToken } from "./tokens.js";

/** Settings of a client; times are milliseconds. */
export interface Options {
  /** Where the server is: `wss://chat.example.com`. */
  url: string;
  /** Returns the user's token. Called when there is none, and when one is refused or nearly over. */
  getToken: GetToken;
  /** What `client.positions` was earlier; without it `sync` tells of every conversation. */
  positions?: SavedPositions;
  /** Messages of a conversation then, 1 to 200; 200. Small is cheap. */
  firstLimit?: number;
  /** Messages of a conversation that may be missed without `resync`, 1 to 200; 200. */
  syncLimit?: number;
  /** Messages that may wait to be stored; 1000. */
  maxOutbox?: number;
  /** The longest pause before the second try; 1000. It doubles with each try. */
  firstPause?: number;
  /** The longest pause; 30 000. */
  longestPause?: number;
  /** How often the server is asked for a sign of life; 20 000. */
  heartbeat?: number;
  /** How long a handshake, an answer, or a sign of life may take; 10 000. */
  patience?: number;
  /** Opens a socket; `new WebSocket(url)`. */
  createSocket?: (url: string) => WebSocket;
}

/** What the client is doing. */
export type State =
  /** Nothing: it was not told to connect yet. */
  | { name: "idle" }
  /** It fetches a token and opens a socket. */
  | { name: "connecting"; attempt: number }
  | { name: "authenticating" }
  /** It is logged in, and asks what it missed. Commands are answered already. */
  | { name: "syncing" }
  | { name: "online" }
  /** It tries again at `retryAt` (milliseconds since 1970). */
  | { name: "waiting"; attempt: number; retryAt: number; code: number; reason: string }
  /** It was closed, or gave up: the same again would fail again. `connect` tries all the same. */
  | { name: "closed"; code: number; reason: string };

/** A text message as it crossed the wire. */
export interface Frame {
  direction: "in" | "out";
  text: string;
}

/** Something between what the client had and `news` is missing: read the history again. */
export interface Resync {
  conversationId: string;
  news: ConversationNews;
}

/**
 * Everything that can be listened to: the events of the protocol, answers included, and these.
 *
 * `presence_changes` is told as `user_online` and `user_offline`, one for each user.
 */
export type ClientEvents = Omit<Events, "presence_changes"> & {
  state: State;
  /** What was missed in one conversation, folded to the latest state. */
  sync: ConversationNews;
  resync: Resync;
  /** A group that the user is no longer in. */
  left: { conversationId: string };
  frame: Frame;
};

export const DEFAULTS = {
  firstLimit: 200,
  syncLimit: 200,
  maxOutbox: 1000,
  firstPause: 1000,
  longestPause: 30_000,
  heartbeat: 20_000,
  patience: 10_000,
  createSocket: (url: string): WebSocket => new WebSocket(url),
};
