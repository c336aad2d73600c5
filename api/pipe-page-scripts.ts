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

/** Plays the stream as it comes, where the browser knows its type; else offers it as a whole. */
export const videoScript = `${shared}
(async () => {
  const query = $('video').dataset.query;
  const response = await fetch(location.pathname + (query ? '?' + query : ''));
  if (!response.ok) { $('state').textContent = await response.text(); return; }
  const type = response.headers.get('Content-Type') ?? '';
  const codecs = type.startsWith('video/mp4') ? 'video/mp4; codecs="avc1.42E01E, mp4a.40.2"' : 'video/webm; codecs="vp8, vorbis"';
  $('state').textContent = 'Streaming ' + type + '.';
  if (window.MediaSource === undefined || !MediaSource.isTypeSupported(codecs)) {
    $('video').src = URL.createObjectURL(await response.blob());
    return;
  }
  const source = new MediaSource();
  $('video').src = URL.createObjectURL(source);
  await new Promise((resolve) => source.addEventListener('sourceopen', resolve, {once: true}));
  const buffer = source.addSourceBuffer(codecs);
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    buffer.appendBuffer(next.value);
    await new Promise((resolve) => buffer.addEventListener('updateend', resolve, {once: true}));
  }
  source.endOfStream();
  $('state').textContent = 'The stream has ended.';
})().catch((error) => { $('state').textContent = 'The stream broke: ' + error.message; });
`;
