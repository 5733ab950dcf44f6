// The start of the page: who is logged in where.
import { signal } from "@preact/signals";
import { render } from "preact";
import "./style/base.css";
import "./style/pane.css";
import "./style/thread.css";
import "./style/tools.css";
import { html } from "./html.js";
import { makeDirectory } from "./store/directory.js";
import { App } from "./ui/app.js";

const directory = await makeDirectory();
const names = new URLSearchParams(location.search).get("users")?.split(",");
const panes = signal(directory.open(names ?? ["alice", "bob"]));

render(html`<${App} panes=${panes} directory=${directory} />`, document.getElementById("app"));
