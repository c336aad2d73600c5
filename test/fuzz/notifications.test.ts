import test from 'ava';
import fc from 'fast-check';
import {notificationSchema} from '../../schemas/notification.ts';
import {fuzz} from '../helpers/fuzz.ts';
import {createNotificationWorld} from '../helpers/notification-world.ts';

const anyText = fc.string({unit: 'binary', maxLength: 1100});
const names = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'me',
    'all',
    '..',
    '%2e%2e',
    '%00',
    'a%2fb',
    '__proto__',
    'a,b',
    '%0d%0a',
    '-',
    '%',
  ),
  fc.string({unit: 'binary', maxLength: 70}).map((name) => encodeURIComponent(name.toWellFormed())),
  fc.stringMatching(/^[A-Za-z0-9._-]{1,70}$/),
);
const fields = fc.record(
  {
    display: fc.oneof(fc.constantFrom<unknown>('a', 'me', 'all', 1, -1, '../x', '', null), anyText),
    summary: fc.oneof(fc.constantFrom<unknown>('', ' ', 1, null), anyText),
    body: fc.oneof(fc.constantFrom<unknown>(null, 1), anyText),
    urgency: fc.constantFrom<unknown>('low', 'normal', 'critical', 'LOW', 0, null),
    icon: fc.oneof(fc.constant(null), anyText),
    category: fc.oneof(fc.constant(null), anyText),
    expire_time: fc.constantFrom<unknown>(0, 300_000, 300_001, -1, 1.5, '1', null),
    notificationIds: fc.array(fc.oneof(fc.nat({max: 50}), fc.constantFrom<unknown>(-1, 1.5, '1', null)), {
      maxLength: 4,
    }),
    displayId: fc.constantFrom<unknown>('a', 'all', '../x', 1, null),
    __proto__: fc.constant('x'),
  },
  {requiredKeys: []},
);
const bodies = fc.oneof(
  {weight: 3, arbitrary: fields.map((value) => JSON.stringify(value))},
  {weight: 1, arbitrary: fc.json()},
  {weight: 1, arbitrary: anyText},
  {weight: 1, arbitrary: fc.uint8Array({maxLength: 50})},
  {weight: 1, arbitrary: fc.constantFrom('', '{', 'null', '[]', '"\\ud800"')},
);
const types = fc.constantFrom(
  'application/json',
  'application/json;charset=utf-16',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  '',
  'x'.repeat(300),
);
const queries = fc.oneof(
  {weight: 2, arbitrary: fc.constant('')},
  {
    weight: 3,
    arbitrary: fc
      .record(
        {
          message: anyText,
          title: fc.string({unit: 'binary', maxLength: 210}),
          urgency: fc.constantFrom('low', 'x', ''),
          after_id: fc.constantFrom('0', '-1', '1e3', '9'.repeat(17), ''),
          since: fc.constantFrom('0', '999999999999999', '2026-05-18T09:00:00Z', 'x', ''),
          limit: fc.constantFrom('1', '0', '1001', '1e2', ''),
          display: fc.constantFrom('a', 'all', '../x', ''),
        },
        {requiredKeys: []},
      )
      .map((query) => `?${new URLSearchParams(query as Record<string, string>)}`),
  },
  {weight: 1, arbitrary: fc.constantFrom('?message=%ff', '?%00', '?title=%', '?message=a&message=b', '?=')},
);
const routes = fc.oneof(
  fc
    .tuple(fc.constantFrom('GET', 'POST', 'HEAD'), names)
    .map(([method, name]) => [method, `/push/${name}`] as const),
  names.map((name) => ['GET', `/inbox/${name}`] as const),
  names.map((name) => ['GET', `/${name}`] as const),
  fc.constantFrom(
    ['POST', '/notify'] as const,
    ['POST', '/dismiss'] as const,
    ['DELETE', '/dismiss'] as const,
    ['PUT', '/push/a'] as const,
  ),
);

test('no name, query or body makes the kit fail by itself, and what it stores keeps its shape', async (t) => {
  const {request, inbox, clock} = await createNotificationWorld(t);
  const seen = {stored: 0, refused: 0};
  await fuzz(
    t,
    fc.asyncProperty(routes, queries, bodies, types, async ([method, path], query, body, type) => {
      await clock.advance(1000);
      const hasBody = method !== 'GET' && method !== 'HEAD';
      const response = await request(`${path}${query}`, {
        method,
        ...(hasBody ? {body} : {}),
        headers: {'content-type': type},
      });
      const text = await response.text();
      if (response.status >= 500)
        throw new Error(`${method} ${path}${query} ${type}: ${response.status} ${text}`);
      if (method !== 'HEAD' && !(response.headers.get('content-type') ?? '').startsWith('application/json'))
        throw new Error(`${method} ${path}: ${response.headers.get('content-type')}`);
      if (!response.ok) {
        seen.refused += 1;
        return;
      }
      if (!path.startsWith('/push/')) return;
      seen.stored += 1;
      const notification = notificationSchema.strict().parse(JSON.parse(text));
      const {notifications} = await inbox(notification.display_id, `?after_id=${notification.id - 1}`);
      t.deepEqual(notifications, [notification]);
    }),
    {runs: 600, stateful: true},
  );
  t.true(seen.stored > 0 && seen.refused > 0);
});
