"use strict";
// Helpers of all pages: requests, texts, keys, the name of the reviewer. Texts are set with textContent only.
const base = document.body.dataset.base;
const byId = id => document.getElementById(id);
const statusLine = byId("status");

function say(text, isError = false) {
  statusLine.textContent = text;
  statusLine.classList.toggle("error", isError);
}

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

async function request(path, method = "GET", body = undefined) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(base + path, options);
  const value = await response.json();
  if (!response.ok) throw Object.assign(new Error(value.error || `Error ${response.status}`), { status: response.status, value });
  return value;
}

// What the browser keeps survives a reload and the end of the server. A full or disabled store is said once.
const kept = {
  read(key) { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } },
  write(key, value) {
    try { localStorage.setItem(key, JSON.stringify(value)); return true; }
    catch { say("This browser cannot keep unsaved changes; do not close the page before they are saved.", true); return false; }
  },
  remove(key) { try { localStorage.removeItem(key); } catch { /* nothing was kept */ } },
};

const reviewerInput = byId("reviewer");
reviewerInput.value = kept.read("review:reviewer") ?? document.body.dataset.reviewer;
reviewerInput.addEventListener("change", () => kept.write("review:reviewer", reviewerInput.value.trim()));
const reviewer = () => reviewerInput.value.trim();

const isTyping = target => target.matches?.("input, select, textarea") || target.isContentEditable;

// A page calls this with its keys: {key: [description, function(event)]}.
function useKeys(keys) {
  const all = { ...keys, "?": ["this list", () => byId("help").showModal()] };
  const table = byId("keys");
  for (const [key, [text]] of Object.entries(all)) {
    const name = key === " " ? "Space" : key;
    table.append(make("tr", {}, make("td", {}, make("kbd", { textContent: name })), make("td", { textContent: text })));
  }
  document.addEventListener("keydown", event => {
    if (byId("help").open || event.isComposing) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    let name = event.key;
    if (event.ctrlKey || event.metaKey) {
      if (name.toLowerCase() === "z") name = event.shiftKey ? "r" : "u";
      else if (name.toLowerCase() === "y") name = "r";
      else if (!name.startsWith("Arrow")) return;
      else name = `Ctrl+${name}`;
    } else if (event.shiftKey && name.startsWith("Arrow")) name = `Shift+${name}`;
    else if (/^[A-Z]$/.test(name)) name = "Shift+A...Z";
    // A button or link that has the focus keeps its own keys.
    if ((name === "Enter" || name === " ") && event.target.matches?.("button, a, summary") && !event.target.dataset.row) return;
    const action = all[name]?.[1];
    if (!action || event.altKey) return;
    event.preventDefault();
    action(event);
  });
  byId("help-button").addEventListener("click", all["?"][1]);
}
