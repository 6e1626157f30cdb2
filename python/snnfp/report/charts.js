"use strict";
// Lines and histograms on SVG, with axes, a cursor and zoom. Text from a run is always text content.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "6 4", "2 3", "8 3 2 3"];

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(key, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function node(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function shape(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function colour(k) {
  return `var(--c${k % 7})`;
}

function say(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "—";
  const size = Math.abs(x);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return x.toExponential(2);
  return String(Number(x.toPrecision(4)));
}

// Round numbers within low ... high, about as many as asked for.
function ticks(low, high, most) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => span / s <= most) || 10 * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k += 1) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

function logTicks(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const every = Math.max(1, Math.ceil((last - first) / 5));
  const found = [];
  for (let k = first; k <= last; k += every) {
    for (const digit of last - first <= 2 ? [1, 2, 5] : [1]) {
      const tick = digit * 10 ** k;
      if (tick >= low * 0.999 && tick <= high * 1.001) found.push(tick);
    }
  }
  return found;
}

// From numbers to places, and back.
function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (x) => x;
  const a = f(low);
  const b = f(high) === a ? a + 1 : f(high);
  const place = (x) => from + ((f(x) - a) / (b - a)) * (to - from);
  place.back = (pixel) => a + ((pixel - from) / (to - from)) * (b - a);
  place.ticks = (most) => (log ? logTicks(low, high) : ticks(low, high, most));
  return place;
}

function swatch(stroke, dash, filled) {
  const mark = filled
    ? shape("rect", { x: 0, y: 0, width: 20, height: 9, fill: stroke, "fill-opacity": 0.5 })
    : shape("line", { x1: 0, y1: 5, x2: 20, y2: 5, stroke, "stroke-width": 2.5, "stroke-dasharray": dash });
  return shape("svg", { viewBox: "0 0 20 9", "aria-hidden": "true" }, mark);
}

const MARGIN = { left: 52, right: 12, top: 8, bottom: 38 };
const HEIGHT = 230;

// An empty plot of the width that there is, drawn anew when that changes.
function plot(title, draw) {
  const tools = node("span");
  const host = node("div");
  const legend = node("div", { class: "legend" });
  const figure = node("figure", {}, node("figcaption", {}, node("span", {}, title), tools), host, legend);
  let width = 0;
  const again = () => {
    width = host.clientWidth || 480;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": title });
    draw(svg, width, legend);
    host.replaceChildren(svg);
  };
  new ResizeObserver(() => {
    if (host.clientWidth && host.clientWidth !== width) again();
  }).observe(host);
  return { figure, tools, again };
}

function axes(svg, x, y, width, xlabel, whole) {
  const bottom = HEIGHT - MARGIN.bottom;
  for (const tick of y.ticks(5)) {
    const at = y(tick);
    svg.append(shape("line", { class: "gridline", x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }));
    svg.append(shape("text", { x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }, say(tick)));
  }
  svg.append(shape("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }));
  for (const tick of x.ticks(Math.max(3, Math.floor(width / 90)))) {
    if (whole && !Number.isInteger(tick)) continue;
    svg.append(shape("text", { x: x(tick), y: bottom + 15, "text-anchor": "middle" }, say(tick)));
  }
  svg.append(shape("text", { x: (MARGIN.left + width - MARGIN.right) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, xlabel));
}

// Drag selects from ... to in pixels; double-click asks for all.
function selectable(svg, move, leave, select, all) {
  let start = null;
  const band = shape("rect", { class: "band", y: MARGIN.top, height: HEIGHT - MARGIN.top - MARGIN.bottom, width: 0 });
  const at = (event) => event.clientX - svg.getBoundingClientRect().left;
  svg.append(band);
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    move(at(event));
    if (start === null) return;
    band.setAttribute("x", Math.min(start, at(event)));
    band.setAttribute("width", Math.abs(at(event) - start));
  });
  svg.addEventListener("pointerup", (event) => {
    const [from, to] = [start, at(event)].sort((p, q) => p - q);
    const dragged = start !== null && to - from > 5;
    start = null;
    band.setAttribute("width", 0);
    if (dragged) select(from, to);
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("dblclick", all);
}

let clips = 0;

function lineChart(panel, runs) {
  const all = panel.lines.flatMap((line) => line.x);
  const [first, last] = [Math.min(...all), Math.max(...all)];
  const whole = first === last ? [first - 0.5, last + 0.5] : [first, last];
  const values = panel.lines.flatMap((line) => line.y).filter((v) => v !== null);
  const mayLog = values.every((v) => v > 0) && Math.max(...values) > 3 * Math.min(...values) && !panel.fraction;
  let view = whole;
  let log = false;

  const named = (line) => [runs.length > 1 ? runs[line.run] : "", line.name].filter(Boolean).join(" · ");
  const tell = (legend, nearest) => {
    legend.replaceChildren(
      ...(nearest === null ? [] : [node("span", {}, "epoch ", node("b", {}, String(nearest)))]),
      ...panel.lines.map((line) => {
        const at = nearest === null ? line.y.length - 1 : line.x.indexOf(nearest);
        return node("span", {}, swatch(colour(line.colour), DASHES[line.dash % 4]), `${named(line) || "value"} `,
          node("b", {}, say(line.y[at])));
      }),
    );
  };

  const draw = (svg, width, legend) => {
    const seen = panel.lines.flatMap((line) => line.y.filter((v, k) => v !== null && line.x[k] >= view[0] && line.x[k] <= view[1]));
    let [low, high] = seen.length ? [Math.min(...seen), Math.max(...seen)] : [0, 1];
    if (panel.fraction) {
      low = low < 0.5 ? 0 : low - 0.1 * (1 - low);
      high = high > 0.4 ? 1 : Math.max(1.15 * high, 0.1);
    } else if (!log) {
      const room = (high - low || Math.abs(high) || 1) * 0.06;
      [low, high] = [low >= 0 && low < 0.4 * high ? 0 : low - room, high + room];
    } else if (low === high) [low, high] = [low / 2, high * 2];
    const x = scale(view[0], view[1], MARGIN.left, width - MARGIN.right, false);
    const y = scale(low, high, HEIGHT - MARGIN.bottom, MARGIN.top, log);
    axes(svg, x, y, width, "epoch", true);
    clips += 1;
    const clip = `clip${clips}`;
    svg.append(shape("clipPath", { id: clip }, shape("rect", {
      x: MARGIN.left - 4, y: 0, width: width - MARGIN.left - MARGIN.right + 8, height: HEIGHT - MARGIN.bottom + 4,
    })));
    const group = shape("g", { "clip-path": `url(#${clip})` });
    for (const line of panel.lines) {
      let d = "";
      let down = false;
      line.x.forEach((epoch, k) => {
        const v = line.y[k];
        if (v === null) down = false;
        else {
          d += `${down ? "L" : "M"}${x(epoch).toFixed(1)} ${y(v).toFixed(1)}`;
          down = true;
        }
      });
      group.append(shape("path", { class: "line", d, stroke: colour(line.colour), "stroke-dasharray": DASHES[line.dash % 4] }));
      if (line.x.length < 10) {
        line.x.forEach((epoch, k) => {
          if (line.y[k] !== null) group.append(shape("circle", { cx: x(epoch), cy: y(line.y[k]), r: 3, fill: colour(line.colour) }));
        });
      }
    }
    const cursor = shape("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, visibility: "hidden" });
    svg.append(group, cursor);
    tell(legend, null);
    selectable(
      svg,
      (pixel) => {
        const wanted = x.back(pixel);
        const nearest = all.reduce((best, e) => (Math.abs(e - wanted) < Math.abs(best - wanted) ? e : best), first);
        fill(cursor, { x1: x(nearest), x2: x(nearest), visibility: "visible" }, []);
        tell(legend, nearest);
      },
      () => {
        cursor.setAttribute("visibility", "hidden");
        tell(legend, null);
      },
      (from, to) => {
        const [a, b] = [Math.max(x.back(from), whole[0]), Math.min(x.back(to), whole[1])];
        if (b > a) view = [a, b];
        made.again();
      },
      () => {
        view = whole;
        made.again();
      },
    );
  };

  const made = plot(panel.title, draw);
  if (mayLog) {
    const button = node("button", { type: "button", class: "small" }, "log");
    button.addEventListener("click", () => {
      log = !log;
      button.textContent = log ? "linear" : "log";
      made.again();
    });
    made.tools.append(button);
  }
  return made;
}

function histogram(panel, runs, xlabel) {
  const { edges, series } = panel;
  const apart = series.some((s) => s.silent !== undefined);
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const named = (s) => [runs.length > 1 ? runs[s.run] : "", s.name].filter(Boolean).join(" · ");
  const style = (s) => {
    const before = s.name === "before";
    const own = runs.length > 1 ? colour(5 * s.run) : colour(0);
    return { stroke: before && runs.length === 1 ? "var(--muted)" : own, dash: before ? "4 3" : "", filled: !before };
  };
  const tell = (legend, bin) => {
    legend.replaceChildren(
      ...(bin === null ? [] : [node("span", {}, `${say(edges[bin])} … ${say(edges[bin + 1])}`)]),
      ...series.map((s) => {
        const { stroke, dash, filled } = style(s);
        const told = bin !== null ? String(s.counts[bin]) : s.silent === undefined ? "" : `${s.silent} of ${s.of} silent`;
        return node("span", {}, swatch(stroke, dash, filled), `${named(s)} `, node("b", {}, told));
      }),
    );
  };
  const draw = (svg, width, legend) => {
    const most = Math.max(1, ...series.flatMap((s) => [...s.counts, s.silent || 0]));
    const left = MARGIN.left + (apart ? 44 : 0);
    const x = scale(low, high, left, width - MARGIN.right, false);
    const y = scale(0, most * 1.05, HEIGHT - MARGIN.bottom, MARGIN.top, false);
    axes(svg, x, y, width, xlabel);
    const floor = y(0);
    series.forEach((s, k) => {
      const { stroke, dash, filled } = style(s);
      let d = `M${x(low).toFixed(1)} ${floor}`;
      s.counts.forEach((n, bin) => {
        d += `V${y(n).toFixed(1)}H${x(edges[bin + 1]).toFixed(1)}`;
      });
      svg.append(shape("path", {
        class: "bars", d: `${d}V${floor}`, stroke, "stroke-width": 1.4, "stroke-dasharray": dash,
        fill: filled ? stroke : "none", "fill-opacity": runs.length > 1 ? 0.15 : 0.3,
      }));
      if (s.silent !== undefined) {
        const wide = 24 / series.length;
        svg.append(shape("rect", {
          class: "silent", x: MARGIN.left + 8 + k * wide, y: y(s.silent), width: wide - 1, height: floor - y(s.silent),
          fill: runs.length > 1 ? stroke : "var(--muted)", "fill-opacity": 0.6,
        }));
      }
    });
    if (apart) svg.append(shape("text", { x: MARGIN.left + 20, y: floor + 15, "text-anchor": "middle" }, "silent"));
    tell(legend, null);
    svg.addEventListener("pointermove", (event) => {
      const at = x.back(event.clientX - svg.getBoundingClientRect().left);
      const bin = Math.floor(((at - low) / (high - low)) * (edges.length - 1));
      tell(legend, bin >= 0 && bin < edges.length - 1 ? bin : null);
    });
    svg.addEventListener("pointerleave", () => tell(legend, null));
  };
  return plot(panel.title, draw);
}
