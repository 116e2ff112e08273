// Prompts that are typed and images that are dropped.
import { byId, el, toast } from "./dom.js";
import { post, postFile } from "./server.js";

const SHOWN_SUGGESTIONS = 3;

const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’-][\p{L}\p{M}\p{N}]+)*/gu) ?? [];

/** Sets the forms up. */
export function composer(config) {
  prompts(config);
  images(config);
}

/** Puts a prompt back into the form. */
export function reuse(detail) {
  const form = byId("prompt-form");
  form.elements.prompt.value = detail.prompt;
  form.elements.negativePrompt.value = detail.negativePrompt ?? "";
  form.elements.seed.value = detail.audit?.seed ?? "";
  form.elements.steps.value = detail.audit?.steps ?? "";
  form.querySelector("details").open = true;
  form.elements.prompt.focus();
}

function prompts(config) {
  const form = byId("prompt-form");
  if (!config.prompts) {
    form.hidden = true;
    return;
  }
  const field = form.elements.prompt;
  field.placeholder = config.suggestions[0] ?? "a lighthouse at dusk";
  const known = new Set(Object.values(config.words).flat().flatMap(words));
  const hint = () => {
    const unknown = known.size ? [...new Set(words(field.value))].filter((word) => !known.has(word)) : [];
    byId("prompt-hint").textContent = unknown.length
      ? `The model was not trained on: ${unknown.join(", ")}.`
      : "";
  };
  field.addEventListener("input", hint);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (event.key === "/" && !typing && !byId("view-wall").hidden) {
      event.preventDefault();
      field.focus();
    }
  });
  for (const suggestion of config.suggestions.slice(0, SHOWN_SUGGESTIONS)) {
    byId("suggestions").append(
      el("button", {
        type: "button",
        class: "chip",
        onclick: () => {
          field.value = suggestion;
          hint();
          field.focus();
        },
      }, suggestion),
    );
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const asked = { prompt: field.value };
    for (const name of ["count", "steps", "seed", "guidance"]) {
      if (form.elements[name].value !== "") asked[name] = Number(form.elements[name].value);
    }
    for (const name of ["scheduler", "negativePrompt"]) {
      if (form.elements[name].value.trim() !== "") asked[name] = form.elements[name].value.trim();
    }
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      const { ids } = await post("/api/prompts", asked);
      toast(ids.length === 1 ? "Sent." : `${ids.length} requests sent.`);
      field.select();
    } catch (error) {
      toast(error.message, "error");
    } finally {
      button.disabled = false;
    }
  });
}

function images(config) {
  const form = byId("drop-form");
  if (config.tasks.length === 0) {
    form.hidden = true;
    return;
  }
  const task = byId("task");
  const target = byId("target");
  for (const each of config.tasks) task.append(el("option", { value: each.name }, each.label));
  const send = async (file) => {
    if (!file) return;
    if (file.size > config.mostUpload) {
      toast(`${file.name} is too large; at most ${config.mostUpload >> 20} MiB are accepted.`, "error");
      return;
    }
    target.classList.add("busy");
    try {
      await postFile(`/api/images/${encodeURIComponent(task.value)}?name=${encodeURIComponent(file.name.slice(0, 200))}`, file);
      toast(`${file.name} was sent.`);
    } catch (error) {
      toast(error.message, "error");
    } finally {
      target.classList.remove("busy");
      byId("file").value = "";
    }
  };
  byId("file").addEventListener("change", (event) => send(event.target.files[0]));
  // Anywhere on the page: a file that misses the target must not replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) target.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("over");
    for (const file of [...event.dataTransfer.files].slice(0, 8)) send(file);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}
