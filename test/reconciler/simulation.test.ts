import test from 'ava';
import fc from 'fast-check';
import {instantOfWall, simulate} from '../../reconciler/simulation.ts';
import {namedJobs} from '../../schemas/named-jobs.ts';
import {createZone} from '../../schemas/schedule/zone.ts';

const dayMs = 86_400_000;

test('a day begins with the first instant at which the clock shows it, also where midnight is skipped or comes twice', (t) => {
  for (const name of [
    'UTC',
    'Europe/Berlin',
    'Africa/Cairo',
    'America/Havana',
    'Asia/Beirut',
    'Australia/Lord_Howe',
  ]) {
    const zone = createZone(name);
    const wallAt = (ms: number) => ms + zone.segmentAt(ms).offsetMs;
    for (let midnight = Date.UTC(2026, 0, 1); midnight < Date.UTC(2027, 0, 1); midnight += dayMs) {
      const atMs = instantOfWall(zone, midnight);
      t.true(
        wallAt(atMs) >= midnight && wallAt(atMs - 1) < midnight,
        `${name} ${new Date(midnight).toISOString()}`,
      );
    }
  }
});

test('two stretches of time side by side have the runs of both together', (t) => {
  const crontabs = [
    {
      user: 'root',
      file: '.hoody/crontab',
      text: 'CRON_TZ=Europe/Berlin\n30 2 * * * a\n*/20 1-3 * * 0 b\n@hourly c\n@reboot d\n',
    },
  ];
  const jobs = namedJobs(crontabs, 'UTC');
  const minute = fc.integer({min: Date.UTC(2026, 2, 20) / 60_000, max: Date.UTC(2026, 2, 31) / 60_000});
  fc.assert(
    fc.property(fc.uniqueArray(minute, {minLength: 3, maxLength: 3}), (minutes) => {
      const [from = 0, middle = 0, to = 0] = minutes.sort((a, b) => a - b).map((each) => each * 60_000);
      const runs = (fromMs: number, toMs: number) => simulate(jobs, {fromMs, toMs, mostShown: 10_000}).runs;
      t.deepEqual([...runs(from, middle), ...runs(middle, to)], runs(from, to));
    }),
    {numRuns: 50},
  );
});
