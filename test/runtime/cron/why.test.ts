import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function instant(time: string): number {
  return Date.parse(`2026-05-18T${time}Z`);
}

const rollup = '# branchtab: name=rollup\n*/5 * * * * echo x; exit 3\n';

test('a run that happened: when, how and how late', async (t) => {
  const {cron, clock, put, finished} = await createCronWorld(t);
  await put(rollup);
  await clock.advance(5 * minuteMs);
  await finished(1);
  await clock.advance(minuteMs);
  const why = await cron.why('root', 'rollup', instant('09:05:42'));
  t.like(why, {
    verdict: 'ran',
    at: '2026-05-18T09:05:00.000Z',
    due: true,
    in_force: true,
    in_force_since: '2026-05-18T09:00:00.000Z',
    in_force_until: null,
    line: 2,
    schedule: '*/5 * * * *',
    timezone: 'UTC',
    next_due: '2026-05-18T09:10:00.000Z',
  });
  t.deepEqual(
    why.runs.map(({status, exit_code}) => [status, exit_code]),
    [['failed', 3]],
  );
  t.regex(why.explanation, /^It ran: failed after \d+ ms, exit code 3\.$/);
  t.like(await cron.why('root', why.entry_id.slice(0, 8), instant('09:05:00')), {verdict: 'ran'});
});

test('a minute that the schedule does not name', async (t) => {
  const {cron, clock, put} = await createCronWorld(t);
  await put(rollup);
  await clock.advance(4 * minuteMs);
  t.like(await cron.why('root', 'rollup', instant('09:03:00')), {
    verdict: 'not_due',
    due: false,
    previous_due: '2026-05-18T09:00:00.000Z',
    next_due: '2026-05-18T09:05:00.000Z',
    runs: [],
  });
});

test('a minute that has not come', async (t) => {
  const {cron, put} = await createCronWorld(t);
  await put(rollup);
  t.like(await cron.why('root', 'rollup', instant('09:05:00')), {verdict: 'not_yet', due: true});
});

const skips = [
  {state: 'held', says: /waited for its first apply/},
  {state: 'paused', says: /schedule of the container was paused/},
  {state: 'lease_expired', says: /lease of the preview had run out/},
] as const;
for (const {state, says} of skips) {
  test(`a run that was skipped because the schedule was ${state}`, async (t) => {
    const {cron, clock, put} = await createCronWorld(t, {state});
    await put(rollup);
    await clock.advance(6 * minuteMs);
    const why = await cron.why('root', 'rollup', instant('09:05:00'));
    t.is(why.verdict, 'skipped');
    t.regex(why.explanation, says);
  });
}

test('a line that came later, and one that went before', async (t) => {
  const {cron, clock, put} = await createCronWorld(t, {state: 'paused'});
  await clock.advance(10 * minuteMs);
  await put(rollup);
  await clock.advance(hourMs);
  await put('* * * * * true\n');
  await clock.advance(hourMs);
  const early = await cron.why('root', 'rollup', instant('09:05:00'));
  t.like(early, {verdict: 'not_in_force', in_force: false, in_force_since: '2026-05-18T09:10:00.000Z'});
  t.like(await cron.why('root', 'rollup', instant('09:15:00')), {
    verdict: 'skipped',
    in_force_since: '2026-05-18T09:10:00.000Z',
    in_force_until: '2026-05-18T10:10:00.000Z',
  });
  const late = await cron.why('root', 'rollup', instant('10:15:00'));
  t.like(late, {verdict: 'not_in_force', in_force_until: '2026-05-18T10:10:00.000Z'});
});

test('an entry that was switched off or had expired', async (t) => {
  const {cron, clock} = await createCronWorld(t, {state: 'paused'});
  const entry = {schedule: '* * * * *', command: 'true'};
  const off = await cron.createEntry('root', {...entry, enabled: false});
  const brief = await cron.createEntry('root', {...entry, expires_at: '2026-05-18T09:02:00Z'});
  await clock.advance(2 * minuteMs);
  await cron.getCrontab('root');
  await clock.advance(3 * minuteMs);
  t.like(await cron.why('root', off.id, instant('09:01:00')), {verdict: 'disabled'});
  t.like(await cron.why('root', brief.id, instant('09:01:00')), {verdict: 'skipped'});
  t.like(await cron.why('root', brief.id, instant('09:02:00')), {verdict: 'expired'});
  t.like(await cron.why('root', brief.id, instant('09:04:00')), {verdict: 'expired', in_force: false});
});

test('what the crontab was is known after a restart, and while its file is lost', async (t) => {
  const world = await createCronWorld(t, {state: 'paused'});
  await world.put(rollup);
  await world.clock.advance(6 * minuteMs);
  await rm(join(world.directory, 'cron', 'crontabs', 'root.crontab'));
  const again = await world.reopen();
  t.like(await again.cron.why('root', 'rollup', instant('09:05:00')), {verdict: 'skipped', line: 2});
  t.like(await again.cron.why('root', 'rollup', instant('09:06:00')), {verdict: 'not_in_force'});
});

test('nobody knows an entry that never was', async (t) => {
  const {cron} = await createCronWorld(t);
  await t.throwsAsync(cron.why('root', 'nobody', instant('09:05:00')), {code: 'ENTRY_NOT_FOUND'});
});

test('what is remembered of crontabs is bounded', async (t) => {
  const {cron, clock, put} = await createCronWorld(t, {state: 'paused'});
  for (let version = 0; version < 220; version += 1) {
    await put(`# branchtab: name=v${version}\n0 0 1 1 * true\n`);
    await clock.advance(1000);
  }
  await t.throwsAsync(cron.why('root', 'v5', instant('09:00:05')), {code: 'ENTRY_NOT_FOUND'});
  t.like(await cron.why('root', 'v100', instant('09:01:40')), {in_force: true});
});
