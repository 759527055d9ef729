"use strict";
// Charts with a row for each broker: bars with whiskers, and points along a line.
Chart.rows = (plot, spec) => {
  const { element, fitted, marker, scale, show, tick, ticks, width } = Chart;
  const rows = spec.rows;
  const room = Math.max(plot.clientWidth, 240);
  const narrow = room < 520;
  const bars = Math.max(1, ...rows.map((row) => row.bars.length));
  const longest = Math.max(0, ...rows.map((row) => width(row.label, 13) + (row.invalid ? 18 : 0)));
  const left = narrow ? 4 : Math.min(longest + 12, room * 0.3);
  const right = 8;
  // Figures stand in a column of their own: at the end of a whisker they would seem to be its.
  const texts = Math.max(0, ...rows.flatMap((row) => row.bars.map((bar) => (bar.text ? width(bar.text, 12) + 14 : 0))));
  const height = (narrow ? 18 : 0) + (spec.points ? 34 : Math.max(26, bars * 17 + 10));
  const top = 6;
  const bottom = top + rows.length * height;
  const total = bottom + 40;
  const values = rows.flatMap((row) => row.bars.flatMap((bar) => [bar.value, bar.low, bar.high, ...(bar.trials || [])]));
  if (spec.target) values.push(spec.target);
  const [min, max] = Chart.around(values.filter((it) => it !== null && it !== undefined), spec.log);
  const x = scale(min, max, left, room - right - texts, spec.log);

  const svg = element("svg", { viewBox: `0 0 ${room} ${total}`, class: "rows", "data-min": min, "data-max": max, "data-from": x.from, "data-to": x.to, "data-log": spec.log ? 1 : 0 });
  const wanted = Math.max(2, Math.floor((x.to - x.from) / (narrow ? 70 : 90)));
  for (const value of ticks(x, wanted)) {
    const at = x.at(value);
    svg.append(element("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
    svg.append(element("text", { class: "tick", x: at, y: bottom + 15, "text-anchor": "middle" }, tick[spec.unit](value)));
  }
  svg.append(element("text", { class: "axis", x: (x.from + x.to) / 2, y: bottom + 33, "text-anchor": "middle" }, fitted(spec.label + (spec.log ? ", logarithmic" : ""), room - 10, 12)));

  const whisker = (bar, y, group) => {
    if (bar.low === null || bar.low === undefined || (bar.low === bar.high && bar.high !== null)) return;
    const low = x.at(Math.max(bar.low, min));
    const high = bar.high === null ? x.to : x.at(bar.high);
    const cap = spec.points ? 2.5 : 4;
    const d = `M${low},${y}H${high}M${low},${y - cap}v${2 * cap}` + (bar.high === null ? "" : `M${high},${y - cap}v${2 * cap}`);
    if (!spec.points) group.append(element("path", { class: "halo", d }));
    group.append(element("path", { class: spec.points ? "whisker fine" : "whisker", d }));
  };
  const boxes = rows.map((row, place) => {
    const y0 = top + place * height;
    const group = element("g", { class: "row b" + row.broker + (row.invalid ? " invalid" : "") });
    const hit = element("rect", { class: "hit", x: 0, y: y0, width: room, height });
    const name = (row.invalid ? "⚠ " : "") + row.label;
    const label = element("text", { class: "name", x: narrow ? left : left - 10, y: narrow ? y0 + 14 : y0 + (spec.points ? 14.5 : height / 2 + 4.5), "text-anchor": narrow ? "start" : "end" });
    label.append(fitted(name, narrow ? room - 10 : left - 12, 13));
    label.append(element("title", {}, name));
    group.append(hit, label);
    const y1 = y0 + (narrow ? 18 : 0);
    const inner = height - (narrow ? 18 : 0);
    if (spec.points) {
      const y = y1 + 10;
      const known = row.bars.filter((bar) => bar.value !== null);
      if (known.length > 1) {
        const ends = known.map((bar) => x.at(bar.value));
        group.append(element("line", { class: "range", x1: Math.min(...ends), x2: Math.max(...ends), y1: y, y2: y }));
      }
      // Side by side, so that each can be told from the next.
      known.forEach((bar, i) => whisker(bar, y + 8 + i * 3.5, group));
      for (const bar of known) {
        const dot = marker(bar.shape, x.at(bar.value), y, 5, { class: "dot" + (bar.blurred ? " blurred" : ""), "data-name": bar.name, "data-value": bar.value });
        group.append(dot);
      }
    } else {
      const thick = Math.min(17, (inner - 8) / bars);
      row.bars.forEach((bar, i) => {
        if (bar.value === null) return;
        const y = y1 + inner / 2 + (i - row.bars.length / 2) * thick;
        const from = spec.log ? x.from : x.at(0);
        group.append(element("rect", { class: "bar " + (bar.kind || ""), x: from, y: y + 1, width: Math.max(0, x.at(Math.max(bar.value, min)) - from), height: thick - 2, "data-name": bar.name, "data-value": bar.value }));
        for (const trial of bar.trials || []) {
          if (x.inside(trial)) group.append(element("circle", { class: "trial", cx: x.at(trial), cy: y + thick / 2, r: 2.2 }));
        }
        whisker(bar, y + thick / 2, group);
        group.append(element("text", { class: "figure", x: room - right, y: y + thick / 2 + 4, "text-anchor": "end" }, bar.text || ""));
      });
    }
    svg.append(group);
    return { row, y: y0, group };
  });
  if (spec.target && x.inside(spec.target)) {
    const at = x.at(spec.target);
    svg.append(element("line", { class: "target", x1: at, x2: at, y1: top, y2: bottom }));
  }
  plot.replaceChildren(svg);

  const tip = Chart.tips.tip(plot);
  const point = (place, at, speak) => {
    const box = boxes[place];
    boxes.forEach((it) => it.group.classList.toggle("on", it === box));
    const lines = box.row.bars.map((bar) => ({ broker: box.row.broker, name: bar.name, value: bar.said, dim: bar.value === null }));
    if (box.row.remark) lines.push({ name: box.row.remark, value: "" });
    const ratio = plot.clientWidth / room;
    tip.show(box.row.label, lines, at, (box.y + height) * ratio, speak);
  };
  const leave = () => {
    boxes.forEach((it) => it.group.classList.remove("on"));
    tip.hide();
  };
  boxes.forEach((box, place) => {
    // A finger does not move before it is lifted.
    for (const kind of ["pointermove", "click"]) {
      box.group.addEventListener(kind, (event) => point(place, event.clientX - plot.getBoundingClientRect().left, false));
    }
  });
  svg.addEventListener("pointerleave", leave);
  return { stops: rows.length, go: (place) => point(place, left + 20, true), leave, show };
};
