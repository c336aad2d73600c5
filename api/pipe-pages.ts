import {randomBytes} from 'node:crypto';
import {html, raw} from 'hono/html';
import {progressScript, receiveScript, sendScript, shareScript, videoScript} from './pipe-page-scripts.ts';
import type {PipePage} from './pipe-path.ts';
import {readFlag} from './pipe-query.ts';

type Field = readonly [name: string, value: string];

/** Pages about one name; none of them takes a place on it by being opened, unless `autostart` asks for it. */
export type WatchPage = 'progress' | 'video' | 'share' | 'receive';

export interface Page {
  readonly body: string;
  readonly fields: readonly Field[];
}

/** The pages at reserved paths; null for an empty answer. `base`: path of the kit without a slash at its end. */
export function pipePage(
  page: PipePage,
  {query, base, host}: {query: URLSearchParams; base: string; host: string},
): Page | null {
  switch (page) {
    case 'help':
      return text(helpText(`http://${host}${base}`));
    case 'robots.txt':
      return text('User-agent: *\nDisallow: /\n');
    case 'send':
      return document('Send', sendBody(base), sendScript);
    case 'noscript':
      return document('Send', noscriptBody(query, base), null);
    default:
      return null;
  }
}

export function watchPage(kind: WatchPage, name: string, query: URLSearchParams): Page {
  switch (kind) {
    case 'progress':
      return document(`Progress of ${name}`, progressBody(name), progressScript);
    case 'video':
      return document(`Video of ${name}`, videoBody(name, query), videoScript);
    case 'share':
      return document(`Share ${name}`, shareBody(name, query), shareScript);
    case 'receive':
      return document(`Receive ${name}`, receiveBody(name, query), receiveScript);
  }
}

/** The query of a receiver, as the page was asked for it. */
function receiverQuery(query: URLSearchParams): string {
  const kept = new URLSearchParams(query);
  for (const name of ['progress', 'video', 'share', 'receive', 'autostart']) kept.delete(name);
  return kept.toString();
}

function text(body: string): Page {
  return {body, fields: [['Content-Type', 'text/plain; charset=utf-8']]};
}

/** Nothing is loaded from elsewhere, and only our own script runs. */
function document(title: string, body: unknown, script: string | null): Page {
  const nonce = randomBytes(16).toString('base64');
  const scriptElement = script === null ? '' : html`<script nonce="${nonce}">${raw(script)}</script>`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style nonce="${nonce}">${raw(style)}</style>
</head>
<body>
<main>
${body}
</main>
${scriptElement}
</body>
</html>
`;
  const policy = [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    ...(script === null ? [] : [`script-src 'nonce-${nonce}'`]),
    "connect-src 'self'",
    'media-src blob:',
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
  return {
    body: String(page),
    fields: [
      ['Content-Type', 'text/html; charset=utf-8'],
      ['Content-Security-Policy', policy],
      ['Cache-Control', 'no-store'],
    ],
  };
}

const style = `
:root { color-scheme: light dark; --line: #8885; --good: #1a7f37; --bad: #c0392b; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 42rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
form, .card { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; }
label { display: block; margin: .75rem 0 .25rem; font-weight: 600; }
input, textarea, button { font: inherit; box-sizing: border-box; max-width: 100%; }
input[type=text], input[type=number], textarea { width: 100%; padding: .4rem .5rem; }
button { margin-top: 1rem; padding: .5rem 1.25rem; }
progress { width: 100%; height: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 1rem 0 0; }
dt { font-weight: 600; } dd { margin: 0; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; margin-top: 1rem; } td, th { text-align: left; padding: .25rem 0; border-top: 1px solid var(--line); }
video { width: 100%; background: #000; }
.complete { color: var(--good); } .failed { color: var(--bad); }
`;

function sendBody(base: string) {
  return html`<h1>Send through a pipe</h1>
<form id="send">
<label for="path">Path, the same for all receivers</label>
<input id="path" type="text" required maxlength="1024" autocomplete="off" placeholder="mypath123">
<label for="n">Receivers (n)</label>
<input id="n" type="number" min="1" max="256" value="1" required>
<label for="file">File</label>
<input id="file" type="file">
<label for="text">or text</label>
<textarea id="text" rows="4"></textarea>
<button>Send</button>
</form>
<p id="receive" hidden>Receive with: <code></code></p>
<pre id="log" role="log" aria-label="What the server says"></pre>
<noscript>This page needs JavaScript; <a href="${base}/noscript">this form</a> does not.</noscript>`;
}

/** A form can only send where it is told to when the page is made. */
function noscriptBody(query: URLSearchParams, base: string) {
  const path = query.get('path') ?? '';
  const isText = query.get('mode') === 'text';
  const choice = html`<form method="get" action="${base}/noscript">
<label for="path">Path</label>
<input id="path" type="text" name="path" required maxlength="1024" value="${path}">
<label><input type="radio" name="mode" value="file" ${isText ? '' : raw('checked')}> File</label>
<label><input type="radio" name="mode" value="text" ${isText ? raw('checked') : ''}> Text</label>
<button>Choose</button>
</form>`;
  if (path === '') return html`<h1>Send without JavaScript</h1>${choice}`;
  const input = isText
    ? html`<label for="input">Text</label><textarea id="input" name="input_text" rows="6"></textarea>`
    : html`<label for="input">File</label><input id="input" type="file" name="input_file">`;
  return html`<h1>Send without JavaScript</h1>${choice}
<p>Sending to <code>${path}</code>:</p>
<form method="post" enctype="multipart/form-data" action="${base}/${encodedPath(path)}">
${input}
<button>Send</button>
</form>`;
}

function encodedPath(path: string): string {
  return path.replace(/^\/+/, '').split('/').map(encodeURIComponent).join('/');
}

function progressBody(name: string) {
  return html`<h1>${name}</h1>
<div class="card">
<p id="state" role="status">Connecting…</p>
<progress id="bar" max="1" value="0"></progress>
<dl>
<dt>Bytes</dt><dd id="bytes">0</dd>
<dt>Speed</dt><dd id="speed">–</dd>
<dt>Remaining</dt><dd id="eta">–</dd>
<dt>Receivers</dt><dd id="receivers">–</dd>
</dl>
<table id="readers" hidden><thead><tr><th>Reader</th><th>Bytes</th><th></th></tr></thead><tbody></tbody></table>
</div>`;
}

function shareBody(name: string, query: URLSearchParams) {
  const field = (id: string, label: string) =>
    html`<label for="${id}">${label}</label><input id="${id}" type="text" readonly>`;
  return html`<h1>${name}</h1>
<form id="share" data-query="${receiverQuery(query)}">
${field('page', 'To receive in a browser')}
${field('curl', 'To receive in a terminal')}
${field('send', 'To send')}
${field('progress', 'To watch')}
</form>
<noscript>This page needs JavaScript.</noscript>`;
}

function receiveBody(name: string, query: URLSearchParams) {
  return html`<h1>${name}</h1>
<div class="card" id="receive" data-query="${receiverQuery(query)}" data-autostart="${String(readFlag(query, 'autostart') ?? false)}">
<p id="state" role="status">One receiver takes one place. What comes is shown here, or saved as a file.</p>
<button id="show">Receive here</button>
<button id="save">Save as a file</button>
</div>
<pre id="text" aria-label="What was received" hidden></pre>
<noscript>This page needs JavaScript.</noscript>`;
}

function videoBody(name: string, query: URLSearchParams) {
  return html`<h1>${name}</h1>
<video id="video" controls autoplay muted data-query="${receiverQuery(query)}"></video>
<p id="state" role="status">Waiting for the sender…</p>`;
}

function helpText(base: string): string {
  return `A pipe: one sender, up to 256 receivers, nothing stored.

Send a file, and receive it:
  curl -T file.bin ${base}/mypath123
  curl ${base}/mypath123 > file.bin

Send what another command writes:
  tar cz directory | curl -T - ${base}/mypath123
  curl ${base}/mypath123 | tar xz

To eight receivers at once, at 50 KB/s:
  cat app.log | pv -L 50k | curl -T - "${base}/replay?n=8"
  curl "${base}/replay?n=8"

Parameters of both sides:
  n=8            receivers; all sides say the same (1 to 256); n=2-8 starts with fewer when wait ends
  wait=60        seconds to wait for the others (1 to 3600; 300)
  key=SECRET     whoever has another key, or none, is refused
  sha256         the sender is told the SHA-256
  live           no waiting: viewers come and go
of a sender:
  rate=50k       bytes a second; k is 1024
  slow=drop      do not wait for a receiver that takes nothing for 10 s
  idle=4h        end only when nothing has moved for so long (300 s)
  heartbeat=15   a line so often while waiting
  receipts       a line for each receiver at the end
  transfer=ID    an id of your own for ?status
  Accept: application/x-ndjson   the answer as JSON lines
of a receiver:
  as=NAME        how you are called in the progress
  download, filename=NAME   for browsers: save as
Without a place on the pipe:
  ?progress      events, or a page in a browser
  ?status        one JSON object
  ?share         in a browser: what to pass on to the others
In a browser, at its place on the pipe:
  ?receive       shows or saves what comes; with autostart at once
  ?video         plays it
`;
}
