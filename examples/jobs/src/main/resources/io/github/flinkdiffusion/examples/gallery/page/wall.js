// The wall: requests that wait, with previews, and results, newest first.
import { announce, byId, el, toast } from "./dom.js";
import { get, post } from "./server.js";

const PAGE = 120;
const SHEET = 24;
const FEW = 8; // as style.css has it

const waiting = new Map(); // id -> { data, card }
const results = new Map(); // place -> { data, card }
let total = 0;
let oldest = Infinity;
let loading = false;
let canCancel = false;
let open = () => {};

export const partOf = (result, part) => `/api/results/${result.place}/${part}?d=${result.digest.slice(0, 16)}`;

export const imageOf = (result) => partOf(result, "image");

export const nameOf = (result) => result.prompt || result.name || taskName(result.task);

export const taskName = (task) => ({
  "text-to-image": "Text to image",
  "super-resolution": "Enlarged",
  segmentation: "Segmented",
}[task] ?? (task || "Image").replaceAll("-", " "));

/** @param onOpen called with a result */
export function wall(config, onOpen) {
  canCancel = config.cancel;
  open = onOpen;
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) older();
  }, { rootMargin: "1200px" }).observe(byId("more"));
  byId("search").addEventListener("input", () => {
    for (const entry of results.values()) entry.card.hidden = !matches(entry.data);
  });
  byId("sheet").addEventListener("click", sheet);
  byId("waiting-all").addEventListener("click", (event) => {
    const all = byId("waiting").classList.toggle("all");
    event.currentTarget.setAttribute("aria-expanded", String(all));
    event.currentTarget.textContent = all ? "Show fewer" : "Show all";
  });
}

export function reset(snapshot) {
  waiting.clear();
  results.clear();
  byId("waiting").replaceChildren();
  byId("wall").replaceChildren();
  oldest = Infinity;
  total = snapshot.total;
  snapshot.waiting.forEach(request);
  append(snapshot.results);
  unreadable(snapshot.unreadable);
  counts();
  // The end may be in sight already.
  if (results.size < total) requestAnimationFrame(() => nearEnd() && older());
}

const nearEnd = () => byId("more").getBoundingClientRect().top < innerHeight + 1200;

function append(list) {
  const cards = document.createDocumentFragment();
  for (const result of list) {
    oldest = Math.min(oldest, result.number);
    if (!results.has(result.place)) cards.append(entryOf(result).card);
  }
  byId("wall").append(cards);
}

async function older() {
  if (loading || oldest <= 1 || !Number.isFinite(oldest)) return;
  loading = true;
  try {
    const list = await get(`/api/results?before=${oldest}&most=${PAGE}`);
    append(list);
    if (list.length === 0) oldest = 0;
    counts();
  } catch (error) {
    toast(error.message, "error");
  } finally {
    loading = false;
  }
  if (nearEnd()) requestAnimationFrame(older);
}

function matches(result) {
  const wanted = byId("search").value.trim().toLowerCase();
  return wanted === "" ||
    [nameOf(result), result.model, result.id].some((text) => text.toLowerCase().includes(wanted));
}

function entryOf(result) {
  const picture = (src, kind) => el("img", {
    src, class: kind, alt: "", loading: "lazy", decoding: "async", width: result.width, height: result.height,
  });
  // A segmentation lies over what was segmented, unless that is not known here.
  const over = result.mask && result.source;
  const image = picture(over ? partOf(result, "source") : imageOf(result), "base");
  const frame = el("span", { class: "frame" }, image, over ? picture(partOf(result, "mask"), "overlay half") : null);
  const card = el("li", { class: "card" },
    el("button", {
      type: "button",
      "data-place": result.place,
      onclick: () => open(result),
    },
    frame,
    el("span", { class: "caption" },
      el("span", { class: "name" }, nameOf(result)),
      el("span", { class: "meta" },
        result.model,
        result.mask ? el("span", { class: "tag" }, "mask") : null,
        result.uncertainty ? el("span", { class: "tag" }, "uncertainty") : null))));
  image.addEventListener("error", () => {
    if (image.src.endsWith(imageOf(result))) {
      card.classList.add("broken");
    } else {
      frame.replaceChildren(image);
      image.src = imageOf(result);
    }
  });
  card.hidden = !matches(result);
  const entry = { data: result, card };
  results.set(result.place, entry);
  return entry;
}

export function result(data) {
  total = Math.max(total, data.number);
  gone(data.id);
  if (!results.has(data.place)) {
    const { card } = entryOf(data);
    card.classList.add("fresh");
    byId("wall").prepend(card);
    oldest = Math.min(oldest, data.number);
  }
  announce(`Image ready: ${nameOf(data)}`);
  counts();
}

export function gone(id) {
  const entry = waiting.get(id);
  if (entry) {
    entry.card.remove();
    waiting.delete(id);
    counts();
  }
}

export function request(data) {
  const entry = waiting.get(data.id) ?? newRequest(data);
  entry.data = data;
  const share = data.total ? data.step / data.total : 0;
  entry.bar.value = share;
  entry.said.textContent = data.cancelling
    ? "being taken back"
    : data.total ? `step ${data.step} of ${data.total}` : "waiting";
  if (data.preview >= 0 && entry.shown !== data.preview) {
    entry.shown = data.preview;
    const address = `/api/preview?id=${encodeURIComponent(data.id)}&step=${data.preview}`;
    // Shown when it is loaded, so that nothing flickers between steps.
    const next = new Image();
    next.onload = () => {
      if (entry.shown === data.preview) {
        entry.image.src = address;
        entry.image.hidden = false;
      }
    };
    next.src = address;
  }
  if (entry.cancel) entry.cancel.disabled = data.cancelling;
}

function newRequest(data) {
  const name = data.prompt || "Image";
  const image = el("img", { alt: "", hidden: true });
  const bar = el("progress", { max: 1, value: 0, "aria-label": `Progress of ${name}` });
  const said = el("span", { class: "meta" });
  const cancel = canCancel
    ? el("button", {
        type: "button",
        class: "icon-button small",
        title: "Cancel",
        "aria-label": `Cancel ${name}`,
        onclick: async (event) => {
          event.currentTarget.disabled = true;
          try {
            await post("/api/cancellations", { id: data.id });
          } catch (error) {
            toast(error.message, "error");
            cancel.disabled = false;
          }
        },
      }, "✕")
    : null;
  const card = el("li", { class: "request", "data-id": data.id },
    el("div", { class: "frame" }, image),
    el("div", { class: "about" },
      el("span", { class: "name" }, name), said, bar),
    cancel);
  const entry = { data, card, image, bar, said, cancel, shown: -1 };
  waiting.set(data.id, entry);
  byId("waiting").append(card);
  counts();
  return entry;
}

export function unreadable(said) {
  const notice = byId("unreadable");
  notice.hidden = said.count === 0;
  notice.textContent = said.count === 0
    ? ""
    : `${said.count} records could not be read. The last one: ${said.last}`;
}

/** The results beside one, as they are shown. */
export function neighbours(place) {
  const shown = [...byId("wall").children].filter((card) => !card.hidden);
  const at = shown.findIndex((card) => card.firstChild.dataset.place === place);
  const resultAt = (i) => shown[i] && results.get(shown[i].firstChild.dataset.place).data;
  return at < 0 ? {} : { before: resultAt(at - 1), after: resultAt(at + 1) };
}

export function focusOn(place) {
  results.get(place)?.card.firstChild.focus();
}

function counts() {
  byId("waiting-section").hidden = waiting.size === 0;
  byId("waiting-count").textContent = String(waiting.size);
  byId("waiting-all").hidden = waiting.size <= FEW;
  byId("result-count").textContent = total.toLocaleString();
  byId("empty").hidden = results.size > 0;
  byId("sheet").disabled = results.size === 0;
}

function sheet() {
  const places = [...byId("wall").children]
    .filter((card) => !card.hidden)
    .slice(0, SHEET)
    .map((card) => card.firstChild.dataset.place);
  if (places.length === 0) {
    toast("No image matches.", "error");
    return;
  }
  const link = el("a", { href: `/api/contact-sheet.png?places=${places.join(",")}`, download: "contact-sheet.png" });
  link.click();
}
