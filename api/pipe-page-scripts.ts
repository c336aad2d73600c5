/** The scripts of the pipe kit's pages, as they are sent. They know their own address and nothing else. */

const shared = `
const $ = (id) => document.getElementById(id);
const size = (bytes) => {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return (unit === 0 ? bytes : bytes.toFixed(1)) + ' ' + units[unit];
};
`;

/** Streams the answer of its own request into the log. */
export const sendScript = `${shared}
$('send').addEventListener('submit', async (event) => {
  event.preventDefault();
  const path = $('path').value.replace(/^\\/+/, '').split('/').map(encodeURIComponent).join('/');
  const base = location.pathname.replace(/\\/$/, '');
  const url = base + '/' + path + '?n=' + $('n').value;
  const file = $('file').files[0];
  const body = file ?? $('text').value;
  $('log').textContent = '';
  $('receive').hidden = false;
  $('receive').querySelector('code').textContent = 'curl "' + location.origin + url + '"';
  const headers = {'Content-Type': file?.type || (file ? 'application/octet-stream' : 'text/plain; charset=utf-8')};
  if (file) headers['Content-Disposition'] = "attachment; filename*=UTF-8''" + encodeURIComponent(file.name);
  try {
    const response = await fetch(url, {method: 'POST', body, headers});
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) $('log').textContent += next.value;
    if (!$('log').textContent.includes('Transfer complete.')) $('log').className = 'failed';
    else $('log').className = 'complete';
  } catch (error) {
    $('log').className = 'failed';
    $('log').textContent += 'The connection broke: ' + error.message + '\\n';
  }
});
`;

/** Follows the events of its own address. */
export const progressScript = `${shared}
const words = {idle: 'Nobody is here yet.', waiting: 'Waiting for the others.', streaming: 'Streaming.'};
const events = new EventSource(location.href);
const readers = (list) => {
  const named = (list ?? []).some((reader) => reader.name !== null || reader.blocking);
  $('readers').hidden = !named;
  $('readers').tBodies[0].replaceChildren(...(named ? list : []).map((reader) => {
    const row = document.createElement('tr');
    for (const text of [reader.name ?? '(no name)', size(reader.bytes), reader.blocking ? 'others wait for this one' : '']) {
      const cell = document.createElement('td');
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }));
};
events.addEventListener('state', ({data}) => {
  const news = JSON.parse(data);
  $('state').textContent = words[news.state] ?? news.state;
  $('receivers').textContent = news.activeReceivers + ' of ' + news.totalReceivers;
  readers(news.readers);
});
events.addEventListener('progress', ({data}) => {
  const news = JSON.parse(data);
  $('bytes').textContent = size(news.bytesTransferred) + (news.totalBytes === null ? '' : ' of ' + size(news.totalBytes));
  $('speed').textContent = size(news.speed) + '/s';
  $('eta').textContent = news.eta === null ? '–' : news.eta + ' s';
  $('receivers').textContent = news.activeReceivers + ' of ' + news.totalReceivers;
  if (news.totalBytes) $('bar').value = news.bytesTransferred / news.totalBytes;
  else $('bar').removeAttribute('value');
  readers(news.readers);
});
events.addEventListener('done', ({data}) => {
  const news = JSON.parse(data);
  events.close();
  $('state').textContent = news.state === 'complete'
    ? 'Complete: ' + size(news.bytesTransferred) + ' in ' + news.duration.toFixed(1) + ' s.'
    : 'Failed: ' + news.reason + '.';
  $('state').className = news.state;
  $('bytes').textContent = size(news.bytesTransferred);
  $('bar').value = news.state === 'complete' ? 1 : 0;
});
`;

/** What others need to take part, with the parameters that all sides must agree on. */
export const shareScript = `${shared}
const given = new URLSearchParams($('share').dataset.query);
const address = (names, extra) => {
  const parts = names.filter((name) => given.has(name)).map((name) => name + '=' + encodeURIComponent(given.get(name)));
  const query = [...parts, ...extra].join('&');
  return location.origin + location.pathname + (query && '?' + query);
};
// In single quotes a shell takes everything but the quote itself.
const quoted = (text) => "'" + text.replaceAll("'", "%27") + "'";
$('page').value = address(['n', 'wait', 'key', 'live'], ['receive']);
$('curl').value = 'curl ' + quoted(address(['n', 'wait', 'key', 'live'], []));
$('send').value = 'curl -T FILE ' + quoted(address(['n', 'wait', 'key', 'live'], []));
$('progress').value = address(['key'], ['progress']);
$('share').addEventListener('submit', (event) => event.preventDefault());
$('share').addEventListener('focusin', ({target}) => target.select());
`;

/** Takes a place when told to: text is shown as it comes, everything else becomes a file. */
export const receiveScript = `${shared}
const mostShown = 1000000;
const target = (extra) => {
  const query = [$('receive').dataset.query, extra].filter(Boolean).join('&');
  return location.pathname + (query && '?' + query);
};
const say = (text, kind) => { $('state').textContent = text; $('state').className = kind ?? ''; };
const nameIn = (header) => {
  const encoded = /filename\\*=UTF-8''([^;]+)/i.exec(header ?? '')?.[1];
  return encoded ? decodeURIComponent(encoded) : /filename="([^"]*)"/i.exec(header ?? '')?.[1];
};
const lastSegment = () => {
  const segment = location.pathname.split('/').pop();
  try { return decodeURIComponent(segment); } catch { return segment; }
};
const decoded = (decoder, bytes) => {
  try { return decoder.decode(bytes, {stream: true}); } catch { return null; }
};
const show = async () => {
  $('show').disabled = $('save').disabled = true;
  say('Waiting for the others.');
  const response = await fetch(target(''));
  if (!response.ok) { say((await response.text()).trim(), 'failed'); return; }
  const decoder = new TextDecoder('utf-8', {fatal: true});
  const reader = response.body.getReader();
  const pieces = [];
  let isText = !/^(image|audio|video)\\//.test(response.headers.get('Content-Type') ?? '');
  let bytes = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    bytes += next.value.length;
    pieces.push(next.value);
    say('Receiving: ' + size(bytes) + '.');
    const text = isText ? decoded(decoder, next.value) : null;
    isText = text !== null && !text.includes('\\0');
    $('text').hidden = !isText;
    if (!isText) continue;
    const isAtEnd = innerHeight + scrollY >= document.body.scrollHeight - 40;
    $('text').append(text);
    while ($('text').textContent.length > mostShown && $('text').childNodes.length > 1) $('text').firstChild.remove();
    if (isAtEnd) scrollTo(0, document.body.scrollHeight);
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(pieces));
  link.download = nameIn(response.headers.get('Content-Disposition')) || lastSegment();
  link.textContent = 'Save ' + link.download;
  say('Complete: ' + size(bytes) + '. ', 'complete');
  $('state').append(link);
};
const start = () => show().catch(({message}) => say('The transfer broke off: what came is not all of it. (' + message + ')', 'failed'));
$('show').addEventListener('click', start);
$('save').addEventListener('click', () => {
  $('show').disabled = $('save').disabled = true;
  say('The browser saves what comes, and shows whether it was all.');
  location.assign(target('download=1'));
});
if ($('receive').dataset.autostart === 'true') start();
`;

/** Plays the stream as it comes, where the browser knows what is in it; else offers it as a whole. */
export const videoScript = `${shared}
const names = [['V_VP8', 'vp8'], ['V_VP9', 'vp9'], ['V_AV1', 'av01.0.04M.08'], ['A_OPUS', 'opus'], ['A_VORBIS', 'vorbis']];
const hex = (byte) => byte.toString(16).padStart(2, '0');
const isWebm = (text) => text.startsWith('\\x1aE\\xdf\\xa3');
// The head names the tracks, in words in WebM and in boxes in MP4; behind it pictures begin.
const hasHead = (text) => text.length > 1000000 || (isWebm(text) ? text.includes('\\x1fC\\xb6u') : /moof|mdat/.test(text));
const typeOf = (text) => {
  if (isWebm(text)) return 'video/webm; codecs="' + names.filter(([id]) => text.includes(id)).map(([, codec]) => codec).join(', ') + '"';
  const avc = text.indexOf('avcC');
  const video = avc < 0 ? [] : ['avc1.' + [5, 6, 7].map((at) => hex(text.charCodeAt(avc + at))).join('')];
  return 'video/mp4; codecs="' + [...video, ...(text.includes('mp4a') ? ['mp4a.40.2'] : [])].join(', ') + '"';
};
const isPlayable = (type, text) =>
  window.MediaSource !== undefined && MediaSource.isTypeSupported(type) && (isWebm(text) || text.includes('mvex'));
// Unlike the decoder of that name, one character for each byte.
const latin1 = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
(async () => {
  const query = $('video').dataset.query;
  const response = await fetch(location.pathname + (query ? '?' + query : ''));
  if (!response.ok) { $('state').textContent = await response.text(); return; }
  const reader = response.body.getReader();
  let first = new Uint8Array(0);
  let text = '';
  while (!hasHead(text)) {
    const next = await reader.read();
    if (next.done) break;
    first = new Uint8Array(await new Blob([first, next.value]).arrayBuffer());
    text = latin1(first);
  }
  const type = typeOf(text);
  if (!isPlayable(type, text)) {
    const pieces = [first];
    $('state').textContent = 'The browser cannot play this as it comes. It plays when all of it is here.';
    for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
    $('video').src = URL.createObjectURL(new Blob(pieces));
    $('state').textContent = 'The stream has ended.';
    return;
  }
  $('state').textContent = 'Streaming.';
  const source = new MediaSource();
  $('video').src = URL.createObjectURL(source);
  await new Promise((resolve) => source.addEventListener('sourceopen', resolve, {once: true}));
  const buffer = source.addSourceBuffer(type);
  const updated = () => new Promise((resolve, reject) => {
    buffer.addEventListener('updateend', resolve, {once: true});
    buffer.addEventListener('error', () => reject(new Error('the browser cannot decode it')), {once: true});
  });
  // Where the browser holds no more, the pipe waits until some of it has been watched.
  const append = async (bytes) => {
    try { buffer.appendBuffer(bytes); } catch (error) {
      if (error.name !== 'QuotaExceededError') throw error;
      await new Promise((resolve) => $('video').addEventListener('timeupdate', resolve, {once: true}));
      const seen = $('video').currentTime - 10;
      if (seen > 0) { buffer.remove(0, seen); await updated(); }
      return append(bytes);
    }
    await updated();
  };
  await append(first);
  for (let next = await reader.read(); !next.done; next = await reader.read()) await append(next.value);
  source.endOfStream();
  $('state').textContent = 'The stream has ended.';
})().catch((error) => { $('state').textContent = 'The stream broke: ' + error.message; });
`;
