"use strict";
// Charts of cells: a column for each second, a row for each step of latency, a colour for how many messages.
Chart.heat = (plot, spec) => {
  const { element, fitted, scale, tick, ticks, width } = Chart;
  const room = Math.max(plot.clientWidth, 240);
  const [low, high] = spec.rows;
  const rows = high - low + 1;
  // Rows of whole pixels: one that is higher than its neighbours would seem to be something.
  const row = Math.max(1, Math.round(200 / rows));
  const top = 10;
  const bottom = top + rows * row;
  const total = bottom + 40;
  const y = scale(spec.bound(low), spec.bound(high + 1), bottom, top, true);
  const marks = ticks(y, Math.max(2, Math.floor((bottom - top) / 26))).filter(y.inside);
  const left = Math.max(...marks.map((it) => width(tick[spec.unit](it), 12)), 20) + 10;
  const x = scale(0, spec.xmax, left, room - 14, false);

  const clip = "clip-" + spec.id;
  const svg = element("svg", { viewBox: `0 0 ${room} ${total}`, class: "heat", "data-min": y.min, "data-max": y.max, "data-from": y.from, "data-to": y.to, "data-log": 1 });
  svg.append(element("defs", {},
    element("pattern", { id: clip + "-hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, element("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 7 }))));
  for (const shade of spec.shades) {
    const [from, to] = [x.at(shade.from), x.at(shade.to)];
    const fill = shade.kind === "bad" ? `url(#${clip}-hatch)` : undefined;
    svg.append(element("rect", { class: "shade " + shade.kind, x: from, y: top, width: to - from, height: bottom - top, fill }));
  }
  for (const value of marks) {
    const at = y.at(value);
    svg.append(element("line", { class: "grid", x1: left, x2: x.to, y1: at, y2: at }));
    svg.append(element("text", { class: "tick", x: left - 6, y: at + 4, "text-anchor": "end" }, tick[spec.unit](value)));
  }
  let last = -Infinity;
  for (const mark of spec.starts) {
    const at = x.at(mark.value);
    const half = width(mark.text, 12) / 2;
    if (at - half < last + 6) continue;
    last = at + half;
    svg.append(element("text", { class: "tick", x: at, y: bottom + 16, "text-anchor": "middle" }, mark.text));
  }
  svg.append(element("text", { class: "axis", x: (x.from + x.to) / 2, y: total - 6, "text-anchor": "middle" }, fitted(spec.xlabel, room - 20, 12)));

  // All cells of a colour are one shape: there are thousands of them.
  const shapes = new Map();
  const above = (cell) => top + (high - cell) * row;
  for (const column of spec.columns) {
    const from = x.at(column.from).toFixed(1);
    const wide = Math.max(1, x.at(column.to) - from).toFixed(1);
    for (const [cell, count] of column.cells) {
      const step = spec.step(count);
      shapes.set(step, (shapes.get(step) || "") + `M${from},${above(cell)}h${wide}v${row}h-${wide}Z`);
    }
  }
  for (const [step, d] of [...shapes].sort((a, b) => a[0] - b[0])) svg.append(element("path", { class: "cell h" + step, d }));
  const mark = element("rect", { class: "cell-mark", visibility: "hidden" });
  const hit = element("rect", { class: "hit", x: left, y: top, width: x.to - x.from, height: bottom - top });
  svg.append(mark, hit);
  plot.replaceChildren(svg);

  const tip = Chart.tips.tip(plot);
  const at = (place, cell, speak) => {
    const column = spec.columns[place];
    if (!column) return;
    const from = x.at(column.from);
    mark.setAttribute("x", from);
    mark.setAttribute("width", Math.max(1, x.at(column.to) - from));
    mark.setAttribute("y", cell === null ? top : above(cell));
    mark.setAttribute("height", cell === null ? bottom - top : row);
    mark.setAttribute("visibility", "visible");
    const told = spec.tell(column, cell);
    // Below the place: what is around it stays to be seen.
    const ratio = plot.clientWidth / room;
    const below = cell === null ? bottom : above(cell) + row;
    tip.show(told.title, told.lines, x.at(column.to) * ratio, below * ratio + 12, speak);
  };
  const leave = () => {
    mark.setAttribute("visibility", "hidden");
    tip.hide();
  };
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const ratio = room / box.width;
    const when = x.value((event.clientX - box.left) * ratio);
    let place = spec.columns.findIndex((it) => when < it.to);
    if (place < 0) place = spec.columns.length - 1;
    const cell = high - Math.floor(((event.clientY - box.top) * ratio - top) / row);
    at(place, Math.max(low, Math.min(high, cell)), false);
  };
  // A finger does not move before it is lifted.
  for (const kind of ["pointermove", "click"]) hit.addEventListener(kind, point);
  hit.addEventListener("pointerleave", leave);
  return { stops: spec.columns.length, go: (place) => at(place, null, true), leave };
};
