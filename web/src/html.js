// Templates without a compiler: `html` makes elements of Preact.
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
