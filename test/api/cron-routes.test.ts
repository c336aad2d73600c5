import test from 'ava';
import fc from 'fast-check';
import * as z from 'zod';
import {
  crontabListSchema,
  entryItemSchema,
  entryListSchema,
  managedEntrySchema,
} from '../../schemas/cron-api.ts';
import {runListSchema, runSchema} from '../../schemas/run.ts';
import {bodyOf as read, createCronHttp as setup} from '../helpers/cron-http.ts';

const position = z.object({line: z.number(), column: z.number()});
const errorSchema = z.strictObject({code: z.string(), message: z.string(), details: z.unknown()});

const crontab = '0 2 * * * /srv/jobs/billing-rollup-v2.sh\n*/15 * * * * /srv/jobs/sync-stripe.py\n';

test('S24 S30 S40: text in, text out', async (t) => {
  const {send, get} = await setup(t);
  const put = await send('PUT', '/users/root/crontab', crontab, 'text/plain');
  t.is(put.status, 200);
  t.like(await put.json(), {user: 'root', crontab, removed_expired: 0});
  const text = await get('/users/root/crontab', {accept: 'text/plain'});
  t.is(await text.text(), crontab);
  t.regex(text.headers.get('content-type') ?? '', /^text\/plain/);
  t.deepEqual(await (await get('/users/root/crontab')).json(), {user: 'root', crontab});
});

test('S24: JSON in, with any suffix type', async (t) => {
  const {sendJson, send, get} = await setup(t);
  t.is((await sendJson('PUT', '/users/root/crontab', {crontab})).status, 200);
  t.is(
    (await send('PUT', '/users/root/crontab', JSON.stringify({crontab: ''}), 'application/merge-patch+json'))
      .status,
    200,
  );
  t.deepEqual(await (await get('/users/root/crontab')).json(), {user: 'root', crontab: ''});
});

const refusals = [
  {
    title: 'S24: other types',
    method: 'PUT',
    path: '/users/root/crontab',
    body: crontab,
    type: 'application/x-www-form-urlencoded',
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    title: 'bytes that are not UTF-8',
    method: 'PUT',
    path: '/users/root/crontab',
    body: Uint8Array.of(0xff, 0x0a),
    type: 'text/plain',
    status: 400,
    code: 'INVALID_CRONTAB',
  },
  {
    title: 'a text over 256 KiB',
    method: 'PUT',
    path: '/users/root/crontab',
    body: `#${'x'.repeat(256 * 1024)}`,
    type: 'text/plain',
    status: 413,
    code: 'PAYLOAD_TOO_LARGE',
  },
  {
    title: 'a body far over the limit',
    method: 'PUT',
    path: '/users/root/crontab',
    body: `#${'x'.repeat(2_000_000)}`,
    type: 'text/plain',
    status: 413,
    code: 'PAYLOAD_TOO_LARGE',
  },
  {
    title: 'more than 10,000 lines',
    method: 'PUT',
    path: '/users/root/crontab',
    body: '\n'.repeat(10_001),
    type: 'text/plain',
    status: 413,
    code: 'PAYLOAD_TOO_LARGE',
  },
  {
    title: 'an unknown form of managed',
    method: 'PUT',
    path: '/users/root/crontab?managed=drop',
    body: '',
    type: 'text/plain',
    status: 400,
    code: 'INVALID_QUERY',
  },
  {
    title: 'a crontab that is no string',
    method: 'PUT',
    path: '/users/root/crontab',
    body: '{"crontab": 5}',
    status: 400,
    code: 'INVALID_BODY',
  },
  {
    title: 'S44: brackets instead of braces',
    method: 'POST',
    path: '/users/me/entries',
    body: '["schedule": "x"]',
    status: 400,
    code: 'INVALID_JSON',
  },
  {
    title: 'an entry without command',
    method: 'POST',
    path: '/users/me/entries',
    body: '{"schedule": "* * * * *"}',
    status: 400,
    code: 'INVALID_BODY',
  },
  {
    title: 'S59: */30 alone',
    method: 'POST',
    path: '/users/me/entries',
    body: '{"schedule": "*/30", "command": "x"}',
    status: 400,
    code: 'INVALID_SCHEDULE',
  },
  {
    title: 'an entry as text',
    method: 'POST',
    path: '/users/me/entries',
    body: 'x',
    type: 'text/plain',
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    title: 'page 0',
    method: 'GET',
    path: '/users/root/entries?page=0',
    status: 400,
    code: 'INVALID_PAGINATION',
  },
  {title: 'limit 201', method: 'GET', path: '/crontab?limit=201', status: 400, code: 'INVALID_PAGINATION'},
  {
    title: 'an id that is none',
    method: 'GET',
    path: '/users/root/entries/no-id',
    status: 400,
    code: 'INVALID_ID',
  },
  {
    title: 'an unknown user',
    method: 'GET',
    path: '/users/nobody.here/crontab',
    status: 404,
    code: 'USER_NOT_FOUND',
  },
  {
    title: 'an unknown status',
    method: 'GET',
    path: '/users/root/runs?status=done',
    status: 400,
    code: 'INVALID_QUERY',
  },
  {
    title: 'a time that is none',
    method: 'GET',
    path: '/users/root/runs?since=yesterday',
    status: 400,
    code: 'INVALID_QUERY',
  },
  {
    title: 'a cursor of somebody else',
    method: 'GET',
    path: '/users/root/runs?cursor=abc',
    status: 400,
    code: 'INVALID_PAGINATION',
  },
  {title: 'an unknown run', method: 'GET', path: '/users/root/runs/none', status: 404, code: 'RUN_NOT_FOUND'},
];
for (const {title, method, path, body, type, status, code} of refusals) {
  test(`refuses ${title} with ${code}`, async (t) => {
    const {send} = await setup(t);
    const response = await send(method, path, body, type);
    t.is(response.status, status);
    t.is((await read(response, errorSchema)).code, code);
  });
}

test('every line that is wrong is in the details of INVALID_CRONTAB', async (t) => {
  const {send} = await setup(t);
  const response = await send(
    'PUT',
    '/users/root/crontab',
    '* * * *\n0 1 * * * ok\n60 * * * * x\n',
    'text/plain',
  );
  const issuesSchema = z.object({
    code: z.literal('INVALID_CRONTAB'),
    details: z.object({issues: z.array(position)}),
  });
  t.deepEqual((await read(response, issuesSchema)).details.issues, [
    {line: 1, column: 8},
    {line: 3, column: 1},
  ]);
});

test('tags: both are sent, If-Match guards a PUT, If-None-Match saves the body', async (t) => {
  const {send, get, sendJson} = await setup(t);
  const put = await send('PUT', '/users/root/crontab', crontab, 'text/plain');
  const raw = put.headers.get('x-raw-etag') ?? '';
  t.not(put.headers.get('etag'), raw);
  await sendJson('POST', '/users/root/entries', {schedule: '@daily', command: 'x'});
  const read = await get('/users/root/crontab');
  t.is(read.headers.get('x-raw-etag'), raw);
  t.not(read.headers.get('etag'), raw);
  t.is((await get('/users/root/crontab', {'if-none-match': raw})).status, 304);
  const stale = await send('PUT', '/users/root/crontab', '', 'text/plain', {'if-match': '"x"'});
  t.is(stale.status, 412);
  const kept = await send('PUT', '/users/root/crontab?managed=keep', '', 'text/plain', {'if-match': raw});
  t.is(kept.status, 200);
  t.regex(await kept.text(), /"crontab":"# hoody-cron: id=/);
});

test('S37 S43 S46 S56: create, read, change and delete an entry of me', async (t) => {
  const {sendJson, get, send} = await setup(t);
  const created = await sendJson('POST', '/users/me/entries', {
    schedule: '*/30 * * * *',
    command: 'curl -fsS hoody-notifications/push/me',
    comment: 'on call',
    expires_at: '2026-05-22T09:00:00Z',
  });
  t.is(created.status, 201);
  const entry = await read(created, managedEntrySchema);
  t.like(entry, {user: 'root', enabled: true, expires_at: '2026-05-22T09:00:00Z'});
  t.deepEqual(await (await get(`/users/root/entries/${entry.id.slice(0, 8)}`)).json(), entry);
  const changed = await sendJson('PATCH', `/users/me/entries/${entry.id}`, {enabled: false});
  t.like(await changed.json(), {id: entry.id, enabled: false});
  const deleted = await send('DELETE', `/users/me/entries/${entry.id}`);
  t.is(deleted.status, 200);
  t.deepEqual(await deleted.json(), {deleted: true});
  t.is((await get(`/users/me/entries/${entry.id}`)).status, 404);
});

test('S47: the list is an envelope', async (t) => {
  const {send, get} = await setup(t);
  await send('PUT', '/users/root/crontab', crontab, 'text/plain');
  const list = await read(await get('/users/root/entries?limit=1&page=2'), entryListSchema);
  t.like(list, {user: 'root', page: 2, limit: 1, total: 2});
  t.like(list.entries[0], {line: '*/15 * * * * /srv/jobs/sync-stripe.py'});
});

test('S47: the list as an array counts in headers', async (t) => {
  const {send, get} = await setup(t, {lists: 'array'});
  await send('PUT', '/users/root/crontab', crontab, 'text/plain');
  const response = await get('/users/root/entries?limit=1');
  t.is((await read(response, z.array(entryItemSchema))).length, 1);
  t.is(response.headers.get('x-total-count'), '2');
  t.is(response.headers.get('link'), '<?page=2&limit=1>; rel="next", <?page=2&limit=1>; rel="last"');
});

test('every account has a crontab in the list of all', async (t) => {
  const {get} = await setup(t);
  const {items, total} = await read(await get('/crontab?limit=200'), crontabListSchema);
  t.is(items.length, total);
  t.true(items.some(({user}) => user === 'j.okafor'));
});

test('S67: runs stay after their entry is gone, page by page', async (t) => {
  const {clock, finished, sendJson, send, get} = await setup(t);
  const job = {schedule: '* * * * *', command: 'echo hi'};
  const {id} = await read(await sendJson('POST', '/users/root/entries', job), managedEntrySchema);
  await clock.advance(3 * 60_000);
  await finished(3);
  await send('DELETE', `/users/root/entries/${id}`);
  const first = await read(await get(`/users/root/entries/${id}/runs?limit=2`), runListSchema);
  t.deepEqual(
    first.items.map((run) => run.scheduled_at.slice(14, 16)),
    ['03', '02'],
  );
  const rest = await get(`/users/root/runs?entry=${id}&limit=2&cursor=${first.next_cursor}`);
  const second = await read(rest, runListSchema);
  t.is(second.items.length, 1);
  t.is(second.next_cursor, null);
  t.like(second.items[0], {status: 'succeeded', exit_code: 0, stdout: 'hi\n'});
  t.deepEqual(await read(await get(`/users/root/runs/${second.items[0]?.id}`), runSchema), second.items[0]);
  const between = 'since=2026-05-18T09:02:00Z&until=2026-05-18T09:03:00Z&status=succeeded';
  t.is((await read(await get(`/users/root/runs?${between}`), runListSchema)).items.length, 1);
});

test('PUT of GET changes nothing', async (t) => {
  const {send, get} = await setup(t);
  const pair = '# hoody-cron: id=6f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11\n0 2 * * * managed\n';
  const raw = fc.array(
    fc.constantFrom('', '# ä', 'A=1', '0 1 * * * x%y', '@daily z\r', '# hoody-cron: broken'),
  );
  const texts = fc.tuple(fc.constantFrom('', pair), raw).map(([first, lines]) => first + lines.join('\n'));
  await fc.assert(
    fc.asyncProperty(texts, async (sent) => {
      const first = await send('PUT', '/users/root/crontab', sent, 'text/plain');
      const text = await (await get('/users/root/crontab', {accept: 'text/plain'})).text();
      const second = await send('PUT', '/users/root/crontab', text, 'text/plain');
      t.is(text, sent);
      t.is(second.headers.get('etag'), first.headers.get('etag'));
    }),
    {numRuns: 30},
  );
});

test('a preview of a schedule lists its next runs in the zone', async (t) => {
  const {get} = await setup(t);
  const query = new URLSearchParams({
    schedule: '30 2 * * *',
    timezone: 'America/New_York',
    after: '2026-03-07T12:00:00Z',
    count: '2',
  });
  t.deepEqual(await (await get(`/preview?${query}`)).json(), {
    schedule: '30 2 * * *',
    timezone: 'America/New_York',
    valid: true,
    human: 'At 02:30 every day',
    next: ['2026-03-08T07:00:00.000Z', '2026-03-09T06:30:00.000Z'],
    error: null,
  });
  t.like(await (await get('/preview?schedule=0+0+30+2+*')).json(), {valid: true, next: [], timezone: 'UTC'});
  t.like(await (await get('/preview?schedule=*/30')).json(), {
    valid: false,
    error: {code: 'INVALID_SCHEDULE', column: 5},
  });
  t.is((await get('/preview?schedule=@daily&timezone=Mars/Olympus')).status, 400);
});

test('a preview of a crontab says what each line means and stores nothing', async (t) => {
  const {send, text} = await setup(t);
  const body = 'A=1\n@daily\techo 50\\%%in\n61 * * * * x\n';
  const preview = await (await send('POST', '/preview', body, 'text/plain')).json();
  t.like(preview, {
    valid: false,
    env: {A: '1'},
    jobs: [{line: 2, schedule: '@daily', command: 'echo 50%', stdin: 'in\n', env: {A: '1'}}],
    issues: [{line: 3, column: 1, code: 'schedule_invalid'}],
  });
  t.is(await text(), '');
});
