// The commands and events of the protocol. Written by generate.py from the schema; not by hand.

/** What a user sees of himself. */
export interface Account {
  userId: string;
  username: string;
  displayName: string;
  id: string;
  email: string | null;
  firstName: string | null;
  lastName: string | null;
}

/** Say which queued events have arrived; ids that are none are passed over. */
export interface AckEvents {
  eventIds: (string | number)[];
}

/** Take a user into a group. */
export interface AddGroupMember {
  groupId: string | number;
  userId: string | number;
}

/** React to a message; the same reaction once more takes it back. */
export interface AddReaction {
  messageId: string | number;
  reaction?: string;
  conversationId?: string | number;
}

/** The announcement is durable, and pinned. */
export interface AnnouncementSent {
  type: "announcement_sent";
  messageId: string;
  message: Message;
  clientMessageId?: string;
  duplicate?: true;
  requestId?: string;
}

/** The token was refused, or the session ended. */
export interface AuthError {
  type: "auth_error";
  message: string;
  details: string;
  code: "AUTH_FAILED" | "SERVICE_UNAVAILABLE" | "SESSION_EXPIRED" | "SESSION_REVOKED";
  /** seconds until another try makes sense */
  retryAfter?: number;
  requestId?: string;
}

/** Log in, or extend a live session. Whatever is wrong with the token is an `auth_error`. */
export interface Authenticate {
  token?: unknown;
  acks?: boolean;
  presenceBatches?: boolean;
}

/** The session exists; so many events that waited for the user came before. */
export interface Connected {
  type: "connected";
  clientId: string;
  user: Account;
  queuedEvents: number;
  /** ISO 8601, UTC, with milliseconds */
  timestamp: string;
  requestId?: string;
}

/** A conversation in a list: with another user, or a group. */
export interface Conversation {
  conversationId: string;
  participant?: Person;
  group?: ListedGroup;
  lastMessage: Message;
  unreadCount: number;
  /** position in the conversation: 1, 2, 3 … */
  seq: number;
  /** number of the last change of the conversation */
  rev: number;
}

/** The user hid what a conversation held. */
export interface ConversationDeleted {
  type: "conversation_deleted";
  conversationId: string;
  requestId?: string;
}

/** What is new in one conversation. */
export interface ConversationNews {
  conversationId: string;
  groupId?: string;
  /** position in the conversation: 1, 2, 3 … */
  seq: number;
  /** number of the last change of the conversation */
  rev: number;
  messages: Message[];
  changed: (Message | Tombstone)[];
  complete: boolean;
  readUpTo: Record<string, number>;
  unreadCount: number;
  hiddenIds: string[];
  hidden: boolean;
  /** position in the conversation: 1, 2, 3 … */
  hiddenUpTo?: number;
  group?: Group;
  members?: Member[];
}

/** The conversation with another user, and its newest messages, the oldest first. */
export interface ConversationStarted {
  type: "conversation_started";
  conversationId: string;
  participant: Participant;
  messages: Message[];
  requestId?: string;
}

/** A page of one's conversations, the newest first. */
export interface Conversations {
  type: "conversations";
  conversations: Conversation[];
  pagination: ListPagination;
  requestId?: string;
}

/** Make a group with some members; its creator owns it. */
export interface CreateGroup {
  groupName: string;
  groupDescription?: string;
  initialMembers?: (string | number)[];
  maxMembers?: number;
}

/** Hide what a conversation holds now from oneself. */
export interface DeleteConversation {
  conversationId: string | number;
}

/** Delete a group; nobody is in it any more. */
export interface DeleteGroup {
  groupId: string | number;
}

/** Delete a message, for everyone or for oneself. */
export interface DeleteMessage {
  messageId: string | number;
  conversationId?: string | number;
  deleteForEveryone?: boolean;
}

/** Make an admin a member again. */
export interface DemoteMember {
  groupId: string | number;
  userId: string | number;
}

/** Replace the content of an own message. */
export interface EditMessage {
  messageId: string | number;
  content?: string;
  conversationId?: string | number;
}

/** What an edit changed. */
export interface EditedMessage {
  id: string;
  content: string;
  /** ISO 8601, UTC, with milliseconds */
  editedAt: string;
}

/** A command was refused; `code` is for programs, the sentences are for people. */
export interface Refusal {
  type: "error";
  message: string;
  details: string;
  code: "AUTH_REQUIRED" | "EDIT_WINDOW_EXPIRED" | "GROUP_FULL" | "INTERNAL_ERROR" | "INVALID_JSON" | "MAX_CONNECTIONS_EXCEEDED" | "OWNER_CANNOT_LEAVE" | "PERMISSION_DENIED" | "RATE_LIMIT_EXCEEDED" | "RESOURCE_NOT_FOUND" | "SERVICE_UNAVAILABLE" | "UNKNOWN_TYPE" | "USER_BLOCKED" | "VALIDATION_ERROR";
  field?: string;
  /** seconds until another try makes sense */
  retryAfter?: number;
  requiresAuth?: true;
  errorId?: string;
  requestId?: string;
}

/** So many queued events had not been acknowledged before. */
export interface EventsAcked {
  type: "events_acked";
  count: number;
  requestId?: string;
}

/** All members are named in a message. */
export interface EveryoneMention {
  type: "everyone";
}

/** Ask for one's conversations, the newest first; `before` is the last one of a page. */
export interface GetConversations {
  limit?: number;
  before?: string | number;
}

/** Ask what a group is called, and how large it is. */
export interface GetGroupInfo {
  groupId: string | number;
}

/** Ask who is in a group. */
export interface GetGroupMembers {
  groupId: string | number;
}

/** Ask for a page of a group; `before` and `after` are values of `seq`. */
export interface GetGroupMessages {
  groupId: string | number;
  limit?: number;
  offset?: number;
  before?: number;
  after?: number;
}

/** Ask who is online. */
export interface GetOnlineUsers {
  limit?: number;
}

/** Ask for the pinned messages of a conversation. */
export interface GetPinnedMessages {
  conversationId?: string | number;
}

/** Ask for a page of a conversation; `before` and `after` are values of `seq`. */
export interface GetPrivateMessages {
  conversationId?: string | number;
  recipientId?: string | number;
  limit?: number;
  offset?: number;
  before?: number;
  after?: number;
}

/** Ask for one's groups. */
export interface GetUserGroups {
}

/** What members see of a group. */
export interface Group {
  groupId: string;
  groupName: string;
  groupDescription: string;
  createdBy: string;
  maxMembers: number;
  memberCount: number;
  /** ISO 8601, UTC, with milliseconds */
  createdAt: string;
}

/** There is a new group, with these members. */
export interface GroupCreated {
  type: "group_created";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  group: Group;
  members: Member[];
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A group is gone. */
export interface GroupDeleted {
  type: "group_deleted";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  deletedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A group. */
export interface GroupInfo {
  type: "group_info";
  group: Group;
  requestId?: string;
}

/** A group is called otherwise, or may have another number of members. */
export interface GroupInfoUpdated {
  type: "group_info_updated";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  groupName: string;
  groupDescription: string;
  maxMembers: number;
  updatedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** Who is in a group. */
export interface GroupMembers {
  type: "group_members";
  groupId: string;
  members: Member[];
  requestId?: string;
}

/** The message is durable. */
export interface GroupMessageSent {
  type: "group_message_sent";
  messageId: string;
  message: Message;
  clientMessageId?: string;
  duplicate?: true;
  requestId?: string;
}

/** A page of a group, the oldest first. */
export interface GroupMessages {
  type: "group_messages";
  groupId: string;
  messages: Message[];
  pagination: Pagination;
  requestId?: string;
}

/** Leave a group. */
export interface LeaveGroup {
  groupId: string | number;
}

/** How long the page is, and whether there are more behind it. */
export interface ListPagination {
  limit: number;
  hasMore: boolean;
}

/** What a list of conversations shows of a group. */
export interface ListedGroup {
  groupId: string;
  groupName: string;
  memberCount: number;
}

/** Mark a message and all before it as read. */
export interface MarkMessageRead {
  messageId: string | number;
  conversationId?: string | number;
}

/** What members see of each other. */
export interface Member {
  userId: string;
  username: string;
  displayName: string;
  role: "admin" | "member" | "owner";
  canSendMessages: boolean;
  canAddMembers: boolean;
  /** ISO 8601, UTC, with milliseconds */
  joinedAt: string;
}

/** A user came into a group. */
export interface MemberAdded {
  type: "member_added";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  username: string;
  user: NamedUser;
  addedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** An admin is a member now. */
export interface MemberDemoted {
  type: "member_demoted";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  newRole: "admin" | "member" | "owner";
  demotedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A user left a group. */
export interface MemberLeft {
  type: "member_left";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  username: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A member who is named in a message. */
export interface MemberMention {
  type: "user";
  userId: string;
  username: string;
}

/** A member may do other things now. */
export interface MemberPermissionsUpdated {
  type: "member_permissions_updated";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  canSendMessages: boolean;
  canAddMembers: boolean;
  updatedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A member is an admin now. */
export interface MemberPromoted {
  type: "member_promoted";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  newRole: "admin" | "member" | "owner";
  promotedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A user was taken out of a group; he hears of it, too. */
export interface MemberRemoved {
  type: "member_removed";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  removedBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** A message names oneself, or everyone. */
export interface MentionedInGroup {
  type: "mentioned_in_group";
  messageId: string;
  groupId: string;
  conversationId: string;
  message: Message;
  mentionedBy: string;
  mentionedByUsername: string;
}

/** A message as one user sees it; it has a recipient or a group. */
export interface Message {
  id: string;
  conversationId: string;
  senderId: string;
  recipientId?: string;
  groupId?: string;
  username: string;
  content: string;
  /** ISO 8601, UTC, with milliseconds */
  timestamp: string;
  isRead: boolean;
  replyToMessageId: string | null;
  reactions: Reaction[];
  mentions?: (MemberMention | EveryoneMention)[];
  /** ISO 8601, UTC, with milliseconds */
  editedAt?: string;
  isPinned?: true;
  isAnnouncement?: true;
  isDeleted?: true;
  /** position in the conversation: 1, 2, 3 … */
  seq: number;
  /** number of the last change of the conversation */
  rev: number;
  clientMessageId?: string;
}

/** A message is gone: for everyone (with `rev`), or for oneself. */
export interface MessageDeleted {
  type: "message_deleted";
  deleteForEveryone: boolean;
  /** number of the last change of the conversation */
  rev?: number;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
}

/** A message has other content now. */
export interface MessageEdited {
  type: "message_edited";
  message: EditedMessage;
  /** number of the last change of the conversation */
  rev: number;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
}

/** A message is pinned. */
export interface MessagePinned {
  type: "message_pinned";
  pinnedBy: string;
  /** number of the last change of the conversation */
  rev: number;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
}

/** A user has read this message and all before it. */
export interface MessageRead {
  type: "message_read";
  requestId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
  readBy: string;
}

/** The message is durable. */
export interface MessageSent {
  type: "message_sent";
  messageId: string;
  message: Message;
  clientMessageId?: string;
  duplicate?: true;
  requestId?: string;
}

/** A message is pinned no more; `pinnedBy` is who did that. */
export interface MessageUnpinned {
  type: "message_unpinned";
  pinnedBy: string;
  /** number of the last change of the conversation */
  rev: number;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
}

/** A user and his login name. */
export interface NamedUser {
  userId: string;
  username: string;
}

/** A message in one of one's groups. */
export interface NewGroupMessage {
  type: "new_group_message";
  message: Message;
  messageId: string;
  groupId: string;
  conversationId: string;
}

/** A message between oneself and another user. */
export interface NewPrivateMessage {
  type: "new_private_message";
  message: Message;
  messageId: string;
  conversationId: string;
}

/** Who is online, without oneself and those with a block in between. */
export interface OnlineUsers {
  type: "online_users";
  users: Person[];
  count: number;
  requestId?: string;
}

/** A group has another owner: `userId`. */
export interface OwnershipTransferred {
  type: "ownership_transferred";
  groupId: string;
  conversationId: string;
  /** number of the last change of the conversation */
  rev: number;
  userId: string;
  transferredBy: string;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
}

/** Which page it is, and whether there are more in the direction of reading. */
export interface Pagination {
  limit: number;
  offset: number;
  hasMore: boolean;
}

/** The other user of a conversation. */
export interface Participant {
  userId: string;
  username: string;
  displayName: string;
  online: boolean;
}

/** What others see of a user. */
export interface Person {
  userId: string;
  username: string;
  displayName: string;
}

/** A user whose presence changed; the id is there twice. */
export interface PersonOnline {
  userId: string;
  username: string;
  displayName: string;
  id: string;
}

/** Pin a message to its conversation. */
export interface PinMessage {
  messageId: string | number;
  conversationId?: string | number;
}

/** Ask for a sign of life. */
export interface Ping {
}

/** The newest pinned messages, the oldest of them first. */
export interface PinnedMessages {
  type: "pinned_messages";
  requestId?: string;
  conversationId: string;
  groupId?: string;
  messages: Message[];
}

/** A sign of life. */
export interface Pong {
  type: "pong";
  /** milliseconds since 1970 */
  timestamp: number;
  requestId?: string;
}

/** How far a client knows a conversation. */
export interface Position {
  seq: number;
  rev: number;
}

/** Users came and went: in place of single events, where `presenceBatches` was asked for. */
export interface PresenceChanges {
  type: "presence_changes";
  online: PersonOnline[];
  offline: PersonOnline[];
  /** ISO 8601, UTC, with milliseconds */
  timestamp: string;
}

/** A page of a conversation, the oldest first. */
export interface PrivateMessages {
  type: "private_messages";
  conversationId: string;
  messages: Message[];
  pagination: Pagination;
  requestId?: string;
}

/** Make a member an admin. */
export interface PromoteMember {
  groupId: string | number;
  userId: string | number;
}

/** What one user feels about a message. */
export interface Reaction {
  userId: string;
  username: string;
  reaction: string;
}

/** A user reacted; this replaces another reaction of the same user. */
export interface ReactionAdded {
  type: "reaction_added";
  reaction: Reaction;
  /** number of the last change of the conversation */
  rev: number;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
}

/** A user took a reaction back. */
export interface ReactionRemoved {
  type: "reaction_removed";
  userId: string;
  /** number of the last change of the conversation */
  rev: number;
  requestId?: string;
  /** for `ack_events` */
  eventId?: string;
  messageId: string;
  conversationId: string;
  groupId?: string;
}

/** Take a member out of a group. */
export interface RemoveGroupMember {
  groupId: string | number;
  userId: string | number;
}

/** Take one's reaction back. */
export interface RemoveReaction {
  messageId: string | number;
  conversationId?: string | number;
}

/** Send a message that is pinned at once; admins may. */
export interface SendAnnouncement {
  groupId: string | number;
  content: string;
  clientMessageId?: string | number;
}

/** Send a message to a group. */
export interface SendGroupMessage {
  groupId: string | number;
  content: string;
  replyToMessageId?: string | number;
  clientMessageId?: string | number;
}

/** Send a message to another user. */
export interface SendPrivateMessage {
  recipientId: string | number;
  content: string;
  conversationId?: string | number;
  replyToMessageId?: string | number;
  clientMessageId?: string | number;
}

/** The server stops: connect again after so many seconds. */
export interface ServerDraining {
  type: "server_draining";
  retryAfter: number;
}

/** Say what a member may do; what is left out stays. */
export interface SetMemberPermissions {
  groupId: string | number;
  userId: string | number;
  canSendMessages?: boolean;
  canAddMembers?: boolean;
}

/** Open the conversation with another user. */
export interface StartConversation {
  recipientId: string | number;
}

/** Ask what one missed; `state` and `next` are texts of an earlier `sync_result`. */
export interface Sync {
  conversations?: Record<string, Position>;
  state?: string;
  next?: string;
  limit?: number;
}

/** Everything that one missed, or with `next` a part of it. */
export interface SyncResult {
  type: "sync_result";
  conversations: ConversationNews[];
  left: string[];
  state: string;
  next?: string;
  requestId?: string;
}

/** Ask whether commands are answered. */
export interface Test {
}

/** Commands are answered. */
export interface TestResponse {
  type: "test_response";
  message: string;
  /** milliseconds since 1970 */
  timestamp: number;
  requestId?: string;
}

/** A newer token extends the session. */
export interface TokenRefreshed {
  type: "token_refreshed";
  /** ISO 8601, UTC, with milliseconds */
  expiresAt: string;
  requestId?: string;
}

/** What is left of a message that was deleted for everyone. */
export interface Tombstone {
  id: string;
  /** position in the conversation: 1, 2, 3 … */
  seq: number;
  /** number of the last change of the conversation */
  rev: number;
  isDeleted: true;
}

/** Make another member the owner; the one before becomes an admin. */
export interface TransferOwnership {
  groupId: string | number;
  userId: string | number;
}

/** Say that one is writing, or not any more. */
export interface Typing {
  isTyping: boolean;
  recipientId?: string | number;
  groupId?: string | number;
}

/** Undo a pin. */
export interface UnpinMessage {
  messageId: string | number;
  conversationId?: string | number;
}

/** Change what a group is called, or how large it may be; what is left out stays. */
export interface UpdateGroupInfo {
  groupId: string | number;
  groupName?: string;
  groupDescription?: string;
  maxMembers?: number;
}

/** A group as one of its members sees it. */
export interface UserGroup {
  groupId: string;
  groupName: string;
  groupDescription: string;
  createdBy: string;
  myRole: "admin" | "member" | "owner";
  memberCount: number;
  /** ISO 8601, UTC, with milliseconds */
  joinedAt: string;
  unreadCount: number;
}

/** One's groups. */
export interface UserGroups {
  type: "user_groups";
  groups: UserGroup[];
  requestId?: string;
}

/** A user went, and did not come back within the grace period. */
export interface UserOffline {
  type: "user_offline";
  user: PersonOnline;
  /** ISO 8601, UTC, with milliseconds */
  timestamp: string;
}

/** A user came. */
export interface UserOnline {
  type: "user_online";
  user: PersonOnline;
  /** ISO 8601, UTC, with milliseconds */
  timestamp: string;
}

/** A user is writing, or not any more. */
export interface UserTyping {
  type: "user_typing";
  userId: string;
  username: string;
  isTyping: boolean;
  conversationId: string;
  groupId?: string;
}

/** The first event of every connection: it waits for `authenticate`. */
export interface Welcome {
  type: "connected";
  clientId: string;
  message: string;
  requiresAuth: true;
  /** ISO 8601, UTC, with milliseconds */
  timestamp: string;
}

/** What each command carries, by its type. */
export interface Commands {
  authenticate: Authenticate;
  ack_events: AckEvents;
  ping: Ping;
  test: Test;
  get_online_users: GetOnlineUsers;
  start_conversation: StartConversation;
  send_private_message: SendPrivateMessage;
  get_private_messages: GetPrivateMessages;
  mark_message_read: MarkMessageRead;
  edit_message: EditMessage;
  delete_message: DeleteMessage;
  add_reaction: AddReaction;
  remove_reaction: RemoveReaction;
  pin_message: PinMessage;
  unpin_message: UnpinMessage;
  get_pinned_messages: GetPinnedMessages;
  delete_conversation: DeleteConversation;
  get_conversations: GetConversations;
  sync: Sync;
  typing: Typing;
  send_group_message: SendGroupMessage;
  send_announcement: SendAnnouncement;
  get_group_messages: GetGroupMessages;
  create_group: CreateGroup;
  get_user_groups: GetUserGroups;
  get_group_members: GetGroupMembers;
  get_group_info: GetGroupInfo;
  add_group_member: AddGroupMember;
  remove_group_member: RemoveGroupMember;
  leave_group: LeaveGroup;
  transfer_ownership: TransferOwnership;
  promote_member: PromoteMember;
  demote_member: DemoteMember;
  set_member_permissions: SetMemberPermissions;
  update_group_info: UpdateGroupInfo;
  delete_group: DeleteGroup;
}

/** What answers each command, by its type. */
export interface Replies {
  authenticate: Connected | TokenRefreshed | AuthError;
  ack_events: EventsAcked;
  ping: Pong;
  test: TestResponse;
  get_online_users: OnlineUsers;
  start_conversation: ConversationStarted;
  send_private_message: MessageSent;
  get_private_messages: PrivateMessages;
  mark_message_read: MessageRead;
  edit_message: MessageEdited;
  delete_message: MessageDeleted;
  add_reaction: ReactionAdded | ReactionRemoved;
  remove_reaction: ReactionRemoved;
  pin_message: MessagePinned;
  unpin_message: MessageUnpinned;
  get_pinned_messages: PinnedMessages;
  delete_conversation: ConversationDeleted;
  get_conversations: Conversations;
  sync: SyncResult;
  typing: void;
  send_group_message: GroupMessageSent;
  send_announcement: AnnouncementSent;
  get_group_messages: GroupMessages;
  create_group: GroupCreated;
  get_user_groups: UserGroups;
  get_group_members: GroupMembers;
  get_group_info: GroupInfo;
  add_group_member: MemberAdded;
  remove_group_member: MemberRemoved | MemberLeft;
  leave_group: MemberLeft;
  transfer_ownership: OwnershipTransferred;
  promote_member: MemberPromoted;
  demote_member: MemberDemoted;
  set_member_permissions: MemberPermissionsUpdated;
  update_group_info: GroupInfoUpdated;
  delete_group: GroupDeleted;
}

/** What the server sends, by its type. */
export interface Events {
  connected: Welcome | Connected;
  token_refreshed: TokenRefreshed;
  auth_error: AuthError;
  server_draining: ServerDraining;
  error: Refusal;
  pong: Pong;
  test_response: TestResponse;
  online_users: OnlineUsers;
  user_online: UserOnline;
  user_offline: UserOffline;
  presence_changes: PresenceChanges;
  events_acked: EventsAcked;
  conversation_started: ConversationStarted;
  message_sent: MessageSent;
  new_private_message: NewPrivateMessage;
  private_messages: PrivateMessages;
  message_read: MessageRead;
  message_edited: MessageEdited;
  message_deleted: MessageDeleted;
  reaction_added: ReactionAdded;
  reaction_removed: ReactionRemoved;
  message_pinned: MessagePinned;
  message_unpinned: MessageUnpinned;
  pinned_messages: PinnedMessages;
  user_typing: UserTyping;
  conversation_deleted: ConversationDeleted;
  conversations: Conversations;
  group_message_sent: GroupMessageSent;
  announcement_sent: AnnouncementSent;
  new_group_message: NewGroupMessage;
  mentioned_in_group: MentionedInGroup;
  group_messages: GroupMessages;
  group_info: GroupInfo;
  group_members: GroupMembers;
  user_groups: UserGroups;
  group_created: GroupCreated;
  member_added: MemberAdded;
  member_removed: MemberRemoved;
  member_left: MemberLeft;
  ownership_transferred: OwnershipTransferred;
  member_promoted: MemberPromoted;
  member_demoted: MemberDemoted;
  member_permissions_updated: MemberPermissionsUpdated;
  group_info_updated: GroupInfoUpdated;
  group_deleted: GroupDeleted;
  sync_result: SyncResult;
}
