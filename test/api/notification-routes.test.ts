import test from 'ava';
import {notificationListSchema, notificationSchema} from '../../schemas/notification.ts';
import {createNotificationWorld} from '../helpers/notification-world.ts';

const text = {'content-type': 'text/plain'};

test('a push without words is a ping from the branch, answered with what is stored', async (t) => {
  const {request, inbox} = await createNotificationWorld(t);
  const got = await request('/push/m.dossantos');
  t.is(got.status, 200);
  const first = await got.json();
  t.deepEqual(notificationSchema.strict().parse(first), {
    id: 1,
    display_id: 'm.dossantos',
    summary: 'ping from main',
    body: '',
    urgency: 'normal',
    icon: null,
    category: null,
    expire_time: null,
    created_at: '2026-05-18T09:00:00.000Z',
  });
  const posted = await request('/push/m.dossantos', {method: 'POST'});
  t.is(posted.status, 201);
  t.deepEqual((await inbox('m.dossantos')).notifications, [first, await posted.json()]);
});

for (const {title, path = 'me', init, summary, body = '', urgency = 'normal'} of [
  {title: 'a message of the query', path: 'me?message=disk+full', summary: 'disk full'},
  {
    title: 'title, message and urgency of the query',
    path: 'me?title=Backup&message=no%20space&urgency=critical',
    summary: 'Backup',
    body: 'no space',
    urgency: 'critical',
  },
  {title: 'a text', init: {body: 'disk full\n', headers: text}, summary: 'disk full'},
  {
    title: 'what `curl -d` sends',
    init: {body: 'a=b & c', headers: {'content-type': 'application/x-www-form-urlencoded'}},
    summary: 'a=b & c',
  },
  {title: 'a text without content type', init: {body: new TextEncoder().encode('raw')}, summary: 'raw'},
  {
    title: 'a text of several lines',
    init: {body: '\nfirst\r\n  second\n', headers: text},
    summary: 'first',
    body: '\nfirst\r\n  second',
  },
  {
    title: 'a long line',
    init: {body: 'x'.repeat(201), headers: text},
    summary: `${'x'.repeat(199)}…`,
    body: 'x'.repeat(201),
  },
  {
    title: 'a line that would be cut through a character',
    init: {body: `${'x'.repeat(198)}😀😀`, headers: text},
    summary: `${'x'.repeat(198)}…`,
    body: `${'x'.repeat(198)}😀😀`,
  },
  {title: 'a text that is not UTF-8', init: {body: new Uint8Array([0x61, 0xff])}, summary: 'a\ufffd'},
  {title: 'white space', init: {body: ' \n', headers: text}, summary: 'ping from main'},
  {
    title: 'JSON',
    init: {
      body: '{"summary":"a","body":"b","urgency":"low"}',
      headers: {'content-type': 'application/json; charset=utf-8'},
    },
    summary: 'a',
    body: 'b',
    urgency: 'low',
  },
  {
    title: 'JSON without summary',
    init: {body: '{"body":"one\\ntwo"}', headers: {'content-type': 'application/json'}},
    summary: 'one',
    body: 'one\ntwo',
  },
  {
    title: 'a query beside a text, which wins',
    path: 'me?title=Log',
    init: {body: 'last words', headers: text},
    summary: 'Log',
    body: 'last words',
  },
]) {
  test(`a push says: ${title}`, async (t) => {
    const {push, inbox} = await createNotificationWorld(t);
    const stored = await push(path, init === undefined ? {} : {method: 'POST', ...init});
    t.like(stored, {display_id: 'root', summary, body, urgency});
    t.deepEqual((await inbox('root')).notifications, [stored]);
  });
}

test('S51: me is the default user, by push, notify, inbox and display', async (t) => {
  const {push, inbox, postJson, request} = await createNotificationWorld(t);
  t.is((await push('me')).display_id, 'root');
  t.is((await postJson('/notify', {display: 'me', summary: 'again'})).status, 200);
  t.is((await inbox('me')).inbox, 'root');
  t.is((await inbox('root')).count, 2);
  const list = notificationListSchema.parse(await (await request('/me')).json());
  t.deepEqual(list.data.displays, ['root']);
});

test('S52: a push reaches one inbox and no other, read or followed', async (t) => {
  const {push, inbox, service} = await createNotificationWorld(t);
  const names = ['m.dossantos', 'm-dossantos', 'M.dossantos', 'm.dossanto', 'j.okafor', 'team', 'root'];
  const left = new AbortController();
  const followers = names.map((name) => ({
    name,
    events: service.follow([name], {afterId: null, signal: left.signal}),
  }));
  for (const {events} of followers) t.is((await events.next()).value?.type, 'connected');
  const {id} = await push('m.dossantos?message=disk+full');
  for (const name of names) t.is((await inbox(name)).count, name === 'm.dossantos' ? 1 : 0, name);
  for (const {name, events} of followers) {
    const next = events.next();
    if (name !== 'm.dossantos') {
      const state = await Promise.race([
        next.then(() => 'told'),
        new Promise((r) => setImmediate(r, 'quiet')),
      ]);
      t.is(state, 'quiet', name);
    } else t.like(await next, {value: {type: 'notification', notification: {id}}});
  }
  left.abort();
});

test('an inbox is read after an id, since an instant, and the newest first when there are many', async (t) => {
  const {push, inbox, clock, request} = await createNotificationWorld(t);
  for (const message of ['a', 'b', 'c']) {
    await push(`me?message=${message}`);
    await push('other');
    await clock.advance(1000);
  }
  const read = async (query: string) =>
    (await inbox('me', query)).notifications.map(({summary}) => summary).join('');
  t.is(await read(''), 'abc');
  t.is(await read('?limit=2'), 'bc');
  t.is(await read('?after_id=1'), 'bc');
  t.is(await read('?after_id=1&limit=1'), 'b');
  t.is(await read('?after_id=5'), '');
  t.is(await read('?since=2026-05-18T09:00:01Z'), 'bc');
  t.is(await read(`?since=${Date.parse('2026-05-18T09:00:02Z')}`), 'c');
  for (const [query, code] of [
    ['?after_id=-1', 'INVALID_QUERY'],
    ['?after_id=99999999999999999', 'INVALID_QUERY'],
    ['?since=yesterday', 'INVALID_QUERY'],
    ['?limit=0', 'INVALID_PAGINATION'],
    ['?limit=1001', 'INVALID_PAGINATION'],
  ]) {
    const response = await request(`/inbox/me${query}`);
    t.is(response.status, 400);
    t.like(await response.json(), {code}, query);
  }
});

test('the public API sends to a display and lists one, several or all', async (t) => {
  const {postJson, request} = await createNotificationWorld(t);
  const sent = await postJson('/notify', {
    display: 1,
    summary: 's'.repeat(200),
    body: 'b'.repeat(1000),
    urgency: 'critical',
    icon: 'dialog-warning',
    category: 'c'.repeat(50),
    expire_time: 300_000,
  });
  t.is(sent.status, 200);
  t.deepEqual(await sent.json(), {success: true, message: 'Notification sent successfully'});
  await postJson('/notify', {display: 'm.dossantos', summary: 'hello'});
  await postJson('/notify', {display: 'j.okafor', summary: 'hi'});
  const list = async (path: string) =>
    notificationListSchema.strict().parse(await (await request(path)).json()).data;
  t.like(await list('/1'), {
    count: 1,
    displays: ['1'],
    notifications: [
      {id: 1, display_id: '1', urgency: 'critical', icon: 'dialog-warning', expire_time: 300_000},
    ],
  });
  const several = await list('/1,m.dossantos,1?username=root&session=x');
  t.deepEqual(several.displays, ['1', 'm.dossantos']);
  t.deepEqual(
    several.notifications.map(({id}) => id),
    [1, 2],
  );
  const all = await list('/all');
  t.deepEqual(all.displays, ['1', 'j.okafor', 'm.dossantos']);
  t.is(all.count, 3);
  t.deepEqual(
    (await list('/all?limit=1')).notifications.map(({id}) => id),
    [3],
  );
  t.deepEqual((await list('/nobody')).notifications, []);
});

for (const [what, change] of [
  ['no display', {display: undefined}],
  ['a display with a slash', {display: 'a/b'}],
  ['all displays', {display: 'all'}],
  ['no summary', {summary: undefined}],
  ['an empty summary', {summary: ' '}],
  ['a long summary', {summary: 's'.repeat(201)}],
  ['a long body', {body: 'b'.repeat(1001)}],
  ['an unknown urgency', {urgency: 'high'}],
  ['a long category', {category: 'c'.repeat(51)}],
  ['a late end', {expire_time: 300_001}],
  ['a number as summary', {summary: 1}],
] as const) {
  test(`notify refuses ${what}`, async (t) => {
    const {postJson, request} = await createNotificationWorld(t);
    const response = await postJson('/notify', {display: 'a', summary: 's', ...change});
    t.is(response.status, 400);
    t.like(await response.json(), {code: 'INVALID_BODY'});
    t.like(await (await request('/all')).json(), {data: {count: 0, displays: []}});
  });
}

test('some are dismissed by id, and those of another display are not', async (t) => {
  const {push, postJson, inbox} = await createNotificationWorld(t);
  for (const name of ['a', 'a', 'b', 'a']) await push(name);
  const dismiss = async (body: unknown, method = 'POST') =>
    (await (await postJson('/dismiss', body, method)).json()) as unknown;
  t.deepEqual(await dismiss({notificationIds: [1, 3, 99], displayId: 'a'}), {
    success: true,
    message: '1 dismissed',
    data: {dismissed: 1},
  });
  t.is((await inbox('b')).count, 1);
  t.like(await dismiss({notificationIds: [2, 3]}, 'DELETE'), {data: {dismissed: 2}});
  t.deepEqual(
    (await inbox('a')).notifications.map(({id}) => id),
    [4],
  );
  t.like(await dismiss({displayId: 'a'}), {code: 'INVALID_BODY'});
  t.like(await dismiss({notificationIds: []}), {code: 'INVALID_BODY'});
});

test('all are dismissed at once, of one display or of every one', async (t) => {
  const {push, request, inbox} = await createNotificationWorld(t);
  for (const name of ['a', 'b', 'b', 'c']) await push(name);
  const dismiss = async (query = '') =>
    (await (await request(`/dismiss${query}`, {method: 'DELETE'})).json()) as unknown;
  t.like(await dismiss('?display=b'), {data: {dismissed: 2}});
  t.is((await inbox('a')).count, 1);
  t.like(await dismiss(), {data: {dismissed: 2}});
  t.like(await dismiss('?display=a/b'), {code: 'INVALID_NAME'});
  t.is((await push('a')).id, 5, 'an id is not used twice');
});

test('an inbox whose name is one of our own paths is read below inbox', async (t) => {
  const {push, inbox, request} = await createNotificationWorld(t);
  for (const name of ['notify', 'health', 'push']) {
    await push(name);
    t.is((await inbox(name)).count, 1);
    t.is((await request(`/${name}`)).status, 404);
  }
});
