import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;
const page = {page: 1, limit: 50};
const push = (name: string) => `curl -fsS hoody-notifications/push/${name}`;

test('S50: every 30 minutes takes five fields; a step alone is refused', async (t) => {
  const {cron} = await createCronWorld(t);
  const entry = {command: push('m.dossantos')};
  await t.throwsAsync(cron.createEntry('root', {...entry, schedule: '*/30'}), {code: 'INVALID_SCHEDULE'});
  const {id} = await cron.createEntry('root', {...entry, schedule: '*/30 * * * *'});
  t.deepEqual((await cron.nextRuns('root', id, 3)).next, [
    '2026-05-18T09:30:00.000Z',
    '2026-05-18T10:00:00.000Z',
    '2026-05-18T10:30:00.000Z',
  ]);
});

test('S54 S96: on Friday the list has one row fewer, and the next entry is untouched', async (t) => {
  const {cron, clock} = await createCronWorld(t, {at: '2026-05-22T08:55:00Z', state: 'paused'});
  const mine = await cron.createEntry('root', {
    schedule: '@hourly',
    command: push('m.dossantos'),
    expires_at: '2026-05-22T09:00:00Z',
  });
  const next = await cron.createEntry('root', {schedule: '@hourly', command: push('j.okafor')});
  const ids = async () =>
    (await cron.listEntries('root', page)).entries.map((item) => ('id' in item ? item.id : null));
  t.deepEqual(new Set(await ids()), new Set([mine.id, next.id]));
  await clock.advance(6 * minuteMs);
  t.deepEqual(await ids(), [next.id]);
});

for (const [schedule, first] of [
  ['@hourly', '2026-05-18T10:00:00.000Z'],
  ['@daily', '2026-05-19T00:00:00.000Z'],
  ['@weekly', '2026-05-24T00:00:00.000Z'],
] as const) {
  test(`S55: an entry may say ${schedule}`, async (t) => {
    const {cron} = await createCronWorld(t);
    const {schedule: kept, next_run} = await cron.createEntry('root', {schedule, command: 'true'});
    t.is(kept, schedule);
    t.is(next_run, first);
  });
}

for (const [given, instant] of [
  ['2026-05-22T09:00:00Z', '2026-05-22T09:00:00.000Z'],
  ['2026-05-22T11:00:00+02:00', '2026-05-22T09:00:00.000Z'],
  ['2026-05-22t09:00:00.5z', '2026-05-22T09:00:00.500Z'],
  ['2026-05-21T23:30:00.123456-09:30', '2026-05-22T09:00:00.123Z'],
] as const) {
  test(`S61: ${given} is an expiry`, async (t) => {
    const {cron, clock, text} = await createCronWorld(t, {at: '2026-05-22T08:59:59Z', state: 'paused'});
    const {expires_at} = await cron.createEntry('root', {
      schedule: '@yearly',
      command: 'true',
      expires_at: given,
    });
    t.is(Date.parse(expires_at ?? ''), Date.parse(instant));
    await clock.advance(Date.parse(instant) - clock.now() - 1);
    t.not(await text(), '');
    await clock.advance(1);
    t.is(await text(), '');
  });
}

test('S66: until its end an entry does what a permanent one does', async (t) => {
  const {cron, clock, finished, runs} = await createCronWorld(t);
  const permanent = await cron.createEntry('root', {schedule: '*/2 * * * *', command: 'echo same; exit 3'});
  const temporary = await cron.createEntry('root', {
    schedule: '*/2 * * * *',
    command: 'echo same; exit 3',
    expires_at: '2026-05-18T09:05:00Z',
  });
  await clock.advance(2 * minuteMs);
  await finished(2);
  await clock.advance(2 * minuteMs);
  await finished(4);
  const facts = async (wanted: string) =>
    (await runs())
      .filter(({entry_id}) => entry_id === wanted)
      .map(({status, exit_code, stdout, scheduled_at, reason}) => [
        status,
        exit_code,
        stdout,
        scheduled_at,
        reason,
      ]);
  t.is((await facts(temporary.id)).length, 2);
  t.deepEqual(await facts(temporary.id), await facts(permanent.id));
});

test('S71: the operator says how many jobs a crontab may hold', async (t) => {
  let most = 2;
  const {cron, put, text} = await createCronWorld(t, {maxEntries: () => most});
  await put('0 1 * * * one\n0 2 * * * two\n');
  const before = await text();
  await t.throwsAsync(cron.createEntry('root', {schedule: '@daily', command: 'three'}), {
    code: 'PAYLOAD_TOO_LARGE',
    message: /2 jobs/,
  });
  await t.throwsAsync(put('@daily a\n@daily b\n@daily c\n'), {code: 'PAYLOAD_TOO_LARGE'});
  t.is(await text(), before);
  // A limit that was lowered takes nothing away and stops no change that needs no more room.
  most = 1;
  await put('0 1 * * * one\n0 3 * * * two\n');
  most = 3;
  await t.notThrowsAsync(cron.createEntry('root', {schedule: '@daily', command: 'three'}));
});
