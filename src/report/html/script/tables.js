"use strict";
// Tables that are sorted by a click on a heading, or by its key.
(function () {
  // A row and what stands under it stay together.
  function groups(body) {
    const all = [];
    for (const row of body.rows) {
      if (row.classList.contains("under") && all.length) all[all.length - 1].push(row);
      else all.push([row]);
    }
    return all;
  }

  function key(row, column, numeric) {
    const cell = row.cells[column];
    if (!cell) return null;
    if (!numeric) return cell.textContent.trim();
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  }

  function sort(table, column, descending) {
    const head = table.tHead.rows[0].cells[column];
    const numeric = head.classList.contains("n");
    const body = table.tBodies[0];
    const keyed = groups(body).map((rows, place) => ({ rows, place, key: key(rows[0], column, numeric) }));
    const order = descending ? -1 : 1;
    keyed.sort((a, b) => {
      // What has no value is last in either order.
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      const by = numeric ? (a.key > b.key) - (a.key < b.key) : a.key.localeCompare(b.key, undefined, { numeric: true });
      return order * by || a.place - b.place;
    });
    for (const it of keyed) body.append(...it.rows);
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  for (const table of document.querySelectorAll("table.sheet")) {
    if (!table.tBodies.length || table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, column, head.getAttribute("aria-sort") === "ascending"));
    });
  }
})();
