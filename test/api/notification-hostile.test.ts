import test from 'ava';
import {createNotificationWorld, notificationOf, readStream} from '../helpers/notification-world.ts';

for (const name of [
  '..',
  '.',
  '%2e%2e',
  '..%2f..%2fetc%2fpasswd',
  'a%2fb',
  'a%00b',
  'a%0d%0aX-Evil:1',
  '%ff',
  'm%20dossantos',
  'a,b',
  'all',
  'ä',
  "a'--",
  'x'.repeat(65),
]) {
  test(`no inbox is called ${name.slice(0, 30)}`, async (t) => {
    const {request} = await createNotificationWorld(t);
    for (const path of [`/push/${name}`, `/inbox/${name}`]) {
      const response = await request(path);
      t.true(response.status === 400 || response.status === 404, `${path} ${response.status}`);
    }
    t.like(await (await request('/all')).json(), {data: {count: 0, displays: []}});
  });
}

test('the longest name and those with dots in them are inboxes', async (t) => {
  const {push} = await createNotificationWorld(t);
  for (const name of ['x'.repeat(64), '...', '.a', '-rf', '__proto__', 'constructor'])
    t.is((await push(name)).display_id, name);
});

test('HTML, line ends and half characters go out as JSON and nothing else', async (t) => {
  const {push, request, service} = await createNotificationWorld(t);
  const words = '<script>alert(1)</script>\r\n\r\nevent: notification\ndata: {"id":0}\n\n\u2028\0x';
  const stream = readStream(await request('/inbox/me/stream'));
  await stream.next();
  const stored = await push('me', {method: 'POST', body: words, headers: {'content-type': 'text/plain'}});
  t.is(stored.body, words);
  t.is(stored.summary, '<script>alert(1)</script>');
  t.deepEqual(notificationOf(await stream.next()), stored);
  await stream.leave();
  const response = await request('/inbox/me');
  t.like(Object.fromEntries(response.headers), {
    'content-type': 'application/json',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
  t.deepEqual(service.list({displays: ['root'], afterId: null, sinceMs: null, limit: 10}), [stored]);
  const half = await push('me', {
    method: 'POST',
    body: '{"summary":"half \\ud83d","body":"\\udc00"}',
    headers: {'content-type': 'application/json'},
  });
  t.like(half, {summary: 'half \ufffd', body: '\ufffd'});
});

for (const [what, path, init, status, code] of [
  ['a long text', '/push/a', {body: 'x'.repeat(1001)}, 413, 'PAYLOAD_TOO_LARGE'],
  ['a huge text', '/push/a', {body: 'x'.repeat(5_000_000)}, 413, 'PAYLOAD_TOO_LARGE'],
  ['a long message', `/push/a?message=${'x'.repeat(1001)}`, {}, 400, 'INVALID_QUERY'],
  ['a long title', `/push/a?title=${'x'.repeat(201)}`, {}, 400, 'INVALID_QUERY'],
  ['an urgency of its own', '/push/a?urgency=now', {}, 400, 'INVALID_QUERY'],
  [
    'an image',
    '/push/a',
    {body: 'GIF89a', headers: {'content-type': 'image/gif'}},
    415,
    'UNSUPPORTED_MEDIA_TYPE',
  ],
  ['no JSON', '/push/a', {body: '{', headers: {'content-type': 'application/json'}}, 400, 'INVALID_JSON'],
  ['a list', '/push/a', {body: '[]', headers: {'content-type': 'application/json'}}, 400, 'INVALID_BODY'],
  [
    'a huge notify',
    '/notify',
    {body: `{"display":"a","summary":"${'x'.repeat(20_000)}"}`},
    413,
    'PAYLOAD_TOO_LARGE',
  ],
  ['many ids', '/dismiss', {body: `{"notificationIds":[${'1,'.repeat(1000)}1]}`}, 400, 'INVALID_BODY'],
] as const) {
  test(`refuses ${what} and stores nothing`, async (t) => {
    const {request} = await createNotificationWorld(t);
    const response = await request(path, {method: 'POST', ...init});
    t.is(response.status, status);
    t.like(await response.json(), {code});
    t.like(await (await request('/all')).json(), {data: {count: 0}});
  });
}

test('HEAD of a push pushes nothing', async (t) => {
  const {request, inbox} = await createNotificationWorld(t);
  t.is((await request('/push/me', {method: 'HEAD'})).status, 405);
  t.is((await inbox('me')).count, 0);
});
