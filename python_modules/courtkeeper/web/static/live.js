// What htmx cannot know by itself. Every page reads and works without this file.
"use strict";

// A log that was connected anew gets no line twice: each batch has its number.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const id = event.detail.lastEventId, log = event.target;
  if (event.detail.type !== "log" || id === "") return;
  if (Number(id) <= Number(log.dataset.seq)) event.preventDefault();
  else log.dataset.seq = id;
});

// Whoever reads the end of a log goes on reading its end; whoever has scrolled back stays there.
const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.matches?.(".log")) event.target.dataset.end = atEnd(event.target);
});
document.addEventListener("htmx:sseMessage", (event) => {
  const log = event.target;
  if (log.matches?.(".log") && log.dataset.end !== "false") log.scrollTop = log.scrollHeight;
});
for (const log of document.querySelectorAll(".log")) {
  log.scrollTop = log.scrollHeight;
  log.addEventListener("scroll", () => { log.dataset.end = atEnd(log); });
}

// A page that nobody is using is loaded again by itself when something has changed; else it only says so.
document.addEventListener("htmx:afterSwap", (event) => {
  const idle = document.activeElement === document.body && String(getSelection()) === "";
  if (event.target.id === "changed" && idle) location.reload();
});
