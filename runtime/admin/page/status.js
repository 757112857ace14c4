'use strict';
// Asks /status.json every second and draws it. What it says comes from strangers too (names of filters, what guests failed with), so
// text goes into the page as text nodes alone; the policy of the page forbids any other script.

const PERIOD = 1000;   // milliseconds between two questions
const POINTS = 120;    // in a chart
const WINDOW = 10;     // questions that the rates of tables span
const SERIES = 8;      // lines in a chart; more are left to the tables
const SVG = 'http://www.w3.org/2000/svg';

let polls = [];        // the last WINDOW + 1 answers, the newest last
let points = [];       // the last POINTS samples for charts
let answered = null;   // when edge last did

// --- building

function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

function draw(tag, attributes) {
  const e = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

const byId = (id) => document.getElementById(id);

// say sets a text if it is another: what has not changed stays selected, and unread.
function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// pairs fills a list of names and values: [name, value, note].
function pairs(list, entries) {
  while (list.children.length > entries.length) list.lastChild.remove();
  entries.forEach(([name, value, note], i) => {
    const row = list.children[i] || list.appendChild(make('div', {}, make('dt'),
      make('dd', {}, make('span'), make('span', {class: 'note'}))));
    say(row.firstChild, name);
    say(row.lastChild.firstChild, value);
    say(row.lastChild.lastChild, note || '');
  });
}

// table fills the table of a section, and hides the section where there are no rows. A column is a title, or [title, class]; a cell is
// a text, or a list of numbers to draw.
function table(id, columns, rows) {
  const section = byId(id);
  section.hidden = rows.length === 0;
  let t = section.querySelector('table');
  if (!t) {
    const title = section.querySelector('h2').textContent;
    const head = make('tr', {}, ...columns.map((c) => make('th', {scope: 'col', class: c[1] || ''}, c[0])));
    t = make('table', {}, make('thead', {}, head), make('tbody'));
    section.append(make('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': title}, t));
  }
  const body = t.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, i) => {
    const row = body.rows[i] || body.appendChild(make('tr', {}, ...columns.map((c, k) =>
      make(k === 0 ? 'th' : 'td', k === 0 ? {scope: 'row'} : {class: c[1] || ''}))));
    cells.forEach((cell, k) => {
      if (Array.isArray(cell)) spark(row.cells[k], cell);
      else say(row.cells[k], cell);
    });
  });
}

// --- drawing

const HEIGHT = 100;

// line is the path of numbers, the newest at the right edge; null leaves a gap.
function line(values, top) {
  let d = '', pen = 'M';
  values.forEach((v, i) => {
    if (v === null || v === undefined) { pen = 'M'; return; }
    d += pen + (POINTS - values.length + i) + ' ' + (HEIGHT - 2 - (HEIGHT - 4) * Math.min(v / top, 1)).toFixed(1);
    pen = 'L';
  });
  return d;
}

function canvas() {
  return draw('svg', {viewBox: `0 0 ${POINTS - 1} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true'});
}

function spark(cell, values) {
  const image = cell.firstChild || cell.appendChild(canvas());
  const path = image.firstChild || image.appendChild(draw('path', {class: 's0'}));
  path.setAttribute('d', line(values, Math.max(...values.filter((v) => v !== null), 1)));
}

// above is a round number that is not below n.
function above(n) {
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((k) => k * unit).find((k) => k >= n * 0.999);
}

// chart draws a figure: series are [name, values], format writes a value. least is the least value of its top.
function chart(title, series, format, least) {
  const id = 'chart-' + title.toLowerCase().replaceAll(' ', '-');
  let figure = byId(id);
  if (!figure) {
    const grid = canvas();
    for (const y of [2, 34, 66]) grid.append(draw('path', {class: 'grid', d: `M0 ${y}H${POINTS - 1}`}));
    figure = make('figure', {id}, make('figcaption', {}, make('span', {class: 'top'}), title), grid, make('ul', {class: 'legend'}));
    byId('charts').append(figure);
  }
  const [caption, image, legend] = figure.children;
  figure.hidden = series.length === 0;
  series = series.slice(0, SERIES);
  const numbers = series.flatMap(([, values]) => values.filter((v) => v !== null));
  const top = above(Math.max(...numbers, least));
  say(caption.firstChild, 'top ' + format(top));
  while (image.children.length > 3 + series.length) image.lastChild.remove();
  while (legend.children.length > series.length) legend.lastChild.remove();
  series.forEach(([name, values], i) => {
    const path = image.children[3 + i] || image.appendChild(draw('path', {class: 's' + i}));
    path.setAttribute('d', line(values, top));
    let entry = legend.children[i];
    if (!entry) {
      const key = draw('svg', {viewBox: '0 0 28 8', 'aria-hidden': 'true'});
      key.append(draw('path', {class: 's' + i, d: 'M0 4H28'}));
      entry = legend.appendChild(make('li', {}, key, make('span', {class: 'name'}), make('span', {class: 'now'})));
    }
    say(entry.children[1], name);
    const now = values[values.length - 1];
    say(entry.children[2], now === null || now === undefined ? '–' : format(now));
  });
}

// --- numbers

const total = (counts) => Object.values(counts || {}).reduce((a, b) => a + b, 0);
const of = (counts, ...labels) => labels.reduce((sum, l) => sum + ((counts || {})[l] || 0), 0);
const named = (list, name) => list.find((x) => x.name === name);
const busy = (s) => s.workers - s.workers_idle;

// seconds between two answers, by edge's clock.
const between = (a, b) => Math.max((Date.parse(b.now) - Date.parse(a.now)) / 1000, 0.001);

// since is the difference of two histograms' counts; before is undefined for one that is new.
const since = (before, now) => now.counts.map((n, i) => n - (before ? before.counts[i] : 0));

const added = (lists, length) => lists.reduce((sum, l) => sum.map((n, i) => n + l[i]), new Array(length).fill(0));

// quantile estimates from how many there were in each bucket: [value, which end it is beyond], or null where there were none.
function quantile(bounds, counts, q) {
  const all = counts.reduce((a, b) => a + b, 0);
  if (all <= 0) return null;
  let left = q * all;
  for (let i = 0; i < bounds.length; i++) {
    if (left <= counts[i] && counts[i] > 0) {
      const low = i === 0 ? 0 : bounds[i - 1];
      return i === 0 ? [bounds[0], '≤ '] : [low + (bounds[i] - low) * left / counts[i], ''];
    }
    left -= counts[i];
  }
  return [bounds[bounds.length - 1], '> '];
}

const plain = (quantile) => quantile && quantile[0];

function count(n) {
  if (n === null || n === undefined) return '–';
  for (const [size, unit] of [[1e12, ' T'], [1e9, ' G'], [1e6, ' M'], [1e4, ' k']]) {
    if (n >= size) return (n / (size === 1e4 ? 1e3 : size)).toFixed(1) + unit;
  }
  return n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(1);
}

function bytes(n) {
  for (const [size, unit] of [[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']]) {
    if (n >= size) return (n / size).toFixed(1) + ' ' + unit;
  }
  return n.toFixed(0) + ' B';
}

function time(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  for (const [size, unit] of [[1, 's'], [1e-3, 'ms']]) {
    if (seconds >= size) return (seconds / size).toPrecision(3).replace(/\.?0+$/, (z) => z.startsWith('.') ? '' : z) + ' ' + unit;
  }
  return (seconds * 1e6).toFixed(0) + ' µs';
}

const estimate = (quantile) => quantile ? quantile[1] + time(quantile[0]) : '–';

function span(seconds) {
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${Math.floor(seconds) % 60} s` : `${Math.floor(seconds)} s`;
}

const share = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(part > 0 ? 2 : 0) + ' %' : '–';
const moment = (text) => new Date(text).toLocaleString();

// --- from two answers to what is drawn

// sample is a point of the charts.
function sample(a, b) {
  const dt = between(a, b), routes = b.routes.map((r) => [named(a.routes, r.name), r]);
  const rate = (...labels) => routes.reduce((n, [was, is]) => n + of(is.codes, ...labels) - of(was && was.codes, ...labels), 0) / dt;
  const took = added(routes.map(([was, is]) => since(was && was.durations, is.durations)), b.request_bounds_seconds.length + 1);
  const filters = {};
  for (const f of b.filters) {
    const was = named(a.filters, f.name);
    filters[f.name] = {
      calls: (f.calls - (was ? was.calls : 0)) / dt,
      p99: plain(quantile(b.call_bounds_seconds, since(was && was.durations, f.durations), 0.99)),
    };
  }
  return {
    all: rate('none', '1xx', '2xx', '3xx', '4xx', '5xx'), client: rate('4xx'), server: rate('5xx', 'none'),
    p50: quantile(b.request_bounds_seconds, took, 0.5), p90: quantile(b.request_bounds_seconds, took, 0.9),
    p99: quantile(b.request_bounds_seconds, took, 0.99),
    phases: b.connections_by_phase, busy: busy(b), idle: b.workers_idle, queue: b.queue, filters,
  };
}

function showCharts(s) {
  const of = (f) => points.map(f);
  chart('Requests per second', [['all', of((p) => p.all)], ['5xx or cut off', of((p) => p.server)], ['4xx', of((p) => p.client)]],
    count, 10);
  chart('Time of requests', [['p50', of((p) => plain(p.p50))], ['p99', of((p) => plain(p.p99))], ['p90', of((p) => plain(p.p90))]],
    time, 0.001);
  const phases = Object.keys(s.connections_by_phase).filter((ph) => points.some((p) => p.phases[ph] > 0));
  chart('Connections', phases.map((ph) => [ph, of((p) => p.phases[ph] || 0)]), count, 10);
  chart('Workers and queue', [['busy', of((p) => p.busy)], ['queue', of((p) => p.queue)], ['idle', of((p) => p.idle)]], count, 10);
  const filter = (name, f) => of((p) => p.filters[name] ? f(p.filters[name]) : null);
  chart('Filter calls per second', s.filters.map(({name}) => [name, filter(name, (f) => f.calls)]), count, 10);
  chart('Time of filter calls p99', s.filters.map(({name}) => [name, filter(name, (f) => f.p99)]), time, 1e-5);
}

function showHead(s, last) {
  const state = s.not_ready || (s.not_accepting ? 'not accepting' : 'serving');
  say(byId('state'), state);
  byId('state').className = state === 'serving' ? 'good' : 'bad';
  const facts = [['Version', s.version], ['Up', span((Date.parse(s.now) - Date.parse(s.started)) / 1000)], ['Configuration', s.config],
    [s.children.length ? 'Control process' : 'Process', String(s.pid)], ['Go', s.go],
    ['Wasm', s.engine === 'interpreter' ? 'interpreter: slow, see the manual' : s.engine], ['Sandbox', s.sandbox ? s.sandbox.state : 'off']];
  facts.push(['Configuration since', `${moment(s.config_since)} (${s.config_sha256.slice(0, 12)})`]);
  if (s.last_reload) facts.push(['Last reload', `${s.last_reload.result}, ${moment(s.last_reload.time)}`]);
  pairs(byId('facts'), facts);
  const now = last || {};
  pairs(byId('cards'), [
    ['Requests', last ? count(now.all) + '/s' : '–', count(s.requests_in_flight) + ' in flight'],
    ['Time p50', estimate(now.p50)], ['Time p99', estimate(now.p99)],
    ['Failed', last ? share(now.server, now.all) : '–', '5xx or cut off'],
    ['Connections', count(s.connections), 'of ' + count(s.connection_limit)],
    ['Workers busy', `${busy(s)} of ${s.workers}`, s.pollers + ' pollers'],
    ['Queue', count(s.queue), 'connections that wait'],
    ['Door', s.not_accepting ? 'closed' : 'open', `closed ${count(s.admission_closed)} times`],
    ['Memory', bytes(s.memory_bytes), count(s.goroutines) + ' goroutines'],
  ]);
}

const SILENT = 2; // seconds without figures of a child, which tells them four times a second

function showChildren(a, b) {
  const dt = between(a, b);
  table('children', [['Child'], ['Process'], ['Generation'], ['State', 'text'], ['Up'], ['Connections'], ['Accepted/s'], ['Accepted'],
    ['Workers', 'text'], ['Figures of']],
  b.children.map((c) => {
    const was = a.children.find((o) => o.number === c.number);
    const odd = [c.not_accepting && c.state === 'ready' ? ', not accepting' : '',
      c.silent || c.heartbeat_age_seconds > SILENT ? ', silent' : ''];
    const work = Object.entries(c.workers).sort(([x], [y]) => (y === 'idle') - (x === 'idle') || (x < y ? -1 : 1));
    return [String(c.number), String(c.pid), String(c.generation), c.state + odd.join(''),
      span((Date.parse(b.now) - Date.parse(c.started)) / 1000), count(c.connections),
      count(Math.max(c.accepted - (was ? was.accepted : 0), 0) / dt), count(c.accepted),
      work.map(([what, n]) => `${what} ${n}`).join(', '),
      c.heartbeat_age_seconds < 0 ? 'never' : time(c.heartbeat_age_seconds) + ' ago'];
  }));
}

function showFilters(a, b) {
  const dt = between(a, b);
  table('filters', [['Filter'], ['Version', 'text'], ['ABI', 'text'], ['Calls/s'], ['Two minutes'], ['p50'], ['p99'], ['Fuel/s'],
    ['Faults'], ['Instances'], ['Starts'], ['Restores'], ['Memory'], ['Streams'], ['Parked']],
  b.filters.map((f) => {
    const was = named(a.filters, f.name) || {calls: 0, fuel: 0};
    const took = since(was.durations, f.durations);
    return [f.name, f.sha256.slice(0, 12) || 'none', f.abi, count((f.calls - was.calls) / dt),
      points.map((p) => p.filters[f.name] ? p.filters[f.name].calls : null),
      estimate(quantile(b.call_bounds_seconds, took, 0.5)), estimate(quantile(b.call_bounds_seconds, took, 0.99)),
      count((f.fuel - was.fuel) / dt), count(total(f.faults)), `${f.instances} of ${f.lanes}`, count(f.starts), count(f.restores),
      bytes(f.memory_bytes), count(f.streams), count(f.parked)];
  }));
  const events = [];
  for (const f of b.filters) {
    const e = f.last_fault, w = f.last_swap;
    if (e) events.push([Date.parse(e.time), f.name, 'fault: ' + e.cause, e.phase, e.request_id || '', e.error]);
    if (w) events.push([Date.parse(w.time), f.name, 'swap: ' + w.result, '', '', w.error || w.sha256 || '']);
  }
  events.sort((x, y) => y[0] - x[0]);
  table('events', [['Filter'], ['When', 'text'], ['What', 'text'], ['Phase', 'text'], ['Request', 'text'], ['Details', 'text long']],
    events.map(([when, name, ...rest]) => [name, new Date(when).toLocaleString(), ...rest]));
}

function showTraffic(a, b) {
  const dt = between(a, b);
  const classes = ['2xx', '3xx', '4xx', '5xx'];
  table('routes', [['Route'], ['Requests/s'], ['p50'], ['p99'], ...classes.map((c) => [c]), ['No answer'], ['Failed'],
    ['Received/s'], ['Sent/s']],
    b.routes.map((r) => {
      const was = named(a.routes, r.name) || {codes: {}, request_bytes: 0, response_bytes: 0};
      const took = since(was.durations, r.durations);
      const failed = of(r.codes, '5xx', 'none') - of(was.codes, '5xx', 'none');
      return [r.name || '(no route)', count((total(r.codes) - total(was.codes)) / dt),
        estimate(quantile(b.request_bounds_seconds, took, 0.5)), estimate(quantile(b.request_bounds_seconds, took, 0.99)),
        ...classes.map((c) => count(of(r.codes, c))), count(of(r.codes, 'none')),
        share(failed, total(r.codes) - total(was.codes)),
        bytes((r.request_bytes - was.request_bytes) / dt), bytes((r.response_bytes - was.response_bytes) / dt)];
    }));
  table('upstreams', [['Upstream'], ['Requests/s'], ...classes.map((c) => [c]), ['No answer'], ['Retries'], ['Connect errors'], ['Idle']],
    b.upstreams.map((u) => {
      const was = named(a.upstreams, u.name);
      return [u.name, count((total(u.codes) - total(was && was.codes)) / dt), ...classes.map((c) => count(of(u.codes, c))),
        count(of(u.codes, 'none')), count(u.retries), count(u.connect_errors), count(u.idle)];
    }));
  table('listeners', [['Address'], ['Protocols', 'text'], ['Open'], ['Accepted'], ['Accepted/s']], b.listeners.map((l, i) =>
    [(l.tls ? 'https://' : 'http://') + l.address, (l.protocols || []).join(', '), count(l.open), count(l.accepted),
      count((l.accepted - (a.listeners[i] || l).accepted) / dt)]));
}

function showRest(s) {
  const r = s.last_reload || {};
  const words = [['problem', r.problems], ['warning', r.warnings], ['needs a restart', r.needs_restart]];
  table('reload', [['What'], ['Text', 'text long']], words.flatMap(([what, list]) => (list || []).map((text) => [what, text])));
  const shaken = Object.entries(s.tls.handshakes).sort();
  const tls = shaken.map(([result, n]) => ['handshakes: ' + result, count(n)]);
  if (s.listeners.some((l) => l.tls)) {
    tls.push(['handshakes under way', count(s.tls.in_progress)], ['handshakes that wait for their turn', count(s.tls.waiting)]);
    const h2 = s.routes.reduce((n, r) => n + of(r.protocols, 'h2'), 0);
    tls.push(['requests over HTTP/2, all listeners', count(h2)]);
  }
  table('tls', [['What'], ['Number']], tls);
  table('certificates', [['Certificate'], ['Expires', 'text'], ['In', 'text']], s.tls.certificates.map((c) => {
    const left = (Date.parse(c.expires) - Date.parse(s.now)) / 1000;
    return [c.name, moment(c.expires), left > 0 ? span(left) : 'has expired'];
  }));
  table('problems', [['Kind'], ['Reason', 'text'], ['Number']], s.problems.map((p) => [p.kind, p.reason || '', count(p.n)]));
}

// --- the life of the page

function take(s) {
  const last = polls[polls.length - 1];
  if (last && last.started !== s.started) { // another process: its counters begin anew
    polls = [];
    points = [];
  } else if (last) {
    points.push(sample(last, s));
    if (points.length > POINTS) points.shift();
  }
  polls.push(s);
  if (polls.length > WINDOW + 1) polls.shift();
  const first = polls[0];
  showHead(s, points[points.length - 1]);
  showCharts(s);
  showChildren(first, s);
  showFilters(first, s);
  showTraffic(first, s);
  showRest(s);
}

async function ask() {
  try {
    const answer = await fetch('/status.json', {cache: 'no-store', signal: AbortSignal.timeout(5 * PERIOD)});
    if (!answer.ok) throw new Error(answer.status);
    take(await answer.json());
    answered = new Date();
  } catch (e) {
    console.error(e);
    say(byId('state'), answered ? 'no answer since ' + answered.toLocaleTimeString() : 'no answer');
    byId('state').className = 'bad';
  }
  setTimeout(ask, PERIOD);
}

ask();
