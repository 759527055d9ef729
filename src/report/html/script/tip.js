"use strict";
// What a chart says of the place that the pointer or the arrow keys are at.
Chart.tips = (() => {
  // Lines of a broker's look, name and value; `plot` is the box of the chart.
  function tip(plot) {
    const box = Chart.html("div", { class: "tip", hidden: "" });
    const spoken = Chart.html("div", { class: "said", "aria-live": "polite" });
    plot.append(box, spoken);
    return {
      show(title, lines, x, y, speak) {
        const head = Chart.html("strong");
        head.textContent = title;
        const rows = lines.map((line) => {
          const key = Chart.html("span", { class: "key" + (line.broker === undefined ? " none" : " b" + line.broker) });
          const name = Chart.html("bdi");
          name.textContent = line.name;
          const value = Chart.html("span", { class: "value" });
          value.textContent = line.value;
          return Chart.html("div", { class: line.dim ? "dim" : "" }, key, name, value);
        });
        box.replaceChildren(head, ...rows);
        box.hidden = false;
        const room = plot.clientWidth;
        const wide = box.offsetWidth;
        const left = x + 14 + wide > room ? x - wide - 14 : x + 14;
        box.style.left = Math.max(0, Math.min(left, room - wide)) + "px";
        box.style.top = Math.max(0, y) + "px";
        if (speak) spoken.textContent = title + ": " + lines.map((line) => line.name + " " + line.value).join("; ");
      },
      hide() {
        box.hidden = true;
      },
    };
  }

  // Arrow keys go from stop to stop, as the pointer does.
  function keys(plot, count, go, leave) {
    let at = -1;
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      const step = steps[event.key];
      if (step) at = Math.max(0, Math.min(count() - 1, at + step));
      else if (event.key === "Home") at = 0;
      else if (event.key === "End") at = count() - 1;
      else if (event.key === "Escape") {
        at = -1;
        leave();
        return;
      } else return;
      event.preventDefault();
      if (count() > 0) go(at);
    });
    plot.addEventListener("blur", () => {
      at = -1;
      leave();
    });
  }

  return { tip, keys };
})();
