"use strict";
// The charts of a run: from the values in the page to rows and lines.
(() => {
  const source = document.getElementById("charts-data");
  if (!source) {
    document.documentElement.dataset.ready = "0";
    return;
  }
  const data = JSON.parse(source.textContent);
  const { show, html } = Chart;
  const brokers = data.brokers;
  const off = new Set();
  const on = (it) => !off.has(it.broker);
  const invalid = (place) => brokers[place].validity.state !== "ok";
  const remark = (place) => {
    const it = brokers[place].validity;
    if (it.state === "ok") return "";
    return it.state === "invalid" ? "⚠ " + it.verdict + ": " + it.reason : "⚠ " + it.reason;
  };
  const row = (place, bars, label) => ({ broker: place, label: label || brokers[place].label, invalid: invalid(place), remark: remark(place), bars });

  // The median, what lies around it, and of how many trials.
  function said(estimate, unit, blurred) {
    if (estimate === null) return "–";
    if (estimate.whisker === "bracket") return estimate.text + "/s after " + estimate.n + " trials";
    const ends = [show[unit](estimate.low), estimate.high === null ? "lost" : show[unit](estimate.high)];
    const around = { interval: ", 95 % " + ends.join(" to "), range: ", trials " + ends.join(" to "), none: "" }[estimate.whisker];
    return estimate.text + (blurred ? " ~" : "") + around + ", n = " + estimate.n;
  }
  function bar(name, estimate, unit, kind) {
    if (estimate === null) return { name, value: null, said: "–" };
    return { name, kind, value: estimate.median, low: estimate.low, high: estimate.high, trials: estimate.trials, text: estimate.text, said: said(estimate, unit) };
  }
  const SHAPES = ["circle", "square", "diamond", "triangle"];

  const makers = {
    throughput: {
      of: data.throughput,
      rows: (chart) => ({
        unit: chart.axis.unit, label: chart.axis.label, target: chart.target,
        rows: chart.bars.filter(on).map((it) => row(it.broker, [bar(it.estimate.whisker === "bracket" ? "takes" : "median", it.estimate, chart.axis.unit)])),
      }),
      log: () => false,
    },
    percentiles: {
      of: data.percentiles,
      rows: (chart) => ({
        unit: chart.axis.unit, label: chart.axis.label, points: true,
        rows: chart.brokers.filter(on).map((it) => row(it.broker, it.percentiles.map((p, i) => ({
          name: p.name, shape: SHAPES[i], blurred: p.blurred,
          value: p.estimate ? p.estimate.median : null,
          low: p.estimate && p.estimate.low, high: p.estimate ? p.estimate.high : null,
          said: p.estimate ? said(p.estimate, chart.axis.unit, p.blurred) : { lost: "lost", "too-few": "– too few samples" }[p.state] || "–",
        })))),
      }),
      log: (chart) => chart.axis.log,
    },
    cost: {
      of: data.cost,
      rows: (chart) => ({
        unit: chart.axis.unit, label: chart.axis.label,
        rows: chart.brokers.filter(on).map((it) => row(it.broker, [
          bar("broker", it.server, chart.axis.unit, "server"),
          bar("client", it.client, chart.axis.unit, "client"),
        ].filter((b) => b.value !== null))),
      }),
      log: () => false,
    },
    "durability-rate": {
      of: data.durability,
      rows: (chart) => ({
        unit: chart.rate.unit, label: chart.rate.label,
        rows: chart.systems.flatMap((system) => system.steps.filter(on).map((it) => row(it.broker, [bar("median", it.rate, chart.rate.unit)], system.title + ", " + it.durability))),
      }),
      log: () => false,
    },
    "durability-latency": {
      of: data.durability && data.durability.latency ? data.durability : null,
      rows: (chart) => ({
        unit: chart.latency.unit, label: chart.latency.label,
        rows: chart.systems.flatMap((system) => system.steps.filter(on).map((it) => row(it.broker, [
          it.percentile === null ? bar("–", null) : bar(it.percentile.name, it.percentile.estimate, chart.latency.unit),
        ], system.title + ", " + it.durability))),
      }),
      log: (chart) => chart.latency.log,
    },
    load: { of: data.load, lines: byLoad, log: (chart) => chart.y.log },
    curve: { of: data.curve, lines: curve, log: (chart) => chart.y.log },
  };
  (data.over_time ? data.over_time.panels : []).forEach((panel) => {
    makers["over-time-" + panel.broker] = { of: panel, lines: overTime, log: () => data.over_time.y.log, shared: "over-time" };
  });
  (data.heat ? data.heat.panels : []).forEach((panel) => {
    makers["heat-" + panel.broker] = { of: panel, heat, log: () => true, shared: "heat" };
  });

  // Shares lie at the logarithm of what is left beyond them.
  const left = (share) => -Math.log10(1 - share);
  const ROUND = [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 0.999999, 0.9999999];
  const MAIN = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999, 0.9999999];
  function shareTicks(min, max, x) {
    const within = (all) => all.filter((it) => left(it) >= min - 1e-9 && left(it) <= max + 1e-9).map((it) => ({ value: left(it), text: show.share(it) }));
    const all = within(ROUND);
    return Math.abs(x.to - x.from) / Math.max(all.length, 1) > 64 || within(MAIN).length < 3 ? all : within(MAIN);
  }
  function curve(chart) {
    const lines = chart.lines.filter(on);
    const stops = [...new Set(lines.flatMap((line) => line.points.map((p) => p[0])))].sort((a, b) => a - b);
    const shares = new Map(stops.map((it) => [left(it), it]));
    const series = lines.map((line) => ({
      broker: line.broker, name: brokers[line.broker].label,
      points: line.points.map(([share, value]) => [left(share), value]),
      dash: brokers[line.broker].look.dash, marker: brokers[line.broker].look.marker,
      kind: invalid(line.broker) ? "invalid" : "", lost: line.end === "lost",
    }));
    return {
      id: "curve", unit: chart.y.unit, xlabel: chart.x.label + ", by what is left beyond", series,
      xmin: 0, xmax: Math.max(1, ...series.map((it) => it.points[it.points.length - 1][0])) * 1.01,
      xticks: shareTicks, stops: [...shares.keys()],
      tell(at) {
        const share = shares.get(at);
        const lines = series.map((it) => ({ it, p: it.points.find((p) => p[0] === at) }));
        lines.sort((a, b) => (a.p ? a.p[1] : Infinity) - (b.p ? b.p[1] : Infinity));
        return {
          title: Number((share * 100).toFixed(Math.max(1, Math.ceil(left(share)) - 1))) + " % of messages took at most",
          lines: lines.map(({ it, p }) => ({ broker: it.broker, name: it.name, value: p ? show[chart.y.unit](p[1]) : it.lost ? "lost" : "too few samples", dim: !p })),
        };
      },
    };
  }

  // Rates lie at their logarithm where they are far apart.
  function byLoad(chart) {
    const unit = chart.y.unit;
    const placed = chart.x.log ? Math.log10 : (rate) => rate;
    const lines = chart.lines.filter(on);
    const rates = new Map(lines.flatMap((line) => line.points.map((p) => [placed(p.rate), p.rate])));
    const stops = [...rates.keys()].sort((a, b) => a - b);
    // What waits longer the longer it lasts would leave no room for the others.
    const valid = lines.flatMap((line) => line.points.filter((p) => p.estimate && !p.verdict).map((p) => p.estimate.median));
    const most = valid.length ? Math.max(...valid) * 4 : Infinity;
    const series = lines.map((line) => ({
      broker: line.broker, name: brokers[line.broker].label, line,
      points: line.points.map((p) => [placed(p.rate), p.estimate ? Math.min(p.estimate.median, most) : null]),
      dots: line.points.map((p) => ({ hollow: p.verdict !== null, ring: p.holds })),
      dash: brokers[line.broker].look.dash, marker: brokers[line.broker].look.marker,
    }));
    const room = (stops[stops.length - 1] - stops[0]) * 0.03 || 0.5;
    return {
      id: "load", unit, xlabel: chart.x.label, series, stops,
      xmin: stops[0] - room, xmax: stops[stops.length - 1] + room,
      xticks: (min, max) => stops.filter((it) => it >= min && it <= max).map((it) => ({ value: it, text: show[chart.x.unit](rates.get(it)) })),
      tell(at) {
        const told = series.map((it) => ({ it, p: it.line.points.find((p) => placed(p.rate) === at) }));
        const rank = ({ p }) => (p && p.estimate ? p.estimate.median : Infinity);
        told.sort((a, b) => rank(a) - rank(b));
        const value = (p) => (!p ? "not tried" : (p.estimate ? said(p.estimate, unit) : p.lost ? "lost" : "–") + (p.verdict ? " · " + p.verdict : ""));
        return {
          title: chart.percentile + " at " + show[chart.x.unit](rates.get(at)) + "/s",
          lines: told.map(({ it, p }) => ({ broker: it.broker, name: it.name, value: value(p), dim: !p || p.verdict !== null })),
        };
      },
    };
  }

  // What disturbed a second, with the name of who took most where that is known.
  function took(point) {
    const who = point.by === undefined ? "" : " (" + data.over_time.takers[point.by] + ")";
    return "disturbed in this second" + who;
  }

  // Trials one after the other; a little room between them.
  function overTime(panel, log) {
    const unit = data.over_time.y.unit;
    const gap = 0.5;
    let from = 0;
    const places = new Map();
    const shades = [];
    const cuts = [];
    const starts = [];
    const [p50, p99] = [[], []];
    panel.trials.forEach((trial, i) => {
      if (i > 0) {
        from += gap;
        cuts.push(from - gap / 2);
        p50.push(null);
        p99.push(null);
      }
      starts.push({ value: from + trial.seconds / 2, text: String(trial.trial) });
      if (trial.verdict) shades.push({ kind: "bad", from, to: from + trial.seconds });
      for (const point of trial.points) {
        const at = from + point.at;
        const before = shades[shades.length - 1];
        if (point.disturbed && before && before.kind === "disturbed" && Math.abs(before.to - (at - data.together)) < 0.2) before.to = at;
        else if (point.disturbed) shades.push({ kind: "disturbed", from: Math.max(from, at - data.together), to: at });
        places.set(at, { trial, point });
        p50.push([at, point.p50]);
        p99.push([at, point.p99]);
      }
      from += trial.seconds;
    });
    const all = data.over_time.panels.filter(on).flatMap((it) => it.trials.flatMap((t) => t.points.flatMap((p) => [p.p50, p.p99])));
    return {
      id: "over-time-" + panel.broker, unit, height: 200, yrange: Chart.around(all.filter((it) => it !== null), log),
      series: [
        { broker: panel.broker, name: "p50", points: p50, dash: [] },
        { broker: panel.broker, name: "p99", points: p99, dash: [], kind: "upper" },
      ],
      shades, cuts, xmin: 0, xmax: from, stops: [...places.keys()],
      xticks: (min, max) => starts.filter((it) => it.value >= min && it.value <= max), bare: true, xlabel: "trial",
      tell(at) {
        const { trial, point } = places.get(at);
        const value = (it) => (it === null ? "nothing arrived" : show[unit](it));
        const lines = [["p50", point.p50], ["p99", point.p99], ["max", point.max]].map(([name, it]) => ({ broker: panel.broker, name, value: value(it) }));
        if (point.disturbed) lines.push({ name: took(point), value: "" });
        if (trial.verdict) lines.push({ name: "the trial is " + trial.verdict, value: "" });
        const second = Number(point.at.toFixed(1));
        const when = data.together > 1 ? ", " + data.together + " seconds up to " + second : ", second " + second;
        return { title: "trial " + trial.trial + when, lines };
      },
    };
  }

  // Columns of all trials, one trial after the other.
  function heat(panel) {
    const { colours, most, per_decade: decade, rows, together, y } = data.heat;
    const all = panel.trials.reduce((sum, it) => sum + it.seconds, 0);
    const gap = Math.min(0.006 * all, (0.2 * all) / Math.max(1, panel.trials.length - 1));
    const bound = (cell) => 10 ** (cell / decade);
    const span = (low, high) => show[y.unit](bound(low)) + " to " + show[y.unit](bound(high + 1));
    const messages = (count) => show.count(count) + (count === 1 ? " message" : " messages");
    const columns = [];
    const shades = [];
    const starts = [];
    let from = 0;
    for (const trial of panel.trials) {
      if (trial.verdict) shades.push({ kind: "bad", from, to: from + trial.seconds });
      starts.push({ value: from + trial.seconds / 2, text: String(trial.trial) });
      for (const column of trial.columns) {
        const place = { from: from + column.from, to: from + column.to };
        const before = shades[shades.length - 1];
        if (column.disturbed && before && before.kind === "disturbed" && before.to === place.from) before.to = place.to;
        else if (column.disturbed) shades.push({ kind: "disturbed", ...place });
        columns.push({ ...place, cells: column.cells, of: column, trial });
      }
      from += trial.seconds + gap;
    }
    return {
      id: "heat-" + panel.broker, broker: panel.broker, unit: y.unit, rows, bound, columns, shades, starts, xmax: from - gap, xlabel: "trial",
      // The same rule by which pictures are coloured.
      step: (count) => (most > 1 && count > 1 ? Math.min(colours - 1, Math.floor((Math.log(count) / Math.log(most)) * colours)) : 0),
      // Of a cell where there is one, else of the whole column.
      tell(column, cell) {
        const { of, trial, cells } = column;
        const second = Number(of.to.toFixed(1));
        const when = together > 1 ? ", seconds " + Number(of.from.toFixed(1)) + " to " + second : ", second " + second;
        const total = cells.reduce((sum, it) => sum + it[1], 0);
        const lines = [];
        if (cell !== null) {
          const found = cells.find((it) => it[0] === cell);
          lines.push({ broker: panel.broker, name: span(cell, cell), value: found ? messages(found[1]) : "none" });
        } else if (cells.length) {
          const fullest = cells.reduce((a, b) => (b[1] > a[1] ? b : a));
          lines.push({ broker: panel.broker, name: span(cells[0][0], cells[cells.length - 1][0]), value: "all" });
          lines.push({ broker: panel.broker, name: span(fullest[0], fullest[0]), value: messages(fullest[1]) + ", the most" });
        }
        lines.push({ name: together > 1 ? "in these seconds" : "in this second", value: total ? messages(total) : "nothing arrived" });
        if (of.disturbed) lines.push({ name: together > 1 ? "others took CPU in one of them" : "others took CPU in it", value: "" });
        if (trial.verdict) lines.push({ name: "the trial is " + trial.verdict, value: "" });
        return { title: "trial " + trial.trial + when, lines };
      },
    };
  }

  const views = [];
  const logs = new Map();
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const maker = makers[figure.dataset.chart];
    if (!maker || !maker.of) continue;
    const plot = figure.querySelector(".plot");
    const group = maker.shared || figure.dataset.chart;
    if (!logs.has(group)) logs.set(group, maker.log(maker.of));
    let zoomed = null;
    let handle = { stops: 0, go() {}, leave() {} };
    const tools = figure.querySelector(".tools") || figure.closest("figure").querySelector("figcaption .tools");
    const reset = html("button", { type: "button", hidden: "" }, "Reset zoom");
    const zoom = {
      get range() {
        return zoomed;
      },
      to(range) {
        zoomed = range;
        view.draw();
      },
    };
    const view = {
      group,
      draw() {
        if (maker.shared) figure.hidden = !on(maker.of);
        if (figure.hidden) return;
        const log = logs.get(group);
        if (maker.heat) handle = Chart.heat(plot, maker.heat(maker.of));
        else if (maker.rows) handle = Chart.rows(plot, { ...maker.rows(maker.of), log });
        else handle = Chart.lines(plot, { ...maker.lines(maker.of, log), log }, zoom);
        reset.hidden = zoomed === null;
      },
    };
    // The right end is where the rare and slow ones are: that is what is looked at more closely.
    const closer = (factor) => {
      const whole = maker.lines(maker.of, logs.get(group));
      const [from, to] = zoomed || [whole.xmin, whole.xmax];
      const span = (to - from) * factor;
      const start = Math.max(whole.xmin, to - span);
      zoom.to(span >= whole.xmax - whole.xmin ? null : [start, Math.min(whole.xmax, start + span)]);
    };
    if (maker.lines) {
      reset.addEventListener("click", () => zoom.to(null));
      for (const [text, label, factor] of [["+", "Zoom in", 0.5], ["−", "Zoom out", 2]]) {
        const button = html("button", { type: "button", "aria-label": label }, text);
        button.addEventListener("click", () => closer(factor));
        if (!maker.shared) tools.append(button);
      }
      tools.append(reset);
      plot.addEventListener("keydown", (event) => {
        if (event.key === "+") closer(0.5);
        else if (event.key === "-") closer(2);
        else if (event.key === "0") zoom.to(null);
      });
    }
    const scale = document.querySelector(`[data-log="${group}"]`);
    if (scale && !scale.dataset.bound) {
      scale.dataset.bound = "1";
      scale.hidden = false;
      const label = () => {
        scale.textContent = logs.get(group) ? "Linear scale" : "Logarithmic scale";
      };
      label();
      scale.addEventListener("click", () => {
        logs.set(group, !logs.get(group));
        label();
        for (const it of views) if (it.group === group) it.draw();
      });
    }
    plot.tabIndex = 0;
    Chart.tips.keys(plot, () => handle.stops, (place) => handle.go(place), () => handle.leave());
    views.push(view);
  }
  const draw = () => {
    for (const view of views) view.draw();
  };

  // Which brokers are shown, in all charts at once.
  const chips = document.getElementById("chips");
  const all = html("button", { type: "button", class: "all", hidden: "" }, "Show all");
  const update = () => {
    all.hidden = off.size === 0;
    for (const chip of chips.querySelectorAll("button[data-broker]")) chip.setAttribute("aria-pressed", String(!off.has(Number(chip.dataset.broker))));
    draw();
  };
  const only = (place) => {
    const alone = off.size === brokers.length - 1 && !off.has(place);
    off.clear();
    if (!alone) brokers.forEach((_, other) => other !== place && off.add(other));
    update();
  };
  if (brokers.length > 1) {
    chips.hidden = false;
    brokers.forEach((broker, place) => {
      const name = html("bdi");
      name.textContent = broker.label;
      const mark = Chart.element("svg", { class: "mark-line b" + place, viewBox: "0 0 26 12", width: 26, height: 12, "aria-hidden": "true" },
        Chart.element("line", { x1: 0, x2: 26, y1: 6, y2: 6, "stroke-dasharray": broker.look.dash.join(" ") || undefined }),
        Chart.marker(broker.look.marker, 13, 6, 4, {}));
      const chip = html("button", { type: "button", "data-broker": place, "aria-pressed": "true", title: "Click: show or hide. Double click: this one alone." }, mark, name);
      if (broker.validity.state !== "ok") chip.append(" ⚠");
      chip.addEventListener("click", (event) => {
        if (event.shiftKey) return only(place);
        if (off.has(place)) off.delete(place);
        else off.add(place);
        update();
      });
      chip.addEventListener("dblclick", () => only(place));
      chips.append(chip);
    });
    all.addEventListener("click", () => {
      off.clear();
      update();
    });
    chips.append(all);
  }

  let drawn = 0;
  const observer = new ResizeObserver(() => {
    const now = document.documentElement.clientWidth;
    if (now === drawn) return;
    drawn = now;
    requestAnimationFrame(draw);
  });
  draw();
  drawn = document.documentElement.clientWidth;
  observer.observe(document.documentElement);
  document.documentElement.dataset.ready = String(views.length);
})();
