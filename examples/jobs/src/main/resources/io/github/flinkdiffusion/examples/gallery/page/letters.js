// Dead letters, and sending them again.
import { announce, byId, el, timeText, toast } from "./dom.js";
import { post } from "./server.js";

const letters = new Map(); // place -> { data, card }
let canResend = false;

export function deadLetters(config) {
  canResend = config.resend;
}

export function reset(list) {
  letters.clear();
  byId("letters").replaceChildren();
  [...list].reverse().forEach((letter) => add(letter, false));
  counts();
}

export function failure(letter) {
  add(letter, true);
  counts();
}

function add(letter, fresh) {
  if (letters.has(letter.place)) return;
  const again = canResend
    ? el("button", { type: "button", class: "secondary", "aria-label": `Send again: ${letter.id ?? letter.place}`, onclick: () => resend(letter) }, "Send again")
    : null;
  const card = el("li", { class: "letter", "data-place": letter.place },
    el("div", { class: "letter-head" },
      el("span", { class: "reason", "data-reason": letter.reason }, letter.reason.replaceAll("_", " ").toLowerCase()),
      el("code", {}, letter.id ?? "no id"),
      el("span", { class: "meta" }, timeText(letter.time))),
    el("p", {}, letter.message),
    el("div", { class: "letter-foot" },
      el("span", { class: "meta" },
        `${letter.topic ?? "unknown topic"}, ${letter.bytes.toLocaleString()} bytes`,
        letter.times === "0" ? "" : `, sent again ${letter.times === "1" ? "once" : letter.times + " times"} before`),
      again));
  letters.set(letter.place, { data: letter, card, again });
  byId("letters").prepend(card);
  if (letter.resent) resent(letter);
  if (fresh) announce(`Request failed: ${letter.message}`);
}

async function resend(letter) {
  const { again } = letters.get(letter.place);
  again.disabled = true;
  try {
    await post("/api/resends", { place: letter.place });
    toast("Sent again.");
  } catch (error) {
    toast(error.message, "error");
    again.disabled = false;
  }
}

export function resent({ place }) {
  const entry = letters.get(place);
  if (!entry) return;
  entry.card.classList.add("resent");
  if (entry.again) {
    entry.again.disabled = true;
    entry.again.textContent = "Sent again";
    entry.again.removeAttribute("aria-label");
  }
}

function counts() {
  byId("no-letters").hidden = letters.size > 0;
  byId("letter-count").hidden = letters.size === 0;
  byId("letter-count").textContent = String(letters.size);
}
