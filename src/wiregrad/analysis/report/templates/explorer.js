"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const BOX = { left: 78, right: 800, top: 16, bottom: 446 };
const hidden = new Set();

function element(parent, name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) => new Option(label, value, false, value === chosen)));
}

const task = () => DATA.tasks.find((t) => t.id === $("task").value) || DATA.tasks[0];
const key = (curve) => `${curve.label}/${curve.workers}`;
const severalN = () => new Set(task().curves.map((c) => c.workers)).size > 1;
const name = (curve) => curve.title + (severalN() ? `, n = ${curve.workers}` : "");
/* Black lines take the colour of the text, so that they show on a dark page. */
const ink = (curve) => curve.colour === DATA.black ? "currentColor" : curve.colour;
const usable = (value, log) => value !== null && (!log || value > 0);

/* A map from values to pixels, and its ticks. */
function scale(values, log, from, to) {
  const f = log ? Math.log10 : (v) => v;
  let low = Math.min(...values.map(f)), high = Math.max(...values.map(f));
  if (low === high) { low -= 0.5; high += 0.5; }
  const pad = 0.03 * (high - low);
  low -= pad; high += pad;
  const map = (v) => from + (f(v) - low) / (high - low) * (to - from);
  const ticks = [];
  if (log && high - low > 1.2) {
    const every = Math.max(1, Math.ceil((high - low) / 7));
    for (let p = Math.ceil(low); p <= high; p += every) ticks.push(10 ** p);
  } else {
    const a = log ? 10 ** low : low, b = log ? 10 ** high : high;
    const raw = (b - a) / 6, unit = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw);
    for (let t = Math.ceil(a / step) * step; t <= b; t += step) ticks.push(Number(t.toPrecision(12)));
  }
  return { map, ticks };
}

function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e")
    : String(Number(value.toPrecision(4)));
}

function points(curve, xKey, band, logX, logY) {
  const xs = curve.x[xKey], ys = curve.y[$("y").value][band];
  return xs.map((x, i) => [x, ys[i]]).filter(([x, y]) => usable(x, logX) && usable(y, logY));
}

function draw() {
  const svg = $("plot"), xKey = $("x").value, yKey = $("y").value;
  const logX = $("logx").checked, logY = $("logy").checked;
  svg.replaceChildren();
  const shown = task().curves.filter((c) => !hidden.has(key(c)));
  const lines = shown.map((c) => ({ curve: c, at: points(c, xKey, 0, logX, logY) })).filter((l) => l.at.length);
  if (!lines.length) {
    element(svg, "text", { x: 410, y: 230, "text-anchor": "middle" }, "Nothing to show: not measured, or no method is chosen.");
    return;
  }
  const all = lines.flatMap((l) => l.at);
  const x = scale(all.map((p) => p[0]), logX, BOX.left, BOX.right);
  const y = scale(all.map((p) => p[1]), logY, BOX.bottom, BOX.top);
  for (const t of x.ticks) {
    element(svg, "line", { class: "grid", x1: x.map(t), x2: x.map(t), y1: BOX.top, y2: BOX.bottom });
    element(svg, "text", { x: x.map(t), y: BOX.bottom + 18, "text-anchor": "middle" }, short(t));
  }
  for (const t of y.ticks) {
    element(svg, "line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y.map(t), y2: y.map(t) });
    element(svg, "text", { x: BOX.left - 8, y: y.map(t) + 4, "text-anchor": "end" }, short(t));
  }
  element(svg, "text", { x: (BOX.left + BOX.right) / 2, y: 488, "text-anchor": "middle" }, DATA.axes.x[xKey].label);
  element(svg, "text", { transform: `translate(18 ${(BOX.top + BOX.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, DATA.axes.y[yKey].label);
  const path = (list) => list.map(([a, b], i) => `${i ? "L" : "M"}${x.map(a).toFixed(1)} ${y.map(b).toFixed(1)}`).join("");
  for (const { curve, at } of lines) {
    const low = points(curve, xKey, 1, logX, logY), high = points(curve, xKey, 2, logX, logY);
    if (low.length && low.length === high.length)
      element(svg, "path", { d: path([...low, ...high.reverse()]) + "Z", fill: ink(curve), opacity: 0.13 });
    element(svg, "path", { d: path(at), fill: "none", stroke: ink(curve), "stroke-width": 2,
      "stroke-dasharray": DATA.dashes[curve.dash].split(" ").filter(Boolean).map((d) => 2 * d).join(" ") });
  }
  svg.onmousemove = (event) => nearest(event, svg, lines, x, y);
}

function nearest(event, svg, lines, x, y) {
  const corner = svg.getBoundingClientRect();
  const px = (event.clientX - corner.left) / corner.width * 820, py = (event.clientY - corner.top) / corner.height * 500;
  let best = { distance: 900 };
  for (const { curve, at } of lines)
    for (const point of at) {
      const distance = (x.map(point[0]) - px) ** 2 + (y.map(point[1]) - py) ** 2;
      if (distance < best.distance) best = { distance, curve, point };
    }
  $("tip").textContent = best.curve ? `${name(best.curve)}: ${short(best.point[0])}, ${short(best.point[1])}` : "";
}

function listMethods() {
  $("methods").replaceChildren(...task().curves.map((curve) => {
    const label = document.createElement("label"), box = document.createElement("input"), swatch = document.createElement("span");
    box.type = "checkbox";
    box.checked = !hidden.has(key(curve));
    box.onchange = () => { box.checked ? hidden.delete(key(curve)) : hidden.add(key(curve)); draw(); };
    swatch.style.cssText = `flex:none;width:1.5rem;border-top:3px ${curve.dash === "solid" ? "solid" : curve.dash === "dotted" ? "dotted" : "dashed"} ${ink(curve)}`;
    label.append(box, swatch, name(curve));
    return label;
  }));
}

function axesChanged() {
  $("logx").checked = DATA.axes.x[$("x").value].scale !== "linear";
  $("logy").checked = DATA.axes.y[$("y").value].scale !== "linear";
  draw();
}

function setAll(visible) {
  for (const curve of task().curves) visible ? hidden.delete(key(curve)) : hidden.add(key(curve));
  listMethods();
  draw();
}

if (DATA.tasks.length) {
  options($("task"), DATA.tasks.map((t) => [t.id, `${t.id}: ${t.title}`]));
  options($("x"), Object.entries(DATA.axes.x).map(([k, a]) => [k, a.label]), "epoch");
  options($("y"), Object.entries(DATA.axes.y).map(([k, a]) => [k, a.label]), "train_loss");
  $("task").onchange = () => { listMethods(); draw(); };
  for (const id of ["x", "y"]) $(id).onchange = axesChanged;
  for (const id of ["logx", "logy"]) $(id).onchange = draw;
  $("all").onclick = () => setAll(true);
  $("none").onclick = () => setAll(false);
  listMethods();
  axesChanged();
} else {
  $("tip").textContent = "Nothing was run at this scale.";
}
