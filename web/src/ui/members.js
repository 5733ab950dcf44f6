// Who is in a group, and what one may do about it.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { myRole } from "../store/conversations.js";
import { Avatar, IconButton } from "./icons.js";

export function Members({ session, conversation, onClose }) {
  const { group, members } = conversation;
  const me = session.me.value.userId;
  const role = myRole(conversation, me);
  const mine = members.find(({ userId }) => userId === me);
  useEffect(() => {
    if (!members.length) session.readMembers(group.groupId);
  }, [group.groupId]);
  return html`<aside class="side" aria-label="Members">
    <header>
      <h3>${members.length} members</h3>
      <${IconButton} icon="close" label="Close" onClick=${onClose} />
    </header>
    <ul class="members">
      ${members.map(
        (member) => html`<${Member}
          key=${member.userId}
          session=${session}
          group=${group}
          member=${member}
          role=${role}
          isMe=${member.userId === me}
        />`,
      )}
    </ul>
    ${
      (role !== "member" || mine?.canAddMembers) &&
      html`<${AddMember} session=${session} group=${group} members=${members} />`
    }
    ${role !== "member" && html`<${Rename} session=${session} group=${group} />`}
    <${Ending} session=${session} group=${group} role=${role} />
  </aside>`;
}

function Member({ session, group, member, role, isMe }) {
  const { userId, displayName, canSendMessages } = member;
  const target = { groupId: group.groupId, userId };
  const act = (type, more) => () => session.ask(type, { ...target, ...more });
  const isOwner = role === "owner";
  const isBelow = isOwner || (role === "admin" && member.role === "member");
  const choices = [
    isOwner && member.role === "member" && ["Make admin", act("promote_member")],
    isOwner && member.role === "admin" && ["Make member", act("demote_member")],
    canSendMessages
      ? ["Read only", act("set_member_permissions", { canSendMessages: false })]
      : ["Let write", act("set_member_permissions", { canSendMessages: true })],
    isOwner && ["Hand the group over", act("transfer_ownership")],
    ["Remove", act("remove_group_member"), "danger"],
  ];
  return html`<li>
    <${Avatar} id=${userId} name=${displayName} isOnline=${session.online.value.has(userId)} />
    <span class="member-name">${displayName}${isMe && " (you)"}</span>
    <span class=${`role is-${member.role}`}>${member.role}</span>
    ${!canSendMessages && html`<span class="role">read only</span>`}
    ${!isMe && isBelow && html`<${Menu} name=${displayName} choices=${choices} />`}
  </li>`;
}

function Menu({ name, choices }) {
  return html`<details class="menu">
    <summary aria-label=${`What to do about ${name}`}>⋯</summary>
    <div>
      ${choices
        .filter(Boolean)
        .map(
          ([text, act, kind]) =>
            html`<button type="button" key=${text} class=${kind} onClick=${act}>${text}</button>`,
        )}
    </div>
  </details>`;
}

function AddMember({ session, group, members }) {
  const [userId, setUserId] = useState("");
  const inside = new Set(members.map((member) => member.userId));
  const others = session.people.value.filter((one) => !inside.has(one.userId));
  const add = async (id) => {
    if (await session.ask("add_group_member", { groupId: group.groupId, userId: id }))
      setUserId("");
  };
  const submit = (event) => {
    event.preventDefault();
    if (userId.trim()) add(userId.trim());
  };
  return html`<form class="side-form" onSubmit=${submit}>
    ${others.map(
      ({
        userId: id,
        displayName,
      }) => html`<button type="button" key=${id} onClick=${() => add(id)}>
        Add ${displayName}
      </button>`,
    )}
    <div class="row">
      <input
        aria-label="Id of a user"
        placeholder="Id of a user"
        value=${userId}
        onInput=${(event) => setUserId(event.target.value)}
      />
      <button disabled=${!userId.trim()}>Add</button>
    </div>
  </form>`;
}

function Rename({ session, group }) {
  const [name, setName] = useState(group.groupName);
  useEffect(() => setName(group.groupName), [group.groupName]);
  const submit = (event) => {
    event.preventDefault();
    session.ask("update_group_info", { groupId: group.groupId, groupName: name.trim() });
  };
  return html`<form class="side-form" onSubmit=${submit}>
    <div class="row">
      <input
        aria-label="Name of the group"
        maxlength="100"
        value=${name}
        onInput=${(event) => setName(event.target.value)}
      />
      <button disabled=${!name.trim() || name.trim() === group.groupName}>Rename</button>
    </div>
  </form>`;
}

function Ending({ session, group, role }) {
  const [isAsking, setIsAsking] = useState(false);
  const [type, text] =
    role === "owner" ? ["delete_group", "Delete the group"] : ["leave_group", "Leave the group"];
  const end = async () => {
    const { groupId } = group;
    if (await session.ask(type, { groupId })) session.drop(groupId);
  };
  if (!isAsking) {
    return html`<button type="button" class="plain danger" onClick=${() => setIsAsking(true)}>${text}</button>`;
  }
  return html`<div class="question">
    <button type="button" class="danger" onClick=${end}>${text}</button>
    <button type="button" onClick=${() => setIsAsking(false)}>No</button>
  </div>`;
}
