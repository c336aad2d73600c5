import test from 'ava';
import fc from 'fast-check';
import {crontabTestIssues} from '../../schemas/crontab-test.ts';

const crontab = `CRON_TZ=Europe/Berlin
# branchtab: name=backup
30 2 * * * /srv/backup.sh
# branchtab: name=rollup
45 2 * * 1 /srv/rollup.sh
# branchtab: name=sync
*/15 * * * * curl -fsS https://example.org/sync
`;

function check(assertions: string, text = crontab) {
  return crontabTestIssues(`version: 1\nassertions:\n${assertions}`, {
    crontabs: [{user: 'root', file: '.hoody/crontab', text}],
    timeZone: 'UTC',
  });
}

test('assertions that hold say nothing', (t) => {
  t.deepEqual(
    check(`  - {job: backup, never_within: 15m, of: rollup}
  - {job: backup, only_between: ['02:00', '04:00']}
  - {job: backup, runs_per_day: {min: 1, max: 1}}
  - {job: sync, at_least_every: 15m}
  - {job: rollup, at_least_every: 8d}
  - {job: '*', at_least_every: 8d}
`),
    [],
  );
});

test('one that does not hold is an issue with its place, the runs and the reason', (t) => {
  t.deepEqual(
    check(
      '  - {job: backup, runs_per_day: {min: 1}}\n  - job: backup\n    never_within: 30m\n    of: rollup\n    because: both lock the database\n',
    ),
    [
      {
        file: '.hoody/crontab.test.yaml',
        line: 4,
        column: 5,
        code: 'assertion_failed',
        message:
          '`backup` (.hoody/crontab:3) begins at 2028-01-03 02:30 Europe/Berlin and `rollup` (.hoody/crontab:5) at 2028-01-03 02:45 Europe/Berlin; they are never to be within 30m (both lock the database).',
      },
    ],
  );
  const messageOf = (assertion: string, text?: string) => check(`  - ${assertion}\n`, text)[0]?.message;
  t.regex(
    messageOf("{job: sync, only_between: ['22:00', '06:00']}") ?? '',
    /begins at 2028-01-01 06:00 Europe\/Berlin, and is to begin between 22:00 and 06:00 alone/,
  );
  t.regex(messageOf('{job: rollup, runs_per_day: {min: 1}}') ?? '', /runs 0 times on 2028-01-02; at least 1/);
  t.regex(
    messageOf('{job: rollup, at_least_every: 6d}') ?? '',
    /does not run from 2028-01-03 02:45 .* until 2028-01-10 02:45/,
  );
  t.regex(
    messageOf('{job: never, at_least_every: 300d}', '# branchtab: name=never\n0 0 31 2 * true\n') ?? '',
    /never runs; at least every 300d/,
  );
});

test('summer time is part of the year', (t) => {
  const hourly = 'CRON_TZ=Europe/Berlin\n# branchtab: name=hourly\n0 * * * * true\n';
  const [issue] = check('  - {job: hourly, runs_per_day: {min: 24, max: 24}}\n', hourly);
  t.regex(issue?.message ?? '', /runs 23 times on 2028-03-26/);
  t.deepEqual(check('  - {job: hourly, runs_per_day: {min: 23, max: 25}}\n', hourly), []);
});

test('what is written wrongly is told with its place, and an assertion about nobody is none', (t) => {
  for (const [assertion, code, message] of [
    ['{job: backup}', 'value_invalid', /exactly one of never_within/],
    ['{job: backup, never_within: 5m}', 'value_invalid', /belong together/],
    ['{job: backup, never_within: soon, of: rollup}', 'value_invalid', /duration/],
    ["{job: backup, only_between: ['25:00', '1']}", 'value_invalid', /time of day/],
    ['{job: backup, at_most: 3}', 'key_unknown', /at_most/],
    ['{job: bakcup, at_least_every: 1d}', 'job_unknown', /"bakcup"/],
    ['{job: backup, never_within: 5m, of: nobody}', 'job_unknown', /"nobody"/],
  ] as const) {
    const [issue] = check(`  - ${assertion}\n`);
    t.is(issue?.code, code);
    t.is(issue?.line, 3);
    t.regex(issue?.message ?? '', message);
  }
  t.is(crontabTestIssues('version: 2\n', {crontabs: [], timeZone: 'UTC'})[0]?.line, 1);
});

test('a star stands for anything, and many of them cost nothing', (t) => {
  const named = (wanted: string) =>
    check(`  - {job: '${wanted}', at_least_every: 366d}\n`).every(({code}) => code !== 'job_unknown');
  for (const wanted of ['backup', 'b*', '*p', 'b*k*p', '*', 'back**up', '*backup*'])
    t.true(named(wanted), wanted);
  for (const wanted of ['b', 'b*x', 'backup*p', 'BACKUP', 'b.*', '*backupbackup*'])
    t.false(named(wanted), wanted);
  const startedMs = performance.now();
  t.false(named(`${'*a'.repeat(99)}b`));
  t.true(performance.now() - startedMs < 2000);
});

test('never_within is the same from both sides, and says what counting says', (t) => {
  const minute = fc.integer({min: 0, max: 59});
  fc.assert(
    fc.property(minute, minute, fc.integer({min: 1, max: 90}), (a, b, distance) => {
      const text = `# branchtab: name=a\n${a} * * * * true\n# branchtab: name=b\n${b} * * * * false\n`;
      const apart = Math.min(Math.abs(a - b), 60 - Math.abs(a - b));
      for (const [job, of] of ['ab', 'ba'].map((pair) => pair.split('')))
        t.is(
          check(`  - {job: ${job}, never_within: ${distance}m, of: ${of}}\n`, text).length > 0,
          apart < distance,
        );
    }),
    {numRuns: 50},
  );
});

test('a hostile file of many jobs and assertions does not hold up the controller', (t) => {
  const text = '* * * * * true\n'.repeat(10_000);
  const assertions = Array.from({length: 25}, () =>
    [
      "{job: '*', at_least_every: 1m}",
      "{job: '*', never_within: 1m, of: 'nobody*'}",
      "{job: '*', only_between: ['00:00', '24:00']}",
      "{job: '*', runs_per_day: {max: 1440}}",
    ].map((assertion) => `  - ${assertion}\n`),
  );
  const startedMs = performance.now();
  t.is(check(assertions.flat().join(''), text).length, 25);
  const all = "  - {job: '*', never_within: 1m, of: '*'}\n".repeat(100);
  const apart = Array.from({length: 10_000}, (_, index) => `${index % 60} ${index % 24} * * * true\n`);
  t.is(check(all, apart.join('')).length, 100);
  t.true(performance.now() - startedMs < 20_000);
});
