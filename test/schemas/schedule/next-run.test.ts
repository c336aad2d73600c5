import test from 'ava';
import fc from 'fast-check';
import {nextRun} from '../../../schemas/schedule/next-run.ts';
import {parseSchedule, type Schedule} from '../../../schemas/schedule/parse.ts';
import {createZone} from '../../../schemas/schedule/zone.ts';
import {anyExpression, offsetChanges, timesOfChanges} from '../../helpers/cron-expressions.ts';
import {walkMinutes} from '../../helpers/minute-walker.ts';

const dayMs = 24 * 60 * 60_000;

function schedule(text: string): Schedule {
  const result = parseSchedule(text);
  if (!result.ok) throw new Error(`${text}: ${result.issue.message}`);
  return result.schedule;
}

function allRuns(text: string, timeZone: string, afterMs: number, untilMs: number): number[] {
  const zone = createZone(timeZone);
  const parsed = schedule(text);
  const runs: number[] = [];
  for (
    let at = nextRun(parsed, zone, afterMs);
    at !== null && at <= untilMs;
    at = nextRun(parsed, zone, at)
  ) {
    runs.push(at);
  }
  return runs;
}

const iso = (epochMs: number) => new Date(epochMs).toISOString();

const next = test.macro({
  exec(
    t,
    {text, zone = 'UTC', after, expect}: {text: string; zone?: string; after: string; expect: string | null},
  ) {
    const at = nextRun(schedule(text), createZone(zone), Date.parse(after));
    t.is(at === null ? null : iso(at), expect);
  },
  title: (name) => name ?? '',
});

test('strictly after: a run at the given instant is not the next', next, {
  text: '*/15 * * * *',
  after: '2026-05-18T09:15:00Z',
  expect: '2026-05-18T09:30:00.000Z',
});
test('within a minute the next whole minute is meant', next, {
  text: '* * * * *',
  after: '2026-05-18T09:15:59.999Z',
  expect: '2026-05-18T09:16:00.000Z',
});
test('30 February never comes', next, {text: '0 0 30 2 *', after: '2026-01-01T00:00:00Z', expect: null});
test('@reboot has no next time', next, {text: '@reboot', after: '2026-01-01T00:00:00Z', expect: null});
test('29 February waits for a leap year', next, {
  text: '0 0 29 2 *',
  after: '2026-01-01T00:00:00Z',
  expect: '2028-02-29T00:00:00.000Z',
});
test('29 February crosses the year 2100', next, {
  text: '0 0 29 2 *',
  after: '2096-03-01T00:00:00Z',
  expect: '2104-02-29T00:00:00.000Z',
});
test('both day fields restricted: either is enough', next, {
  text: '0 0 13 * fri',
  after: '2026-05-10T00:00:00Z',
  expect: '2026-05-13T00:00:00.000Z',
});
test('a stepped star in a day field joins by and', next, {
  text: '0 0 13 * */5',
  after: '2026-05-10T00:00:00Z',
  expect: '2026-09-13T00:00:00.000Z',
});
test('a fixed time in the gap runs right after it', next, {
  text: '30 2 * * *',
  zone: 'America/New_York',
  after: '2026-03-07T12:00:00Z',
  expect: '2026-03-08T07:00:00.000Z',
});
test('a midnight that does not exist runs right after the gap', next, {
  text: '@daily',
  zone: 'America/Santiago',
  after: '2026-09-05T12:00:00Z',
  expect: '2026-09-06T04:00:00.000Z',
});
test('a whole day that a zone leaves out is not made up for', next, {
  text: '0 12 30 12 *',
  zone: 'Pacific/Apia',
  after: '2011-12-29T00:00:00Z',
  expect: '2012-12-29T22:00:00.000Z',
});

for (const {zone, at} of offsetChanges) {
  test(`DST as the daemon: ${zone} around ${at}`, (t) => {
    const [from, until] = [Date.parse(at) - 1.5 * dayMs, Date.parse(at) + 1.5 * dayMs];
    for (const text of timesOfChanges) {
      t.deepEqual(
        allRuns(text, zone, from, until).map(iso),
        walkMinutes(text, zone, from, until).map(iso),
        text,
      );
    }
  });
}

test('any expression has the runs that the minute walker finds', (t) => {
  const day = fc.integer({min: 0, max: 3000});
  fc.assert(
    fc.property(anyExpression, day, (text, offset) => {
      const from = Date.parse('2024-01-01T00:00:00Z') + offset * dayMs;
      t.deepEqual(
        allRuns(text, 'UTC', from, from + 2 * dayMs),
        walkMinutes(text, 'UTC', from, from + 2 * dayMs),
        text,
      );
    }),
    {numRuns: 60},
  );
});

test('S58: every 30 minutes from Monday to Friday 09:00 gives 192 runs', (t) => {
  const [from, until] = [Date.parse('2026-05-18T09:00:00Z'), Date.parse('2026-05-22T09:00:00Z')];
  t.is(allRuns('*/30 * * * *', 'UTC', from - 1, until - 1).length, 192);
});

test('an unknown time zone is refused', (t) => {
  for (const name of ['Mars/Olympus', '', '../../etc/passwd', '+01:00']) {
    t.throws(() => createZone(name), {instanceOf: RangeError}, name);
  }
});
