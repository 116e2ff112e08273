// What makes elements: texts become text nodes, never markup.

/** An element; keys that begin with "on" are listeners, null values are left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

const timeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const timeText = (millis) => timeFormat.format(new Date(millis));

let announced = 0;

/** Says something to a screen reader; of many at once, the last. */
export function announce(text) {
  clearTimeout(announced);
  announced = setTimeout(() => {
    byId("announce").textContent = text;
  }, 600);
}

/** Shows a line for a few seconds. */
export function toast(text, kind = "info") {
  const shown = el("div", { class: "toast " + kind }, text);
  byId("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "error" ? 9000 : 4500);
}
