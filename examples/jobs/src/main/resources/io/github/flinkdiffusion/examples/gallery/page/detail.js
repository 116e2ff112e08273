// One result: its image, compared with what it was made from, its mask, its audit record, its replay.
import { byId, el, timeText, toast } from "./dom.js";
import { get, post } from "./server.js";
import { focusOn, imageOf, nameOf, neighbours, partOf, taskName } from "./wall.js";

const dialog = byId("detail");
let shown = null;
let config = { replay: false, prompts: false };
let reusePrompt = () => {};

export function detail(given, onReuse) {
  config = given;
  reusePrompt = onReuse;
  dialog.addEventListener("close", () => {
    const place = shown?.place;
    shown = null;
    dialog.replaceChildren();
    if (place) focusOn(place);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select")) return;
    const { before, after } = neighbours(shown.place);
    if (event.key === "ArrowLeft" && before) show(before);
    if (event.key === "ArrowRight" && after) show(after);
  });
}

export async function show(result) {
  shown = result;
  const title = nameOf(result);
  const stage = el("div", { class: "stage" },
    el("div", { class: "canvas" }, el("img", { src: imageOf(result), alt: title })));
  const side = el("div", { class: "side" }, el("p", { class: "hint" }, "Loading the record…"));
  const { before, after } = neighbours(result.place);
  const step = (label, sign, to) =>
    el("button", {
      type: "button", class: "icon-button", "aria-label": label, title: label,
      disabled: !to, onclick: () => show(to),
    }, sign);
  dialog.replaceChildren(
    el("div", { class: "detail-head" },
      el("h2", { id: "detail-title" }, title),
      el("div", { class: "detail-tools" },
        step("Newer image", "←", before),
        step("Older image", "→", after),
        el("button", { type: "button", class: "icon-button", "aria-label": "Close", title: "Close", onclick: () => dialog.close() }, "✕"))),
    el("div", { class: "detail-body" }, stage, side));
  if (!dialog.open) dialog.showModal();
  try {
    const record = await get(`/api/results/${result.place}`);
    if (shown !== result) return;
    stage.replaceChildren(...viewer(result, record, title));
    side.replaceChildren(...about(result, record));
    if (record.replay) replay(record.replay);
  } catch (error) {
    if (shown === result) side.replaceChildren(el("p", { class: "problem" }, error.message));
  }
}

function viewer(result, record, title) {
  const part = (name) => partOf(result, name);
  const canvas = el("div", { class: "canvas" });
  // On a segmentation, the mask lies over what was segmented.
  const overSource = record.mask && record.source;
  const base = el("img", { class: "base", src: overSource ? part("source") : imageOf(result), alt: title });
  canvas.append(base);
  canvas.style.setProperty("--ratio", result.width / result.height);
  const controls = el("div", { class: "controls" });
  if (record.source && !overSource) {
    const cut = el("div", { class: "cut" }, el("img", { src: part("source"), alt: "" }));
    const line = el("div", { class: "line", "aria-hidden": "true" }, el("span", {}, "⇔"));
    const range = el("input", {
      type: "range", min: 0, max: 100, value: 50, class: "slider",
      "aria-label": "Before and after: how much is shown of the image before",
      oninput: (event) => canvas.style.setProperty("--cut", event.target.value + "%"),
    });
    canvas.style.setProperty("--cut", "50%");
    canvas.classList.add("comparing");
    canvas.append(cut, range, line,
      el("span", { class: "corner left", "aria-hidden": "true" }, "before"),
      el("span", { class: "corner right", "aria-hidden": "true" }, "after"));
  }
  for (const [name, label, given] of [["mask", "Mask", 0.5], ["uncertainty", "Uncertainty", record.mask ? 0.7 : 0]]) {
    if (!record[name]) continue;
    const overlay = el("img", { class: "overlay", src: part(name), alt: "" });
    overlay.style.opacity = given;
    canvas.append(overlay);
    controls.append(el("label", { class: "overlay-control " + name },
      el("span", {}, label),
      el("input", {
        type: "range", min: 0, max: 100, value: given * 100,
        "aria-label": `${label}: opacity in percent`,
        oninput: (event) => { overlay.style.opacity = event.target.value / 100; },
      })));
  }
  return [canvas, controls];
}

function row(name, value, code = false) {
  if (value === null || value === undefined || value === "") return null;
  return el("div", { class: "row" }, el("dt", {}, name), el("dd", {}, code ? el("code", {}, String(value)) : String(value)));
}

function about(result, record) {
  const audit = record.audit;
  const parameters = audit ? Object.entries(audit.parameters).sort(([a], [b]) => a.localeCompare(b)) : [];
  return [
    el("div", { class: "buttons" },
      config.replay && audit
        ? el("button", { type: "button", class: "primary", id: "replay-button", onclick: () => startReplay(result) }, "Replay")
        : null,
      config.prompts && record.prompt
        ? el("button", { type: "button", class: "secondary", onclick: () => { dialog.close(); reusePrompt(record); } }, "Use the prompt")
        : null,
      el("a", { class: "secondary", href: `/api/results/${result.place}/file`, download: "" }, "Download")),
    el("div", { id: "replay-said", class: "replay", role: "status", hidden: true }),
    record.truncated ? el("p", { class: "notice" }, "The prompt was longer than the model reads; its end was not used.") : null,
    el("h3", {}, "Audit record"),
    audit
      ? el("dl", { class: "record" },
          row("Task", taskName(audit.task)), row("Model", audit.model), row("Model digest", audit.modelDigest, true),
          row("Scheduler", audit.scheduler), row("Steps", audit.steps), row("Seed", audit.seed),
          Object.entries(audit.inputDigests).map(([name, digest]) => row(`Input ${name}`, digest, true)),
          row("Image digest", record.digest, true), row("Size", `${record.width} × ${record.height}`),
          row("Software", audit.softwareVersion))
      : el("p", { class: "hint" }, "The event has none."),
    parameters.length
      ? el("details", {}, el("summary", {}, `${parameters.length} parameters`),
          el("dl", { class: "record" }, parameters.map(([name, value]) => row(name, value, true))))
      : null,
    record.regions?.length
      ? el("details", { open: true }, el("summary", {}, record.regions.length === 1 ? "One region" : `${record.regions.length} regions`),
          el("ul", { class: "regions" }, record.regions.slice(0, 20).map((region) =>
            el("li", {}, el("strong", {}, region.label), " ",
              region.area !== null
                ? `${region.area.toLocaleString(undefined, { maximumFractionDigits: 1 })} ${region.areaUnit}`
                : `${region.areaPixels.toLocaleString()} pixels`,
              region.score !== null ? `, score ${region.score.toFixed(2)}` : ""))))
      : null,
    el("h3", {}, "In Kafka"),
    el("dl", { class: "record" },
      row("Record", `${record.topic}/${record.partition}/${record.offset}`, true),
      row("Request", record.id, true), row("Time", timeText(result.time)),
      Object.entries(record.attributes).map(([name, value]) => row(name, value))),
  ].filter(Boolean);
}

async function startReplay(result) {
  const button = byId("replay-button");
  button.disabled = true;
  try {
    await post("/api/replays", { place: result.place });
  } catch (error) {
    toast(error.message, "error");
    button.disabled = false;
  }
}

/** How a replay stands; of one that is not shown, its end is said. */
export function replay(state) {
  const said = byId("replay-said");
  const ended = state.state === "done" || state.state === "failed";
  if (shown?.place !== state.place || !said) {
    return;
  }
  said.hidden = false;
  said.dataset.verdict = state.state === "failed" ? "FAILED" : state.verdict;
  said.textContent = {
    waiting: "Waiting for another replay…",
    running: "Making the image again from its record…",
    done: state.text,
    failed: state.text,
  }[state.state];
  const button = byId("replay-button");
  if (button) button.disabled = !ended;
}
