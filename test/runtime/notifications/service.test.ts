import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {openNotifications} from '../../../runtime/notifications/service.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';
import {createNotificationWorld, notificationOf, readStream} from '../../helpers/notification-world.ts';

const dayMs = 24 * 60 * 60_000;

test('what was pushed is there after a restart, and ids go on', async (t) => {
  const world = await createNotificationWorld(t);
  const first = await world.push('a?message=kept');
  await world.push('a');
  world.service.dismiss(['a'], [2]);
  const again = await world.reopen();
  t.deepEqual((await again.inbox('a')).notifications, [first]);
  t.is((await again.push('a')).id, 3);
});

test('of an inbox the newest are kept, and another one loses nothing by it', async (t) => {
  const {push, inbox} = await createNotificationWorld(t, {limits: {keptPerInbox: 3}});
  await push('quiet');
  for (let count = 0; count < 5; count += 1) await push('busy');
  t.deepEqual(
    (await inbox('busy')).notifications.map(({id}) => id),
    [4, 5, 6],
  );
  t.is((await inbox('quiet')).count, 1);
});

test('what is older than 30 days is gone, whether or not anything came since', async (t) => {
  const {push, inbox, request, clock} = await createNotificationWorld(t);
  await push('a');
  await clock.advance(30 * dayMs);
  t.is((await inbox('a')).count, 1);
  await clock.advance(1);
  t.is((await inbox('a')).count, 0);
  t.like(await (await request('/all')).json(), {data: {displays: []}});
});

test('a minute holds 60 notifications of an inbox; more are told when to come again', async (t) => {
  const {push, request, inbox, clock} = await createNotificationWorld(t);
  for (let count = 0; count < 60; count += 1) {
    await push('a');
    await clock.advance(500);
  }
  const refused = await request('/push/a');
  t.is(refused.status, 429);
  t.is(refused.headers.get('retry-after'), '30');
  t.like(await refused.json(), {code: 'RATE_LIMITED'});
  t.is((await request('/push/b')).status, 200);
  t.is((await inbox('a')).count, 60);
  await clock.advance(30_000);
  await push('a');
  t.is((await request('/push/a')).status, 429);
});

test('a clock that is set back locks nobody out', async (t) => {
  const {push, clock} = await createNotificationWorld(t);
  for (let count = 0; count < 60; count += 1) await push('a');
  clock.step(-3_600_000);
  t.is((await push('a')).id, 61);
});

test('there are so many inboxes, and room for another when one is emptied or old', async (t) => {
  const {push, request, postJson, clock} = await createNotificationWorld(t, {limits: {inboxes: 2}});
  await push('a');
  await push('b');
  const refused = await request('/push/c');
  t.is(refused.status, 409);
  t.like(await refused.json(), {code: 'TOO_MANY_INBOXES'});
  await push('a');
  await postJson('/dismiss', {notificationIds: [2]});
  t.is((await push('c')).display_id, 'c');
  await clock.advance(31 * dayMs);
  t.is((await push('d')).display_id, 'd');
});

test('a follower is connected, gets what comes in, and a heartbeat after 15 s of quiet', async (t) => {
  const {push, request, clock} = await createNotificationWorld(t);
  await push('me?message=before');
  const response = await request('/inbox/me/stream');
  t.is(response.headers.get('content-type'), 'text/event-stream');
  const stream = readStream(response);
  t.is(await stream.next(), 'id: 1\nevent: connected\ndata: {"displays":["root"],"last_id":1}');
  const stored = await push('me?message=now');
  t.is(await stream.next(), `id: 2\nevent: notification\ndata: ${JSON.stringify(stored)}`);
  const heartbeat = stream.next();
  await clock.advance(15_000);
  t.is(await heartbeat, 'event: heartbeat\ndata: {"at":"2026-05-18T09:00:15.000Z"}');
  await stream.leave();
  t.is(clock.sleeping, 0);
});

test('who comes back with the id of the last event misses nothing', async (t) => {
  const {push, request} = await createNotificationWorld(t);
  for (let count = 0; count < 3; count += 1) await push('me');
  await push('other');
  const resumed = readStream(await request('/inbox/me/stream', {headers: {'Last-Event-ID': '1'}}));
  t.true((await resumed.next()).startsWith('id: 1\nevent: connected'));
  t.is(notificationOf(await resumed.next()).id, 2);
  t.is(notificationOf(await resumed.next()).id, 3);
  const live = await push('me');
  t.deepEqual(notificationOf(await resumed.next()), live);
  await resumed.leave();
  const fromTheFuture = readStream(await request('/inbox/me/stream', {headers: {'Last-Event-ID': '999'}}));
  t.true((await fromTheFuture.next()).startsWith('id: 5\n'));
  await fromTheFuture.leave();
  t.is((await request('/inbox/me/stream', {headers: {'Last-Event-ID': 'x'}})).status, 400);
});

test('a reader who is slow gets everything that is kept, in order', async (t) => {
  const {push, request} = await createNotificationWorld(t, {
    limits: {perMinuteAndInbox: 1000, keptPerInbox: 200},
  });
  const stream = readStream(await request('/inbox/me/stream'));
  await stream.next();
  for (let count = 0; count < 180; count += 1) await push('me');
  const ids: number[] = [];
  while (ids.length < 180) ids.push(notificationOf(await stream.next()).id);
  t.deepEqual(
    ids,
    Array.from({length: 180}, (_, index) => index + 1),
  );
  await stream.leave();
});

test('the public stream follows some displays or all of them', async (t) => {
  const {push, request} = await createNotificationWorld(t);
  const [some, all] = await Promise.all(
    ['/stream?displays=a,b', '/stream'].map(async (path) => readStream(await request(path))),
  );
  t.is(await some?.next(), 'id: 0\nevent: connected\ndata: {"displays":["a","b"],"last_id":0}');
  t.is(await all?.next(), 'id: 0\nevent: connected\ndata: {"displays":["all"],"last_id":0}');
  for (const name of ['c', 'a', 'b']) await push(name);
  for (const [stream, ids] of [
    [some, [2, 3]],
    [all, [1, 2, 3]],
  ] as const) {
    for (const id of ids) t.is(notificationOf((await stream?.next()) ?? '').id, id);
    await stream?.leave();
  }
  t.is((await request('/stream?displays=a/b')).status, 400);
});

test('streams are counted: one too many is refused, one that was left makes room', async (t) => {
  const {push, request} = await createNotificationWorld(t, {limits: {followers: 1}});
  const first = readStream(await request('/stream'));
  await first.next();
  const refused = await request('/stream');
  t.is(refused.status, 429);
  t.is(refused.headers.get('retry-after'), '15');
  // The reader is behind when it leaves: its turn is not to wait but to be read.
  for (let count = 0; count < 5; count += 1) await push('a');
  await first.leave();
  const second = readStream(await request('/stream'));
  t.true((await second.next()).startsWith('id: 5\n'));
  await second.leave();
});

test('the end of the service ends its streams', async (t) => {
  const {request, service} = await createNotificationWorld(t);
  const stream = readStream(await request('/stream'));
  await stream.next();
  const next = stream.next();
  service.close();
  await t.throwsAsync(next, {message: /^The stream ended/});
});

test('a file that is no database says what to do about it', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'notifications-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  await writeFile(
    join(directory, 'notifications.db'),
    'no database at all, but long enough to be read as one',
  );
  const error = await t.throwsAsync(
    openNotifications({directory, clock: new FakeClock(), origin: () => 'main'}),
    {message: /notifications\.db is damaged: .* remove it to start with empty inboxes/},
  );
  t.like(error, {code: 'STATE_UNREADABLE'});
});
