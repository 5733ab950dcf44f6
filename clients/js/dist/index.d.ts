export { createClient, newId, type Client } from "./client.js";
export { judgeClose, type Verdict } from "./closing.js";
export { ChatError, type ErrorCode } from "./errors.js";
export type { ClientEvents, Frame, Options, Resync, State } from "./options.js";
export type { Outgoing } from "./outbox.js";
export type { SavedPositions } from "./positions.js";
export type * from "./protocol.js";
export type { GetToken } from "./tokens.js";
