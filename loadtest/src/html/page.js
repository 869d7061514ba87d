(() => {
  'use strict';
  const root = document.documentElement;
  document.getElementById('theme').onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  };
  const W = 640, H = 300, L = 58, R = 14, T = 18, B = 36;
  const node = (name, attributes = {}, text) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const say = n => {
    if (n === 0) return '0';
    const a = Math.abs(n);
    if (a >= 1e6) return +(n / 1e6).toPrecision(4) + ' M';
    if (a >= 1e4) return +(n / 1e3).toPrecision(4) + ' k';
    return String(+n.toPrecision(a >= 1000 ? 4 : 3));
  };
  const nines = rarity => rarity <= 1 ? '0 %' : +(100 * (1 - 1 / rarity)).toFixed(Math.max(0, Math.ceil(Math.log10(rarity)) - 1)) + ' %';
  const steps = (low, high, wanted) => {
    const raw = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw) || 10 * power;
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(+at.toPrecision(12));
    return found;
  };
  const decades = (low, high, between) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.0001; power++)
      for (const m of between ? [1, 2, 5] : [1]) {
        const at = m * 10 ** power;
        if (at >= low * 0.9999 && at <= high * 1.0001) found.push(at);
      }
    return found;
  };
  const scale = (kind, low, high, from, to) => {
    const log = kind !== 'linear', f = log ? Math.log : x => x, a = f(low), b = f(high);
    return v => v === null ? NaN : from + (to - from) * ((f(log ? Math.max(v, low) : v) - a) / ((b - a) || 1));
  };
  // Bands are shades of one colour, under the line that they belong to.
  const look = (chart, index) => {
    const series = chart.series[index], before = chart.series.slice(0, index);
    if (series.kind === 'band') return ['var(--c0)', 0.12 + 0.13 * before.length];
    return [`var(--c${before.filter(other => other.kind !== 'band').length % 8})`, series.kind === 'part' ? 0.62 : 1];
  };
  const draw = (chart, box) => {
    const shown = chart.series.filter(series => !series.off);
    const logX = chart.x.scale !== 'linear', logY = chart.y.scale !== 'linear';
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (const series of shown) for (const point of series.points) {
      x0 = Math.min(x0, point[0]); x1 = Math.max(x1, point[0]);
      for (const y of point.slice(1)) if (y !== null && (!logY || y > 0)) { y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
    }
    if (!isFinite(x0)) { x0 = 1; x1 = 2; }
    if (!isFinite(y0)) { y0 = logY ? 0.1 : 0; y1 = 1; }
    if (!logY && y1 <= 0) y1 = 1;
    for (const limit of chart.limits) if (limit.at < y1 * (logY ? 5 : 1.6)) { y1 = Math.max(y1, limit.at); y0 = Math.min(y0, limit.at); }
    if (!logX && chart.x.label === 'seconds') x0 = Math.min(x0, 0);
    if (logY) { y0 = Math.min(y0 * 0.9, y1 / 10); y1 *= 1.15; } else { y0 = Math.min(0, y0); y1 = y1 + (y1 - y0 || 1) * 0.06; }
    if (x1 <= x0) x1 = x0 + 1;
    const X = scale(chart.x.scale, x0, x1, L, W - R), Y = scale(chart.y.scale, y0, y1, H - B, T);
    const svg = node('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': chart.title });
    let ticks = logY ? decades(y0, y1, Math.log10(y1 / y0) < 2.5) : steps(y0, y1, 5);
    if (logY && ticks.length < 2) ticks = steps(y0, y1, 4).filter(at => at > 0);
    for (const at of ticks) {
      svg.append(node('line', { class: 'grid', x1: L, x2: W - R, y1: Y(at), y2: Y(at) }));
      svg.append(node('text', { x: L - 7, y: Y(at) + 4, 'text-anchor': 'end' }, say(at)));
    }
    for (const at of logX ? decades(Math.max(x0, 1e-9), x1, Math.log10(x1 / x0) < 2) : steps(x0, x1, 7)) {
      svg.append(node('line', { class: 'grid', x1: X(at), x2: X(at), y1: T, y2: H - B }));
      svg.append(node('text', { x: X(at), y: H - B + 16, 'text-anchor': 'middle' }, chart.x.scale === 'nines' ? nines(at) : say(at)));
    }
    svg.append(node('text', { x: W - R, y: H - 5, 'text-anchor': 'end' }, chart.x.label));
    svg.append(node('text', { x: 6, y: 12 }, chart.y.label));
    chart.series.forEach((series, index) => {
      if (series.off) return;
      const [color, opacity] = look(chart, index);
      const runs = [[]];
      for (const point of series.points) {
        if (point.includes(null)) { runs.push([]); continue; }
        runs[runs.length - 1].push(point);
      }
      const path = points => points.map((p, at) => (at ? 'L' : 'M') + X(p[0]).toFixed(1) + ' ' + Y(p[1]).toFixed(1)).join('');
      for (const run of runs) {
        if (!run.length) continue;
        if (series.kind === 'band' || series.kind === 'part') {
          const back = [...run].reverse().map(p => 'L' + X(p[0]).toFixed(1) + ' ' + Y(p[1]).toFixed(1)).join('');
          const top = run.map(p => [p[0], p[2]]);
          svg.append(node('path', { d: path(top) + back + 'Z', fill: color, opacity }));
          if (series.kind === 'part') svg.append(node('path', { d: path(top), fill: 'none', stroke: color, 'stroke-width': 0.8 }));
          continue;
        }
        svg.append(node('path', { d: path(run), fill: 'none', stroke: color, 'stroke-width': 1.8, 'stroke-linejoin': 'round' }));
        if (series.kind === 'dots' || run.length === 1)
          for (const p of run) svg.append(node('circle', { cx: X(p[0]), cy: Y(p[1]), r: 3, fill: color }));
      }
    });
    for (const limit of chart.limits) {
      if (limit.at < y0 || limit.at > y1) continue;
      svg.append(node('line', { class: 'limit', x1: L, x2: W - R, y1: Y(limit.at), y2: Y(limit.at) }));
      svg.append(node('text', { x: W - R - 2, y: Y(limit.at) - 4, 'text-anchor': 'end' }, limit.label));
    }
    chart.marks.forEach((mark, at) => {
      if (mark.at < x0 || mark.at > x1) return;
      const x = X(mark.at), left = x > W * 0.7;
      svg.append(node('line', { class: 'mark', x1: x, x2: x, y1: T, y2: H - B }));
      if (chart.marks.length < 12)
        svg.append(node('text', { x: left ? x - 4 : x + 4, y: T + 10 + (at % 3) * 13, 'text-anchor': left ? 'end' : 'start' }, mark.label));
    });
    const cross = svg.appendChild(node('line', { class: 'cross', y1: T, y2: H - B, visibility: 'hidden' }));
    const tip = element('div', 'tip');
    tip.hidden = true;
    svg.onpointermove = event => {
      const frame = svg.getBoundingClientRect(), px = (event.clientX - frame.left) * W / frame.width;
      let nearest = null;
      for (const series of shown) for (const p of series.points)
        if (nearest === null || Math.abs(X(p[0]) - px) < Math.abs(X(nearest) - px)) nearest = p[0];
      if (nearest === null) return;
      tip.replaceChildren(element('b', '', chart.x.scale === 'nines' ? nines(nearest) : `${say(nearest)} ${chart.x.label}`));
      for (const series of shown) {
        let best = null;
        for (const p of series.points) if (best === null || Math.abs(X(p[0]) - X(nearest)) < Math.abs(X(best[0]) - X(nearest))) best = p;
        if (!best || Math.abs(X(best[0]) - X(nearest)) > 12) continue;
        const value = best.length === 2 ? say(best[1]) : series.kind === 'part' ? say(best[2] - best[1]) : `${say(best[1])} – ${say(best[2])}`;
        tip.append(element('br'), `${series.name}: ${value} ${chart.y.label}`);
      }
      for (const a of ['x1', 'x2']) cross.setAttribute(a, X(nearest));
      cross.setAttribute('visibility', 'visible');
      tip.hidden = false;
      const at = X(nearest) * frame.width / W;
      tip.style.top = '64px';
      if (at > frame.width / 2) { tip.style.left = ''; tip.style.right = `${frame.width - at + 28}px`; }
      else { tip.style.right = ''; tip.style.left = `${at + 28}px`; }
    };
    svg.onpointerleave = () => { tip.hidden = true; cross.setAttribute('visibility', 'hidden'); };
    box.replaceChildren(svg, tip);
  };
  const all = document.getElementById('charts');
  for (const chart of JSON.parse(document.getElementById('data').textContent).charts) {
    const figure = all.appendChild(element('figure'));
    const caption = figure.appendChild(element('figcaption'));
    caption.append(element('b', '', chart.title), element('small', '', chart.note));
    const box = figure.appendChild(element('div'));
    const legend = figure.appendChild(element('div', 'legend'));
    chart.series.forEach((series, index) => {
      const entry = legend.appendChild(element('span'));
      const swatch = entry.appendChild(element('i'));
      [swatch.style.background, swatch.style.opacity] = look(chart, index);
      entry.append(series.name);
      entry.onclick = () => { series.off = !series.off; entry.classList.toggle('off'); draw(chart, box); };
    });
    draw(chart, box);
  }
})();
