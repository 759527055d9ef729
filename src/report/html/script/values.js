"use strict";
// What the parts of the charts share: numbers as a person reads them, elements, text, scales.
const Chart = (() => {
  const short = (value) => (value < 9.95 ? value.toFixed(1) : value.toFixed(0));
  const whole = (value) => value.toString().replace(/\B(?=(\d{3})+$)/g, ",");

  // As the tables print them.
  const show = {
    nanoseconds(value) {
      if (value < 999.5) return value.toFixed(0) + " ns";
      if (value < 999.5e3) return short(value / 1e3) + " µs";
      if (value < 999.5e6) return short(value / 1e6) + " ms";
      return short(value / 1e9) + " s";
    },
    "per-second"(value) {
      if (value > 0 && value < 9.95) return short(value);
      if (value < 99999.5) return whole(Math.round(value));
      if (value < 999500) return (value / 1e3).toFixed(0) + " k";
      return (value / 1e6).toFixed(2) + " M";
    },
    count: whole,
    seconds(value) {
      return (Math.round(value * 10) / 10).toString() + " s";
    },
    share(value) {
      const percent = value * 100;
      for (let decimals = 0; decimals < 9; decimals += 1) {
        const text = percent.toFixed(decimals);
        if (Math.abs(Number(text) - percent) < 1e-9) return text + " %";
      }
      return percent + " %";
    },
  };

  // Along an axis: no more digits than the step needs.
  const tick = {
    nanoseconds(value) {
      const units = [["s", 1e9], ["ms", 1e6], ["µs", 1e3]];
      const unit = units.find(([, size]) => value >= size);
      if (!unit) return value === 0 ? "0" : Number(value.toPrecision(3)) + " ns";
      return Number((value / unit[1]).toPrecision(4)) + " " + unit[0];
    },
    "per-second"(value) {
      if (value >= 1e6) return Number((value / 1e6).toPrecision(4)) + " M";
      if (value >= 1e4) return Number((value / 1e3).toPrecision(4)) + " k";
      return value < 10 ? String(Number(value.toPrecision(3))) : whole(Math.round(value));
    },
    seconds: (value) => String(Number(value.toPrecision(6))),
    share: show.share,
  };

  const SPACE = "http://www.w3.org/2000/svg";
  function element(name, attributes, ...inside) {
    const node = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== undefined && value !== null) node.setAttribute(key, value);
    }
    node.append(...inside);
    return node;
  }
  function html(name, attributes, ...inside) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...inside);
    return node;
  }

  const pen = document.createElement("canvas").getContext("2d");
  function width(text, size) {
    pen.font = (size || 12) + "px " + getComputedStyle(document.body).fontFamily;
    return pen.measureText(text).width;
  }
  // Text that fits, with an ellipsis where it does not.
  function fitted(text, room, size) {
    if (width(text, size) <= room) return text;
    const letters = [...text];
    while (letters.length > 1 && width(letters.join("") + "…", size) > room) letters.pop();
    return letters.join("") + "…";
  }

  // Places on an axis: of a value, and where round values are.
  function scale(min, max, from, to, log) {
    const over = log ? Math.log10 : (value) => value;
    const back = log ? (value) => 10 ** value : (value) => value;
    const [low, high] = [over(min), over(max)];
    const span = high - low || 1;
    const at = (value) => from + ((over(value) - low) / span) * (to - from);
    return {
      min, max, log, from, to, at,
      value: (place) => back(low + ((place - from) / (to - from)) * span),
      inside: (value) => value >= min && value <= max,
    };
  }
  function round(min, max, wanted) {
    const rough = (max - min) / Math.max(wanted, 1);
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((it) => it * ten).find((it) => it >= rough * 0.999) || ten * 10;
    const all = [];
    for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; i += 1) all.push(i * step);
    return all;
  }
  function decades(min, max, wanted) {
    const make = (digits) => {
      const all = [];
      for (let power = Math.floor(Math.log10(min)); 10 ** power <= max; power += 1) {
        for (const digit of digits) {
          const value = digit * 10 ** power;
          if (value >= min * 0.999 && value <= max * 1.001) all.push(value);
        }
      }
      return all;
    };
    const ones = make([1]);
    for (const digits of [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3]]) {
      const all = make(digits);
      if (all.length <= wanted) return all.length > 1 ? all : round(min, max, wanted);
    }
    const every = Math.ceil(ones.length / wanted);
    return ones.filter((_, place) => place % every === 0);
  }
  const ticks = (scale, wanted) => (scale.log ? decades : round)(scale.min, scale.max, wanted);

  // A little more than what is to be seen, from zero on where equal steps are drawn.
  function around(values, log) {
    const known = values.filter((it) => Number.isFinite(it) && (!log || it > 0));
    if (!known.length) return log ? [1, 10] : [0, 1];
    const [low, high] = [Math.min(...known), Math.max(...known)];
    if (log) return [low / 1.15, high * 1.15];
    return [0, high > 0 ? high * 1.04 : 1];
  }

  const MARKERS = {
    circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
    square: (r) => `M${-r * 0.9},${-r * 0.9}h${r * 1.8}v${r * 1.8}h${-r * 1.8}Z`,
    triangle: (r) => `M0,${-r * 1.2}L${r * 1.1},${r * 0.8}H${-r * 1.1}Z`,
    diamond: (r) => `M0,${-r * 1.3}L${r * 1.3},0L0,${r * 1.3}L${-r * 1.3},0Z`,
  };
  function marker(kind, x, y, radius, attributes) {
    return element("path", { d: MARKERS[kind](radius), transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`, ...attributes });
  }

  return { show, tick, element, html, width, fitted, scale, ticks, around, marker };
})();
