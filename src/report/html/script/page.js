"use strict";
// The theme, what is copied, and what is opened for paper.
(function () {
  const root = document.documentElement;

  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  function label() {
    const other = shown() === "dark" ? "light" : "dark";
    theme.textContent = other === "dark" ? "◐ Dark" : "◑ Light";
    theme.setAttribute("aria-label", "Switch to the " + other + " theme");
  }
  theme.hidden = false;
  label();
  dark.addEventListener("change", label);
  theme.addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    try { localStorage.setItem("mqbench-theme", root.dataset.theme); } catch (_) { /* It holds for this visit. */ }
    label();
  });

  // The clipboard of scripts is for pages of servers only; a selection is copied from files, too.
  function select(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }
  async function copy(node) {
    try {
      await navigator.clipboard.writeText(node.textContent);
      return true;
    } catch (_) {
      select(node);
      return document.execCommand("copy");
    }
  }
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const node = document.getElementById(button.dataset.copy);
      const done = await copy(node);
      if (!done) select(node);
      button.textContent = done ? "Copied" : "Selected: press Ctrl-C";
      setTimeout(() => { button.textContent = "Copy"; }, 2500);
    });
  }

  // Paper cannot be clicked.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.words)")];
    for (const it of opened) it.open = true;
  });
  addEventListener("afterprint", () => {
    for (const it of opened) it.open = false;
    opened = [];
  });
})();
