"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement, tip = document.getElementById("tip");
  const hidden = new Set(), charts = [];
  let axis = "iteration";

  // ---- data -------------------------------------------------------------------------------------------------
  const COLUMNS = ["iteration", "bits", "seconds", "mean", "low", "high"];

  function unpack(line, name) {
    line.unpacked ??= {};
    if (!line.unpacked[name]) {
      const text = atob(line.points[name] ?? ""), bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      const numbers = new Float32Array(bytes.buffer), width = line.band ? 6 : 4, rows = numbers.length / width;
      line.unpacked[name] = Object.fromEntries(
        COLUMNS.slice(0, width).map((key, at) => [key, numbers.subarray(at * rows, (at + 1) * rows)]));
    }
    return line.unpacked[name];
  }

  function number(value) {
    if (value == null || !Number.isFinite(value)) return "";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e");
    return String(+value.toPrecision(6));
  }

  const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  function scaled(value) {
    for (const [size, letter] of PREFIXES) if (Math.abs(value) >= size) return +(value / size).toPrecision(4) + letter;
    return number(value);
  }
  const place = (value) => axis === "bits" ? scaled(value) + "bit" : axis === "seconds" ? number(value) + " s" : "k = " + Math.round(value);
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // ---- a chart ----------------------------------------------------------------------------------------------
  class Chart {
    constructor(figure, lines, quantity, fixed) {
      this.figure = figure; this.lines = lines; this.quantity = quantity; this.fixed = fixed; this.log = quantity.log;
      this.box = figure.querySelector(".plot");
      this.button = figure.querySelector(".log");
      this.button.addEventListener("click", () => { this.log = !this.log; this.draw(); });
      const select = figure.querySelector("select");
      if (select) {
        for (const one of data.quantities) select.add(new Option(one.label, one.name, false, one.name === quantity.name));
        select.addEventListener("change", () => {
          this.quantity = data.quantities.find((one) => one.name === select.value); this.log = this.quantity.log; this.draw();
        });
      }
      this.draw();
      new ResizeObserver(() => this.resize()).observe(this.box);
    }

    get axis() { return this.fixed ? "iteration" : axis; }
    get size() { return {width: Math.floor(this.box.clientWidth), height: this.box.clientWidth < 420 ? 230 : 280}; }
    shown(at) { return this.fixed || !hidden.has(at); }

    resize() {
      const {width, height} = this.size;
      if (this.plot && width && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({width, height});
    }

    /** Series of all lines on common places, each null where it has no value. */
    table() {
      const tables = [], series = [{}], bands = [], ends = [null];
      this.lines.forEach((line, at) => {
        const columns = unpack(line, this.quantity.name), color = css("--c" + line.color);
        const keys = line.band ? ["mean", "low", "high"] : ["mean"];
        const drawable = (value) => Number.isFinite(value) && (!this.log || value > 0) ? value : null;
        const x = Array.from(columns[this.axis]), rows = [];
        let last = -Infinity;  // places must rise: rows that stand at one place are drawn a hair apart
        for (let i = 0; i < x.length; i++) { if (x[i] <= last) x[i] = last + Math.max(Math.abs(last), 1) * 1e-9; last = x[i]; }
        tables.push([x, ...keys.map((key) => Array.from(columns[key], drawable))]);
        const base = series.length;
        for (const key of keys) {
          const mean = key === "mean";
          series.push({label: line.label, show: this.shown(at), stroke: mean ? color : "transparent", width: mean ? 1.8 : 0,
            dash: mean && line.dash.length ? line.dash : undefined, spanGaps: true,
            points: {show: mean && x.length === 1}, line: at, mean, color});
          ends.push([x[0], x[x.length - 1]]);
        }
        if (line.band) bands.push({series: [base + 2, base + 1], fill: color + "2e"});
      });
      const joined = tables.length ? uPlot.join(tables) : [[]];
      return {joined, series, bands, ends};
    }

    draw() {
      this.button.setAttribute("aria-pressed", this.log);
      const {joined, series, bands, ends} = this.table(), ink = css("--soft"), grid = {stroke: css("--line"), width: 1};
      const nearest = (plot, at, hovered, x) => {
        const values = plot.data[at], span = ends[at];
        if (values[hovered] != null) return hovered;
        if (!span || x < span[0] || x > span[1]) return null;
        for (let step = 1; step < values.length; step++) {
          if (values[hovered - step] != null) return hovered - step;
          if (values[hovered + step] != null) return hovered + step;
        }
        return null;
      };
      const common = {stroke: ink, grid, ticks: grid, font: "12px system-ui,sans-serif", labelFont: "12px system-ui,sans-serif", labelSize: 20};
      const options = {
        ...this.size, series, bands, legend: {show: false}, padding: [8, 18, 0, 0],
        cursor: {dataIdx: nearest, points: {show: (plot, at) => series[at]?.mean ? undefined : false, size: 7}, y: false, drag: {x: true, y: false}},
        scales: {x: {time: false}, y: {distr: this.log ? 3 : 1}},
        axes: [
          {...common, label: this.fixed ? "iterations K" : data.axes[axis], size: 34, space: 60, values: (_, marks) => marks.map(scaled)},
          {...common, size: 62, values: (_, marks) => marks.map((value) => value == null ? "" : number(value))},
        ],
        hooks: {setCursor: [(plot) => this.tell(plot)]},
      };
      this.plot?.destroy();
      this.plot = new uPlot(options, joined, this.box);
      this.plot.over.addEventListener("mouseleave", () => { tip.hidden = true; });
    }

    /** What the lines are worth where the pointer is, the nearest one first. */
    tell(plot) {
      const {left, top, idx, idxs} = plot.cursor;
      if (idx == null || left < 0) { tip.hidden = true; return; }
      const rows = [];
      plot.series.forEach((one, at) => {
        const where = idxs[at];
        if (!one.mean || !one.show || where == null) return;
        const value = plot.data[at][where];
        if (value == null) return;
        const line = this.lines[one.line];
        const spread = line.band ? [plot.data[at + 1][where], plot.data[at + 2][where]] : null;
        rows.push({label: one.label, color: one.color, value, spread, far: Math.abs(plot.valToPos(value, "y") - top)});
      });
      if (!rows.length) { tip.hidden = true; return; }
      rows.sort((a, b) => a.far - b.far);
      tip.replaceChildren();
      const head = document.createElement("div");
      head.textContent = this.fixed ? "K = " + Math.round(plot.data[0][idx]) : place(plot.data[0][idx]);
      const table = document.createElement("table");
      rows.slice(0, 8).forEach((row, at) => {
        const tr = table.insertRow();
        tr.className = at || rows.length < 2 ? "" : "near";
        const swatch = document.createElement("i");
        swatch.style.background = row.color;
        tr.insertCell().append(swatch);
        const value = tr.insertCell();
        value.className = "number";
        value.textContent = number(row.value) + (row.spread ? ` (${number(row.spread[0])} to ${number(row.spread[1])})` : "");
        tr.insertCell().textContent = row.label.replace(/ \(\d+ seeds.*\)$/, "");
      });
      tip.append(head, table);
      if (rows.length > 8) tip.append(`and ${rows.length - 8} more`);
      show(plot.over.getBoundingClientRect().left + left, plot.over.getBoundingClientRect().top + top);
    }
  }

  function show(x, y) {
    tip.hidden = false;
    const {width, height} = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, x + width + 20 > innerWidth ? x - width - 14 : x + 14) + "px";
    tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - height - 4)) + "px";
  }

  // ---- the page ---------------------------------------------------------------------------------------------
  for (const figure of document.querySelectorAll("[data-quantity]")) {
    charts.push(new Chart(figure, data.lines, data.quantities.find((one) => one.name === figure.dataset.quantity), false));
  }
  for (const figure of document.querySelectorAll("[data-theory]")) {
    charts.push(new Chart(figure, data.theory[figure.dataset.theory], {name: "decay", label: "", log: true}, true));
  }
  const redraw = () => charts.forEach((chart) => chart.draw());

  for (const button of document.querySelectorAll("#against button")) {
    button.addEventListener("click", () => {
      axis = button.dataset.axis;
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button);
      redraw();
    });
  }

  const chips = [...document.querySelectorAll("[data-line]")];
  function dress() {
    chips.forEach((chip, at) => chip.setAttribute("aria-pressed", !hidden.has(at)));
    redraw();
  }
  chips.forEach((chip, at) => chip.addEventListener("click", () => { hidden.delete(at) || hidden.add(at); dress(); }));
  document.getElementById("all")?.addEventListener("click", () => {
    const some = hidden.size > 0;
    hidden.clear();
    if (!some) chips.forEach((_, at) => hidden.add(at));
    dress();
  });

  for (const part of document.querySelectorAll("[data-part]")) {
    part.addEventListener("mousemove", (event) => { tip.textContent = part.dataset.part; show(event.clientX, event.clientY); });
    part.addEventListener("mouseleave", () => { tip.hidden = true; });
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    redraw();
  });

  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
    redraw();
  });
  addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before; else delete root.dataset.theme;
    redraw();
  });
})();
