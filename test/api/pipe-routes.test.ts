import {createHash, randomBytes} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import {createPipeWorld, type PipeWorld, RawClient, untilStatus} from '../helpers/pipe-world.ts';

type Address = 'direct' | 'common' | 'gateway';

/** The same behaviour is promised on the kit's own address, below the address of all kits and behind a gateway. */
function onEach(
  title: string,
  check: (t: ExecutionContext, url: string, world: PipeWorld) => Promise<void>,
): void {
  for (const address of ['direct', 'common', 'gateway'] as const satisfies Address[]) {
    test(`${title} (${address})`, async (t) => {
      const world = await createPipeWorld(t);
      await check(t, world[address], world);
    });
  }
}

onEach('S73 S77 S86: a receiver comes first, and the sender reads the five lines', async (t, url) => {
  const received = fetch(`${url}/first`);
  await untilStatus(url, '/first', ({activeReceivers}) => activeReceivers === 1);
  const sent = await fetch(`${url}/first`, {
    method: 'PUT',
    body: 'hello',
    headers: {'Content-Type': 'text/csv'},
  });
  t.is(
    await sent.text(),
    `[INFO] Waiting for 1 receiver(s) to connect...
[INFO] 1 receiver(s) already connected.
[INFO] Streaming to 1 receiver(s)...
[INFO] Upload complete.
[INFO] Transfer complete.
`,
  );
  t.is(sent.status, 200);
  const answer = await received;
  t.is(await answer.text(), 'hello');
  t.is(answer.headers.get('content-type'), 'text/csv');
  t.is(answer.headers.get('content-length'), '5');
  t.is(answer.headers.get('x-robots-tag'), 'none');
  t.is(answer.headers.get('access-control-allow-origin'), '*');
});

onEach('S78: the line of a sender that waits for eight is there before any receiver', async (t, url) => {
  const sender = await RawClient.open(url, 'PUT', '/replay?n=8', {headers: {'Transfer-Encoding': 'chunked'}});
  await sender.until('[INFO] Waiting for 8 receiver(s) to connect...\n');
  const receivers = await Promise.all(
    Array.from({length: 8}, () => RawClient.open(url, 'GET', '/replay?n=8')),
  );
  await sender.until('[INFO] Streaming to 8 receiver(s)...\n');
  sender.writeChunk('07:23:16 ERR 500 stripe timeout\n');
  await Promise.all(receivers.map((receiver) => receiver.until('stripe timeout\n')));
  sender.endChunks();
  await sender.until('[INFO] Transfer complete.\n');
  await Promise.all(receivers.map((receiver) => receiver.untilOver()));
  t.true(receivers.every(({isComplete, body}) => isComplete && body === '07:23:16 ERR 500 stripe timeout\n'));
});

for (const [n, kilobytes] of [
  [1, 20_000],
  [8, 4000],
  [256, 200],
] as const) {
  onEach(`S75 S88: ${n} receiver(s) get identical bytes`, async (t, url) => {
    const bytes = randomBytes(kilobytes * 1024 + 7);
    const hash = createHash('sha256').update(bytes).digest('hex');
    const receivers = await Promise.all(
      Array.from({length: n}, () => RawClient.open(url, 'GET', `/big?n=${n}`)),
    );
    const log = await (await fetch(`${url}/big?n=${n}&sha256`, {method: 'POST', body: bytes})).text();
    t.true(
      log.endsWith(`[INFO] Upload complete.\n[INFO] SHA-256: ${hash}\n[INFO] Transfer complete.\n`),
      log,
    );
    await Promise.all(receivers.map((receiver) => receiver.untilOver()));
    const hashes = receivers.map(({body}) => createHash('sha256').update(body, 'latin1').digest('hex'));
    t.deepEqual([...new Set(hashes)], [hash]);
  });
}

onEach('S85 S87: the name is free after the transfer, and the same lines work again', async (t, url) => {
  for (const text of ['first', 'again']) {
    const received = fetch(`${url}/again`).then((response) => response.text());
    await (await fetch(`${url}/again`, {method: 'POST', body: text})).text();
    t.is(await received, text);
    t.like(await (await fetch(`${url}/again?status`)).json(), {state: 'idle', peers: 0});
  }
});

onEach('500 transfers at once do not mix', async (t, url) => {
  const results = await Promise.all(
    Array.from({length: 500}, async (_, index) => {
      const text = `transfer ${index} `.repeat(50);
      const receiver = await RawClient.open(url, 'GET', `/many-${index}`);
      const sender = await RawClient.open(url, 'POST', `/many-${index}`, {
        headers: {'Content-Length': String(text.length)},
      });
      sender.write(text);
      await Promise.all([receiver.untilOver(), sender.untilOver()]);
      return receiver.body === text && sender.body.endsWith('Transfer complete.\n');
    }),
  );
  t.is(results.filter(Boolean).length, 500);
});

for (const {title, method = 'GET', path, headers = {}, status, body} of [
  {title: 'S75: n=0', path: '/x?n=0', status: 400, body: /n is the number of receivers/},
  {title: 'S75: n=257', path: '/x?n=257', status: 400, body: /1 to 256/},
  {title: 'n=1.5', path: '/x?n=1.5', status: 400, body: /"1\.5" is not/},
  {title: 'n=2x', path: '/x?n=2x', status: 400, body: /"2x" is not/},
  {title: 'a range the wrong way round', path: '/x?n=8-2', status: 400, body: /"8-2" is not/},
  {title: 'wait=0', path: '/x?wait=0', status: 400, body: /wait is a whole number of seconds from 1 to 3600/},
  {title: 'wait=3601', path: '/x?wait=3601', status: 400, body: /wait/},
  {
    title: 'a malformed transfer id',
    method: 'POST',
    path: '/x?transfer=short',
    status: 400,
    body: /transfer/,
  },
  {
    title: 'an unknown transfer',
    path: '/x?status&transfer=0123456789abcdef',
    status: 404,
    body: /No transfer/,
  },
  {title: 'live with n', path: '/x?live&n=2', status: 400, body: /live cannot be used together with n/},
  {title: 'live with sha256', path: '/x?live&sha256', status: 400, body: /live/},
  {
    title: 'live with a form',
    method: 'POST',
    path: '/x?live',
    headers: {'Content-Type': 'multipart/form-data; boundary=b'},
    status: 400,
    body: /multipart/,
  },
  {
    title: 'Content-Range',
    method: 'PUT',
    path: '/x',
    headers: {'Content-Range': 'bytes 0-1/2'},
    status: 400,
    body: /Content-Range/,
  },
  {
    title: 'a service worker',
    path: '/x',
    headers: {'Service-Worker': 'script'},
    status: 400,
    body: /Service Worker/,
  },
  {
    title: 'a name of 1025 characters',
    path: `/${'a'.repeat(1025)}`,
    status: 414,
    body: /^\[ERROR\] Path too long \(max 1024 characters\)\.\n$/,
  },
  {title: 'a control character', path: '/a%00b', status: 400, body: /control characters/},
  {title: 'a backslash', path: '/a%5Cb', status: 400, body: /backslashes/},
  {
    title: 'DELETE',
    method: 'DELETE',
    path: '/x',
    status: 405,
    body: /^\[ERROR\] Method DELETE is not allowed\.\n$/,
  },
  {title: 'HEAD of a name', method: 'HEAD', path: '/x', status: 405, body: /^$/},
  {
    title: 'sending to the help page',
    method: 'POST',
    path: '/help',
    status: 400,
    body: /Cannot send to the reserved path '\/help'/,
  },
  {title: 'sending to the root', method: 'PUT', path: '/', status: 400, body: /reserved path '\/'/},
  {title: 'sending to /FavIcon.ico.', method: 'PUT', path: '/FavIcon.ico.', status: 400, body: /reserved/},
  {title: 'DELETE of a page', method: 'DELETE', path: '/robots.txt', status: 405, body: /DELETE/},
  {title: 'a websocket that is none', path: '/x?ws', status: 426, body: /Websockets are not relayed/},
  {title: 'a websocket that sends', method: 'PUT', path: '/x?ws', status: 426, body: /with PUT or POST/},
  {title: 'live with ws', path: '/x?live&ws', status: 400, body: /live cannot be used together with ws/},
  {title: 'idle beyond four hours', method: 'POST', path: '/x?idle=14401', status: 400, body: /idle/},
  {title: 'a rate of nothing', method: 'POST', path: '/x?rate=0', status: 400, body: /rate=50k/},
  {title: 'another slow', method: 'POST', path: '/x?slow=skip', status: 400, body: /drop/},
  {title: 'a name that is none', path: '/x?as=%1b%5b31m', status: 400, body: /as is a name/},
]) {
  onEach(`refused: ${title}`, async (t, url) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers,
      ...(method === 'GET' || method === 'HEAD' ? {} : {body: 'x'}),
    });
    t.is(response.status, status);
    t.regex(await response.text(), body);
    t.is(response.headers.get('access-control-allow-origin'), '*');
    if (status === 405) t.regex(response.headers.get('allow') ?? '', /^GET, (?:POST, PUT|HEAD), OPTIONS$/);
    t.like(await (await fetch(`${url}/x?status`)).json(), {state: 'idle'});
  });
}

test('bare health and metrics are no names, and with the prefix they answer', async (t) => {
  const {direct, common} = await createPipeWorld(t);
  for (const page of ['health', 'metrics', 'Health/']) {
    const bare = await fetch(`${direct}/${page}`);
    t.is(bare.status, 404);
    const name = page.toLowerCase().replace('/', '');
    t.is(await bare.text(), `[ERROR] '/${name}' is not a valid path. Use '/api/v1/pipe/${name}'.\n`);
  }
  const health = (await (await fetch(`${common}/health`)).json()) as object;
  t.deepEqual(Object.keys(health).sort(), [
    'built',
    'fds',
    'ip',
    'memory',
    'pid',
    'service',
    'started',
    'status',
    'userAgent',
  ]);
  t.like(health, {service: 'hoody-pipe', status: 'ok'});
  for (const url of [`${common}/health`, `${direct}/health`, `${direct}/metrics`]) {
    const sent = await fetch(url, {method: 'PUT', body: 'x'});
    t.is(sent.status, 405);
    t.is(sent.headers.get('allow'), 'GET, HEAD, OPTIONS');
  }
  t.is((await fetch(`${common}/health`, {method: 'HEAD'})).status, 200);
  t.regex(
    await (await fetch(`${direct}/api/v1/pipe/metrics`)).text(),
    /^# HELP branchtab_pipe_transfers_total/,
  );
});

onEach(
  'S91: %2F is a slash, the case of escapes does not matter, and nothing else is decoded',
  async (t, url) => {
    const received = fetch(`${url}/logs%2Ftoday%c3%a9`).then((response) => response.text());
    await untilStatus(url, '/logs/today%C3%A9', ({activeReceivers}) => activeReceivers === 1);
    t.like(await (await fetch(`${url}/%6Cogs/today%C3%A9?status`)).json(), {state: 'idle'});
    await (await fetch(`${url}/logs/today%C3%A9`, {method: 'POST', body: 'same'})).text();
    t.is(await received, 'same');
  },
);

onEach('the origin of a page is reflected, and `null` is nobody’s', async (t, url) => {
  const from = (origin: string) => fetch(`${url}/x?status`, {headers: {Origin: origin}});
  const page = await from('https://app.example');
  t.is(page.headers.get('access-control-allow-origin'), 'https://app.example');
  t.is(page.headers.get('access-control-allow-credentials'), 'true');
  const sandboxed = await from('null');
  t.is(sandboxed.headers.get('access-control-allow-origin'), '*');
  t.is(sandboxed.headers.get('access-control-allow-credentials'), null);
  const preflight = await fetch(`${url}/x`, {
    method: 'OPTIONS',
    headers: {Origin: 'https://app.example', 'Access-Control-Request-Private-Network': 'true'},
  });
  t.is(preflight.status, 204);
  t.is(preflight.headers.get('access-control-allow-methods'), 'GET, HEAD, POST, PUT, OPTIONS');
  t.is(preflight.headers.get('access-control-max-age'), '86400');
  t.is(preflight.headers.get('access-control-allow-private-network'), 'true');
  t.is(preflight.headers.get('access-control-allow-origin'), 'https://app.example');
});

onEach('a form’s first file is what is sent, with its type and name', async (t, url) => {
  const form = new FormData();
  form.set('note', 'not this');
  form.set('file', new File(['a,b\n'], 'table.csv', {type: 'text/csv'}));
  form.set('other', new File(['nor this'], 'other.txt'));
  const received = fetch(`${url}/form`);
  const log = await (await fetch(`${url}/form`, {method: 'POST', body: form})).text();
  const answer = await received;
  t.is(await answer.text(), 'a,b\n');
  t.regex(answer.headers.get('content-type') ?? '', /^text\/csv/);
  t.is(answer.headers.get('content-disposition'), 'attachment; filename="table.csv"');
  t.true(log.endsWith('[INFO] Transfer complete.\n'));
});

onEach(
  'a form without a file sends its field input_text, and one without both ends as an error',
  async (t, url) => {
    const form = new FormData();
    form.set('input_text', 'typed');
    const received = fetch(`${url}/form`);
    await (await fetch(`${url}/form`, {method: 'POST', body: form})).text();
    const answer = await received;
    t.is(await answer.text(), 'typed');
    t.is(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
    const empty = new FormData();
    empty.set('other', 'x');
    const waiting = fetch(`${url}/form`);
    const log = await (await fetch(`${url}/form`, {method: 'POST', body: empty})).text();
    t.regex(log, /\[ERROR\] Transfer failed/);
    t.is((await waiting).status, 500);
  },
);

onEach(
  'receipts=1 ends the log with what each receiver got, and NDJSON says it for programs',
  async (t, url) => {
    const received = [fetch(`${url}/r?n=2&as=alice`), fetch(`${url}/r?n=2&as=bob`)].map(async (response) =>
      (await response).text(),
    );
    const sent = await fetch(`${url}/r?n=2&receipts=1`, {
      method: 'POST',
      body: 'abc',
      headers: {Accept: 'application/x-ndjson'},
    });
    t.is(sent.headers.get('content-type'), 'application/x-ndjson');
    const entries = (await sent.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    await Promise.all(received);
    const receipts = entries.filter(({event}) => event === 'receipt');
    t.deepEqual(receipts.map(({label}) => label).sort(), ['alice', 'bob']);
    for (const receipt of receipts)
      t.like(receipt, {bytes: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'});
    t.like(entries.at(-1), {level: 'info', event: 'complete', message: 'Transfer complete.', bytes: 3});
  },
);

onEach('live streams to whoever is there, and ends with the peak', async (t, url) => {
  const sender = await RawClient.open(url, 'POST', '/radio?live', {
    headers: {'Transfer-Encoding': 'chunked'},
  });
  await sender.until('[INFO] Live: streaming. Viewers can join at any time.\n');
  sender.writeChunk('nobody hears this');
  await untilStatus(url, '/radio', ({bytesTransferred}) => bytesTransferred === 17);
  const one = await RawClient.open(url, 'GET', '/radio?live');
  const two = await RawClient.open(url, 'GET', '/radio?live');
  await untilStatus(url, '/radio', ({activeReceivers}) => activeReceivers === 2);
  sender.writeChunk('both');
  await Promise.all([one.until('both'), two.until('both')]);
  one.leave();
  await untilStatus(url, '/radio', ({activeReceivers}) => activeReceivers === 1);
  sender.writeChunk(' one');
  sender.endChunks();
  await sender.until('[INFO] Live stream ended (peak 2 viewers).\n');
  await two.untilOver();
  t.is(two.body, 'both one');
  t.true(two.isComplete);
});

onEach('progress tells the state, the bytes and the end, and takes no place', async (t, url) => {
  const spectator = await RawClient.open(url, 'GET', '/watched?progress', {
    headers: {Accept: 'text/event-stream'},
  });
  await spectator.until('"state":"idle"');
  const receiver = await RawClient.open(url, 'GET', '/watched?as=alice');
  await spectator.until('"state":"waiting"');
  const sender = await RawClient.open(url, 'PUT', '/watched', {headers: {'Content-Length': '10'}});
  sender.write('01234');
  await spectator.until('"bytesTransferred":5');
  await spectator.until('"name":"alice"');
  sender.write('56789');
  await spectator.until('event: done');
  await spectator.untilOver();
  t.regex(
    spectator.body,
    /event: done\ndata: \{"state":"complete","bytesTransferred":10,"duration":[\d.]+,"avgSpeed":\d+,"sha256":null,"transferId":"[0-9a-f]{24}"\}\n\n$/,
  );
  t.true(spectator.isComplete);
  await receiver.untilOver();
  t.is(receiver.body, '0123456789');
  const late = await fetch(`${url}/watched?progress`, {headers: {Accept: 'text/event-stream'}});
  t.is(late.status, 204);
});

onEach('progress=0 is a receiver like any other', async (t, url) => {
  const received = fetch(`${url}/p?progress=0`).then((response) => response.text());
  await (await fetch(`${url}/p`, {method: 'POST', body: 'x'})).text();
  t.is(await received, 'x');
});

onEach('pages, help and robots answer GET and HEAD', async (t, url) => {
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    ['/noscript?path=a/b&mode=text', 'text/html; charset=utf-8'],
    ['/help', 'text/plain; charset=utf-8'],
    ['/robots.txt', 'text/plain; charset=utf-8'],
  ] as const) {
    const page = await fetch(`${url}${path}`);
    t.is(page.status, 200);
    t.is(page.headers.get('content-type'), type);
    const head = await fetch(`${url}${path}`, {method: 'HEAD'});
    t.is(head.status, 200);
    t.is(await head.text(), '');
  }
  t.is((await fetch(`${url}/favicon.ico`)).status, 204);
  const page = await (await fetch(`${url}/noscript?path=%22%3E%3Cscript%3E&mode=text`)).text();
  t.false(page.includes('<script>'));
  const html = await fetch(`${url}/x?progress`, {headers: {Accept: 'text/html'}});
  t.regex(html.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
});

onEach('video is a page for browsers and plain bytes for all else', async (t, url) => {
  const page = await fetch(`${url}/film?video`, {headers: {Accept: 'text/html'}});
  t.regex(await page.text(), /<video id="video"/);
  const received = fetch(`${url}/film?video`, {headers: {Accept: '*/*'}}).then((response) => response.text());
  await (await fetch(`${url}/film`, {method: 'POST', body: 'frames'})).text();
  t.is(await received, 'frames');
});

onEach('no page runs what its address holds', async (t, url) => {
  const evil = '"><script>alert(1)</script>\'`';
  for (const kind of ['progress', 'video', 'share', 'receive', 'receive&autostart']) {
    const client = await RawClient.open(
      url,
      'GET',
      `/"><script>alert(1)</script>?${kind}&n=${encodeURIComponent(evil)}`,
      {
        headers: {Accept: 'text/html', Connection: 'close', 'X-Forwarded-Prefix': evil},
      },
    );
    await client.untilOver();
    t.is(client.status, 200);
    t.false(client.body.includes('<script>alert'), kind);
    t.regex(client.header('content-security-policy') ?? '', /^default-src 'none'; .*script-src 'nonce-/);
  }
  for (const page of ['/', '/help', '/noscript']) {
    const answer = await fetch(`${url}${page}`, {headers: {'X-Forwarded-Prefix': '/c/x"><script>alert(1)'}});
    t.false((await answer.text()).includes('alert(1)'));
  }
});

test('a foreign Host is refused on both addresses', async (t) => {
  const world = await createPipeWorld(t);
  for (const url of [world.direct, world.common]) {
    const client = await RawClient.connect(url);
    client.write(
      `GET ${new URL(url).pathname.replace(/\/$/, '')}/x?status HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://app.example\r\n\r\n`,
    );
    await client.untilOver();
    t.is(client.status, 421);
    t.is(client.header('access-control-allow-origin'), 'https://app.example');
  }
});
