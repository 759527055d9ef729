"use strict";
// Charts of lines: a crosshair with the values of all lines, and a part that is looked at closely.
Chart.lines = (plot, spec, zoom) => {
  const { element, fitted, marker, scale, tick, ticks, width } = Chart;
  const room = Math.max(plot.clientWidth, 240);
  const total = spec.height || (room < 520 ? 300 : 400);
  const [xmin, xmax] = zoom.range || [spec.xmin, spec.xmax];
  const seen = spec.series.flatMap((it) => it.points.filter((p) => p && p[1] !== null && p[0] >= xmin && p[0] <= xmax).map((p) => p[1]));
  const [ymin, ymax] = spec.yrange && !zoom.range ? spec.yrange : Chart.around(seen, spec.log);
  const bottom = total - (spec.xlabel ? 40 : 24);
  const top = 10;
  const y = scale(ymin, ymax, bottom, top, spec.log);
  const marks = ticks(y, Math.max(2, Math.floor((bottom - top) / 46)));
  const left = Math.max(...marks.map((it) => width(tick[spec.unit](it), 12)), 20) + 10;
  const right = 14;
  const x = scale(xmin, xmax, left, room - right, false);

  const clip = "clip-" + spec.id;
  const svg = element("svg", { viewBox: `0 0 ${room} ${total}`, class: "lines", "data-min": ymin, "data-max": ymax, "data-from": y.from, "data-to": y.to, "data-log": spec.log ? 1 : 0 });
  svg.append(element("defs", {},
    element("clipPath", { id: clip }, element("rect", { x: left, y: top - 4, width: x.to - x.from, height: bottom - top + 8 })),
    element("pattern", { id: clip + "-hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, element("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 7 }))));
  for (const value of marks) {
    const at = y.at(value);
    svg.append(element("line", { class: "grid", x1: left, x2: x.to, y1: at, y2: at }));
    svg.append(element("text", { class: "tick", x: left - 6, y: at + 4, "text-anchor": "end" }, tick[spec.unit](value)));
  }
  let last = -Infinity;
  for (const mark of spec.xticks(xmin, xmax, x)) {
    const at = x.at(mark.value);
    if (!spec.bare) svg.append(element("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
    const half = width(mark.text, 12) / 2;
    const middle = Math.min(at, room - half);
    if (middle - half < last + 6) continue;
    last = middle + half;
    svg.append(element("text", { class: "tick", x: middle, y: bottom + 16, "text-anchor": "middle" }, mark.text));
  }
  if (spec.xlabel) svg.append(element("text", { class: "axis", x: (x.from + x.to) / 2, y: total - 6, "text-anchor": "middle" }, fitted(spec.xlabel, room - 20, 12)));

  const inside = element("g", { "clip-path": `url(#${clip})` });
  for (const shade of spec.shades || []) {
    const [from, to] = [x.at(Math.max(shade.from, xmin)), x.at(Math.min(shade.to, xmax))];
    if (to <= from) continue;
    const fill = shade.kind === "bad" ? `url(#${clip}-hatch)` : undefined;
    inside.append(element("rect", { class: "shade " + shade.kind, x: from, y: top, width: to - from, height: bottom - top, fill }));
  }
  for (const at of spec.cuts || []) {
    if (at > xmin && at < xmax) inside.append(element("line", { class: "cut", x1: x.at(at), x2: x.at(at), y1: top, y2: bottom }));
  }
  for (const series of spec.series) {
    let d = "";
    let open = false;
    for (const p of series.points) {
      if (!p || p[1] === null || (spec.log && p[1] <= 0)) {
        open = false;
        continue;
      }
      d += (open ? "L" : "M") + x.at(p[0]).toFixed(1) + "," + y.at(p[1]).toFixed(1);
      open = true;
    }
    inside.append(element("path", { class: `line b${series.broker} ${series.kind || ""}`, d, "stroke-dasharray": series.dash && series.dash.length ? series.dash.join(" ") : undefined, "data-name": series.name }));
    (series.dots || []).forEach((dot, i) => {
      const p = series.points[i];
      if (p[1] === null || p[0] < xmin || p[0] > xmax) return;
      const [cx, cy] = [x.at(p[0]), y.at(p[1])];
      inside.append(marker(series.marker, cx, cy, 4.5, { class: `dot b${series.broker} ${dot.hollow ? "invalid" : ""}` }));
      if (dot.ring) inside.append(element("circle", { class: `ring b${series.broker}`, cx, cy, r: 9 }));
    });
    const end = series.dots ? null : series.points[series.points.length - 1];
    if (series.marker && end && end[0] <= xmax && end[0] >= xmin) {
      inside.append(series.lost
        ? element("path", { class: `cross b${series.broker}`, d: "M-5,-5L5,5M5,-5L-5,5", transform: `translate(${x.at(end[0])},${y.at(end[1])})` })
        : marker(series.marker, x.at(end[0]), y.at(end[1]), 4.5, { class: `dot b${series.broker} ${series.kind || ""}` }));
    }
  }
  const cross = element("line", { class: "crosshair", y1: top, y2: bottom, visibility: "hidden" });
  const picked = element("rect", { class: "picked", y: top, height: bottom - top, visibility: "hidden" });
  const hit = element("rect", { class: "hit", x: left, y: top, width: x.to - x.from, height: bottom - top });
  inside.append(picked, cross);
  svg.append(inside, hit);
  plot.replaceChildren(svg);

  const tip = Chart.tips.tip(plot);
  const stops = spec.stops.filter((it) => it >= xmin && it <= xmax);
  const nearest = (value) => {
    let best = 0;
    stops.forEach((it, place) => {
      if (Math.abs(it - value) < Math.abs(stops[best] - value)) best = place;
    });
    return best;
  };
  const go = (place, speak) => {
    const at = stops[place];
    if (at === undefined) return;
    cross.setAttribute("x1", x.at(at));
    cross.setAttribute("x2", x.at(at));
    cross.setAttribute("visibility", "visible");
    const told = spec.tell(at);
    tip.show(told.title, told.lines, (x.at(at) * plot.clientWidth) / room, 8, speak);
  };
  const leave = () => {
    cross.setAttribute("visibility", "hidden");
    tip.hide();
  };

  // Places of the picture, however large it is shown.
  const placed = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.max(x.from, Math.min(x.to, ((event.clientX - box.left) * room) / box.width));
  };
  let start = null;
  hit.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") {
      go(nearest(x.value(placed(event))), false);
      return;
    }
    start = placed(event);
    hit.setPointerCapture(event.pointerId);
  });
  hit.addEventListener("pointermove", (event) => {
    const at = placed(event);
    go(nearest(x.value(at)), false);
    if (start === null) return;
    picked.setAttribute("x", Math.min(start, at));
    picked.setAttribute("width", Math.abs(at - start));
    picked.setAttribute("visibility", "visible");
  });
  hit.addEventListener("pointerup", (event) => {
    const at = placed(event);
    const from = start;
    start = null;
    picked.setAttribute("visibility", "hidden");
    if (from !== null && Math.abs(at - from) > 8) zoom.to([x.value(Math.min(from, at)), x.value(Math.max(from, at))]);
  });
  hit.addEventListener("pointerleave", leave);
  hit.addEventListener("dblclick", () => zoom.to(null));
  return { stops: stops.length, go: (place) => go(place, true), leave };
};
