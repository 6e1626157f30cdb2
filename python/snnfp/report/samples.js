// Samples: spikes of every group above, voltages below, on one axis of time that can be zoomed.

const LEFT = 96;
const RIGHT = 14;

// What a colour of the page is at present, for a canvas.
const inks = new Map();

function ink(name) {
  if (!inks.has(name)) {
    inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return inks.get(name);
}

function context(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 900;
  const height = canvas.clientHeight || 300;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11.5px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return { pen, width, height };
}

// The colour of a neuron of the outputs: its class's, as long as there are as many colours; of many
// classes only the label and what was said have one.
function unitColour(sample, panel, unit) {
  if (panel.name !== sample.output) return ink(`c${(panel.units.indexOf(unit) + 2) % 7}`);
  if (panel.size <= 7) return ink(`c${unit}`);
  if (unit === sample.label) return ink("c2");
  if (unit === sample.said) return ink("c5");
  return ink("muted");
}

function verdict(sample) {
  const parts = [];
  if (sample.label !== null) parts.push(`label ${sample.label}`);
  if (sample.said !== null) parts.push(sample.said < 0 ? "no answer" : `network says ${sample.said}`);
  if (sample.label !== null && sample.said !== null) parts.push(sample.label === sample.said ? "right" : "wrong");
  return parts.join(", ");
}

function mark(sample) {
  if (sample.label === null || sample.said === null) return "";
  return sample.label === sample.said ? "ok" : "no";
}

class Viewer {
  constructor(host, run, samples, names, unit) {
    this.samples = samples;
    this.unit = unit;
    this.name = names.length > 1 ? names[run] : "";
    this.follow = () => {};
    this.voltages = "";
    this.build(host, run);
    this.show(0, true);
    new ResizeObserver(() => this.draw()).observe(this.raster);
  }

  build(host, run) {
    const button = (text, label, act) => {
      const made = node("button", { type: "button", title: label, "aria-label": label }, text);
      made.addEventListener("click", act);
      return made;
    };
    this.tabs = this.samples.map((sample, k) => {
      const tab = node("button", { type: "button", role: "tab", class: mark(sample) }, `sample ${sample.index}`);
      tab.addEventListener("click", () => this.show(k));
      return tab;
    });
    this.verdict = node("p", { class: "verdict" });
    this.window = node("span", { class: "window" });
    this.select = node("select", { "aria-label": "voltages of" });
    this.select.addEventListener("change", () => {
      this.voltages = this.select.value;
      this.draw();
      this.follow(this);
    });
    this.raster = node("canvas", { class: "raster", tabindex: 0, role: "img", "aria-label": "spikes" });
    this.curves = node("canvas", { class: "voltage", tabindex: 0, role: "img", "aria-label": "voltages" });
    this.legend = node("div", { class: "legend" });
    this.hover = node("div", { class: "legend" });
    for (const canvas of [this.raster, this.curves]) this.listen(canvas);
    host.append(
      this.name ? node("h3", { class: `run${run}` }, this.name) : "",
      node("div", { class: "tabs", role: "tablist" }, ...this.tabs),
      this.verdict,
      node("div", { class: "tools" },
        button("+", "zoom in", () => this.zoom(0.5)),
        button("−", "zoom out", () => this.zoom(2)),
        button("←", "earlier", () => this.shift(-0.3)),
        button("→", "later", () => this.shift(0.3)),
        button("all", "the whole sample", () => this.look(0, this.sample.end)),
        this.window,
        node("label", {}, "voltages of ", this.select)),
      this.raster, this.curves, this.legend, this.hover);
  }

  // -- what is seen ----------------------------------------------------------------------------

  show(k, alone) {
    const before = this.sample;
    this.sample = this.samples[k];
    this.chosen = k;
    this.tabs.forEach((tab, at) => tab.setAttribute("aria-selected", at === k));
    this.verdict.textContent = verdict(this.sample);
    this.verdict.className = `verdict ${mark(this.sample)}`;
    this.select.replaceChildren(...this.sample.voltages.map((panel) => {
      const drawn = panel.units.length < panel.size ? ` (${panel.units.length} of ${panel.size} neurons)` : "";
      return node("option", { value: panel.name }, panel.name + drawn);
    }));
    if (!this.sample.voltages.some((panel) => panel.name === this.voltages)) {
      this.voltages = this.sample.voltages[0].name;
    }
    this.select.value = this.voltages;
    if (!before || before.end !== this.sample.end) [this.from, this.to] = [0, this.sample.end];
    this.look(this.from, this.to, alone);
  }

  look(from, to, alone) {
    const { end } = this.sample;
    const span = Math.min(Math.max(to - from, end * 1e-4), end);
    this.from = Math.min(Math.max(from, 0), end - span);
    this.to = this.from + span;
    this.draw();
    if (!alone) this.follow(this);
  }

  zoom(factor, about) {
    const middle = about === undefined ? (this.from + this.to) / 2 : about;
    this.look(middle - (middle - this.from) * factor, middle + (this.to - middle) * factor);
  }

  shift(part) {
    const step = part * (this.to - this.from);
    this.look(this.from + step, this.to + step);
  }

  // -- hands -----------------------------------------------------------------------------------

  listen(canvas) {
    let start = null;
    const at = (event) => event.clientX - canvas.getBoundingClientRect().left;
    const time = (pixel) => this.from + ((pixel - LEFT) / (canvas.clientWidth - LEFT - RIGHT)) * (this.to - this.from);
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      start = at(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (start !== null) this.draw([time(start), time(at(event))]);
      this.tell(time(at(event)), event.clientY - canvas.getBoundingClientRect().top, canvas);
    });
    canvas.addEventListener("pointerup", (event) => {
      const [a, b] = [start, at(event)].sort((p, q) => p - q);
      const dragged = start !== null && b - a > 5;
      start = null;
      if (dragged) this.look(time(a), time(b));
      else this.draw();
    });
    canvas.addEventListener("pointerleave", () => this.hover.replaceChildren());
    canvas.addEventListener("dblclick", () => this.look(0, this.sample.end));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, time(at(event)));
    }, { passive: false });
    const keys = {
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2),
      ArrowLeft: () => this.shift(-0.3), ArrowRight: () => this.shift(0.3), 0: () => this.look(0, this.sample.end),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  // The time under the pointer, and the spike next to it.
  tell(time, height, canvas) {
    const parts = [node("span", {}, "time ", node("b", {}, `${say(time)} ${this.unit}`))];
    if (canvas === this.raster) {
      let best = null;
      const perPixel = (this.to - this.from) / (canvas.clientWidth - LEFT - RIGHT);
      for (const row of this.rows) {
        row.group.times.forEach((t, k) => {
          const dx = (t - time) / perPixel;
          const dy = row.top + (row.group.units[k] + 0.5) * row.each - height;
          const distance = dx * dx + dy * dy;
          if (distance < 400 && (best === null || distance < best.distance)) best = { distance, t, row, unit: row.group.units[k] };
        });
      }
      if (best) parts.push(node("span", {}, "spike of ", node("b", {}, `${best.row.group.name} ${best.unit}`), ` at ${say(best.t)} ${this.unit}`));
    }
    this.hover.replaceChildren(...parts);
  }

  // -- drawing ---------------------------------------------------------------------------------

  draw(selected) {
    inks.clear();
    this.window.textContent = `${say(this.from)} … ${say(this.to)} ${this.unit}`;
    this.drawRaster(selected);
    this.drawVoltages(selected);
  }

  place(width) {
    return scale(this.from, this.to, LEFT, width - RIGHT, false);
  }

  drawRaster(selected) {
    const { pen, width, height } = context(this.raster);
    const x = this.place(width);
    const { groups, label, output, decided } = this.sample;
    // As high as they are large, but none so low that its neurons cannot be told apart.
    const tallest = Math.max(...groups.map((group) => group.size));
    const parts = groups.map((group) => Math.max(group.size, tallest / 4));
    const room = (height - 12) / parts.reduce((a, b) => a + b, 0);
    const outputs = this.sample.voltages.find((panel) => panel.name === output);
    let top = 6;
    let drawn = 0;
    this.rows = [];
    groups.forEach((group, k) => {
      const tall = parts[k] * room;
      const each = tall / group.size;
      this.rows.push({ group, top, each });
      pen.fillStyle = ink("grid");
      if (k) pen.fillRect(LEFT, top, width - LEFT - RIGHT, 1);
      if (group.name === output && label !== null) {
        pen.globalAlpha = 0.14;
        pen.fillStyle = unitColour(this.sample, outputs, label);
        pen.fillRect(LEFT, top + label * each, width - LEFT - RIGHT, each);
        pen.globalAlpha = 1;
      }
      pen.fillStyle = ink("muted");
      pen.textAlign = "right";
      pen.fillText(group.name, LEFT - 10, top + tall / 2 - 7, LEFT - 14);
      pen.fillText(`(${group.size})`, LEFT - 10, top + tall / 2 + 7, LEFT - 14);
      const long = Math.min(Math.max(each * 0.8, 5), 16);
      for (let i = 0; i < group.times.length; i += 1) {
        const t = group.times[i];
        if (t < this.from || t > this.to) continue;
        const unit = group.units[i];
        pen.fillStyle = group.name === output && outputs ? unitColour(this.sample, outputs, unit) : ink("text");
        pen.globalAlpha = group.name === output ? 1 : 0.75;
        pen.fillRect(x(t) - 0.8, top + (unit + 0.5) * each - long / 2, group.name === output ? 2.2 : 1.6, long);
        drawn += 1;
      }
      pen.globalAlpha = 1;
      top += tall;
    });
    this.decide(pen, x, height, decided);
    this.band(pen, x, height, selected);
    this.raster.dataset.spikes = drawn;
  }

  drawVoltages(selected) {
    const panel = this.sample.voltages.find((p) => p.name === this.voltages);
    const { pen, width, height } = context(this.curves);
    const bottom = height - 26;
    const x = this.place(width);
    const [low, high] = this.reach(panel);
    const y = scale(low, high, bottom, 8, false);
    pen.textAlign = "right";
    for (const tick of y.ticks(4)) {
      pen.fillStyle = ink("grid");
      pen.fillRect(LEFT, y(tick), width - LEFT - RIGHT, 1);
      pen.fillStyle = ink("muted");
      pen.fillText(say(tick), LEFT - 10, y(tick));
    }
    pen.fillStyle = ink("rule");
    pen.fillRect(LEFT, bottom, width - LEFT - RIGHT, 1);
    pen.fillStyle = ink("muted");
    pen.textAlign = "center";
    for (const tick of x.ticks(Math.floor(width / 90))) pen.fillText(say(tick), x(tick), bottom + 12);
    pen.textAlign = "left";
    pen.fillText(this.unit ? `time (${this.unit})` : "time", 4, bottom + 12);
    pen.fillText("V", 4, 14);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT - RIGHT, bottom);
    pen.clip();
    this.thresholds(pen, panel, y, width);
    panel.units.forEach((unit, k) => {
      const bold = panel.name === this.sample.output && unit === this.sample.label;
      const { label, said } = this.sample;
      const other = panel.name === this.sample.output && panel.size > 7 && unit !== label && unit !== said;
      pen.strokeStyle = unitColour(this.sample, panel, unit);
      pen.globalAlpha = other ? 0.55 : 1;
      pen.lineWidth = bold ? 2.6 : other ? 1 : 1.5;
      pen.lineJoin = "round";
      pen.beginPath();
      panel.v[k].forEach((v, at) => pen[at ? "lineTo" : "moveTo"](x(panel.times[at]), y(v)));
      pen.stroke();
    });
    pen.globalAlpha = 1;
    this.decide(pen, x, bottom, this.sample.decided);
    pen.restore();
    this.band(pen, x, bottom, selected);
    this.curves.dataset.lines = panel.units.length;
    this.nameLines(panel);
  }

  // Deep inhibition is cut off, which would press everything else flat.
  reach(panel) {
    const values = panel.v.flat();
    let [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
    if (panel.threshold) {
      const top = Math.max(...panel.threshold);
      high = Math.max(high, top * 1.1);
      low = Math.max(low, -2 * Math.abs(top));
    }
    const room = (high - low || 1) * 0.04;
    return [low - room, high + room];
  }

  thresholds(pen, panel, y, width) {
    if (!panel.threshold) return;
    pen.strokeStyle = ink("muted");
    pen.setLineDash([5, 4]);
    pen.lineWidth = 1;
    for (const level of new Set(panel.threshold)) {
      pen.beginPath();
      pen.moveTo(LEFT, y(level));
      pen.lineTo(width - RIGHT, y(level));
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  // The first output spike, which decides.
  decide(pen, x, height, time) {
    if (time === null || time < this.from || time > this.to) return;
    pen.strokeStyle = ink("text");
    pen.lineWidth = 1;
    pen.setLineDash([2, 3]);
    pen.beginPath();
    pen.moveTo(x(time), 0);
    pen.lineTo(x(time), height);
    pen.stroke();
    pen.setLineDash([]);
  }

  band(pen, x, height, selected) {
    if (!selected) return;
    pen.globalAlpha = 0.15;
    pen.fillStyle = ink("accent");
    pen.fillRect(x(selected[0]), 0, x(selected[1]) - x(selected[0]), height);
    pen.globalAlpha = 1;
  }

  nameLines(panel) {
    const { label, said, output, decided } = this.sample;
    const named = panel.units.map((unit) => {
      const also = [];
      if (panel.name === output && unit === label) also.push("label");
      if (panel.name === output && unit === said) also.push("answer");
      return node("span", {}, swatch(unitColour(this.sample, panel, unit), ""), `${panel.name} ${unit}`,
        also.length ? node("b", {}, ` ${also.join(", ")}`) : null);
    });
    if (panel.threshold) named.push(node("span", {}, swatch("var(--muted)", "5 4"), "threshold"));
    if (decided !== null) named.push(node("span", {}, swatch("var(--text)", "2 3"), "first output spike"));
    this.legend.replaceChildren(...named);
  }
}
