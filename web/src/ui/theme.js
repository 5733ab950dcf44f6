// Dark or light: as the system is, until somebody chooses.
import { effect, signal } from "@preact/signals";

const THEMES = ["auto", "light", "dark"];
const KEY = "fastchat-theme";

export const theme = signal(THEMES.includes(read()) ? read() : "auto");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // Where nothing may be stored it lasts as long as the page.
  }
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
