"use strict";
// Light or dark as the system has it, unless the reader has chosen.
(function () {
  let chosen = null;
  // Some browsers keep nothing for files opened from disk.
  try { chosen = localStorage.getItem("mqbench-theme"); } catch (_) { chosen = null; }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
