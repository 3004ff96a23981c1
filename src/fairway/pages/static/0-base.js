// Local times, live regions, forms that are sent once, and texts to copy. All pages work without this script.
"use strict";

const two = (number) => String(number).padStart(2, "0");

function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (isNaN(at)) continue;
    element.title = element.dateTime;
    element.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
      `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  }
}

// What tells an element of a region from the others, in the old content and in the new.
function mark(element) {
  return element.id || [element.tagName, element.getAttribute("href"), element.textContent].join(" ");
}

// A region that somebody selects text in waits until they are done.
const waiting = new Map();

function replace(element, html) {
  const chosen = document.getSelection();
  if (!chosen.isCollapsed && chosen.containsNode(element, true)) {
    waiting.set(element.id, html);
    return;
  }
  waiting.delete(element.id);
  // Somebody who has just come is told all regions. What is on the page already stays, and with it what they are about to press.
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  localTimes(fresh.content);
  if (fresh.innerHTML.trim() === element.innerHTML.trim()) return;
  const folds = [...element.querySelectorAll("details[id]")].map((one) => [one.id, one.open]);
  const scrolled = [...element.querySelectorAll("[id]")]
    .filter((one) => one.scrollTop || one.scrollLeft)
    .map((one) => [one.id, one.scrollTop, one.scrollLeft]);
  const active = document.activeElement;
  const focused = active !== element && element.contains(active) ? mark(active) : "";
  element.replaceChildren(fresh.content);
  for (const [id, open] of folds) {
    const fold = document.getElementById(id);
    if (fold) fold.open = open;
  }
  for (const [id, top, left] of scrolled) document.getElementById(id)?.scrollTo(left, top);
  if (focused) {
    const same = [...element.querySelectorAll("a, button, summary, [tabindex]")].find((one) => mark(one) === focused);
    same?.focus({ preventScroll: true });
  }
}

document.addEventListener("selectionchange", () => {
  for (const [id, html] of waiting) {
    const element = document.getElementById(id);
    if (element) replace(element, html);
  }
});

// The browser connects again by itself after a break, but not after an answer that is no stream.
function follow(address) {
  const shown = document.getElementById("connection");
  const stream = new EventSource(address);
  stream.addEventListener("region", (event) => {
    const { id, html } = JSON.parse(event.data);
    const element = document.getElementById(id);
    if (element) replace(element, html);
  });
  stream.addEventListener("over", () => {
    stream.close();
    document.body.dataset.over = "";
  });
  stream.onopen = () => { shown.textContent = ""; };
  stream.onerror = () => {
    shown.textContent = "The connection to the platform is lost. What you see may be old. Trying again";
    if (stream.readyState !== EventSource.CLOSED) return;
    setTimeout(() => follow(address), 3000);
  };
  addEventListener("pagehide", () => stream.close(), { once: true });
}

// A second press while the first is on its way would do the same thing twice. Fields may have any name, so nothing is read as a
// property of a form or written to it.
const sent = new Set();

function markSent(form, isSent) {
  for (const button of document.querySelectorAll("button")) {
    if (button.form !== form) continue;
    if (isSent) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (sent.has(form)) event.preventDefault();
  else if (Element.prototype.getAttribute.call(form, "method")?.toLowerCase() === "post") {
    sent.add(form);
    markSent(form, true);
  }
});

addEventListener("pageshow", (event) => {
  for (const form of sent) markSent(form, false);
  sent.clear();
  // A page that comes back out of the memory of the browser has lost its stream.
  if (event.persisted && document.body.dataset.live && !("over" in document.body.dataset)) follow(document.body.dataset.live);
});

for (const box of document.querySelectorAll(".copyable")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.querySelector("pre").textContent);
    button.textContent = "Copied";
  });
  box.append(button);
}

localTimes(document);
document.querySelector(".zone").textContent =
  `Times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone || "local time"}`;
if (document.body.dataset.live) follow(document.body.dataset.live);
