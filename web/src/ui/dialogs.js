// How a conversation or a group begins.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { openPerson } from "../store/reading.js";
import { Avatar, IconButton } from "./icons.js";

export function Dialog({ dialog, title, children }) {
  return html`<dialog ref=${dialog} class="dialog" aria-label=${title}>
    <header>
      <h2>${title}</h2>
      <${IconButton} icon="close" label="Close" onClick=${() => dialog.current.close()} />
    </header>
    ${children}
  </dialog>`;
}

export function PersonDialog({ dialog, session }) {
  const [userId, setUserId] = useState("");
  const open = (id) => {
    dialog.current.close();
    setUserId("");
    openPerson(session, id);
  };
  const submit = (event) => {
    event.preventDefault();
    if (userId.trim()) open(userId.trim());
  };
  return html`<${Dialog} dialog=${dialog} title="New chat">
    <div class="people">
      ${session.people.value.map(
        (one) => html`<button type="button" key=${one.userId} onClick=${() => open(one.userId)}>
          <${Avatar}
            id=${one.userId}
            name=${one.displayName}
            isOnline=${session.online.value.has(one.userId)}
          />${one.displayName}
        </button>`,
      )}
    </div>
    <form onSubmit=${submit}>
      <label>
        Or the id of a user
        <input value=${userId} onInput=${(event) => setUserId(event.target.value)} />
      </label>
      <button class="primary" disabled=${!userId.trim()}>Open</button>
    </form>
  <//>`;
}

export function GroupDialog({ dialog, session }) {
  const [name, setName] = useState("");
  const [about, setAbout] = useState("");
  const [ids, setIds] = useState("");
  const [chosen, setChosen] = useState(new Set());
  const toggle = (id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const submit = async (event) => {
    event.preventDefault();
    const others = ids.split(/[\s,]+/).filter(Boolean);
    const created = await session.ask("create_group", {
      groupName: name.trim(),
      groupDescription: about.trim(),
      initialMembers: [...new Set([...chosen, ...others])],
    });
    if (!created) return;
    session.selected.value = created.groupId;
    [setName, setAbout, setIds].forEach((set) => set(""));
    setChosen(new Set());
    dialog.current.close();
  };
  return html`<${Dialog} dialog=${dialog} title="New group">
    <form onSubmit=${submit}>
      <label>
        Name
        <input maxlength="100" value=${name} onInput=${(event) => setName(event.target.value)} />
      </label>
      <label>
        What it is about
        <input maxlength="500" value=${about} onInput=${(event) => setAbout(event.target.value)} />
      </label>
      <fieldset>
        <legend>Members</legend>
        ${session.people.value.map(
          ({ userId, displayName }) => html`<label class="check" key=${userId}>
            <input
              type="checkbox"
              checked=${chosen.has(userId)}
              onChange=${() => toggle(userId)}
            />${displayName}
          </label>`,
        )}
        <label>
          Ids of others
          <input value=${ids} onInput=${(event) => setIds(event.target.value)} />
        </label>
      </fieldset>
      <button class="primary" disabled=${!name.trim()}>Create</button>
    </form>
  <//>`;
}
