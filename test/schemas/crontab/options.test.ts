import test from 'ava';
import {type CrontabJob, parseCrontab} from '../../../schemas/crontab.ts';

function parse(text: string) {
  return parseCrontab(text, {file: 'crontab', managedAllowed: true});
}

function optionsBelow(comment: string): CrontabJob['options'] | undefined {
  return parse(`${comment}\n* * * * * true\n`).jobs[0]?.options;
}

const id = 'a1f2c4b9-0000-4000-8000-000000000001';

test('a comment gives the line below its options', (t) => {
  const {jobs, issues} = parse(
    '# branchtab: name=rollup timeout=10m overlap=forbid retries=2 catchup=1h jitter=5m timezone=Europe/Berlin\n' +
      '*/5 * * * * rollup\n* * * * * other\n',
  );
  t.deepEqual(issues, []);
  t.like(jobs[0], {givenName: 'rollup', timeZone: 'Europe/Berlin'});
  t.deepEqual(jobs[0]?.options, {
    timeZone: 'Europe/Berlin',
    overlap: 'forbid',
    timeoutMs: 600_000,
    retries: 2,
    catchupMs: 3_600_000,
    jitterMs: 300_000,
    said: ['timeout', 'overlap', 'retries', 'catchup', 'jitter', 'timezone'],
  });
  t.like(jobs[1], {givenName: null, timeZone: null});
  t.like(jobs[1]?.options, {overlap: 'allow', timeoutMs: null, retries: 0, catchupMs: null, jitterMs: 0});
});

test('an option of its own wins over the zone of the section', (t) => {
  const {jobs} = parse('CRON_TZ=Asia/Kathmandu\n# branchtab: timezone=UTC\n* * * * * a\n* * * * * b\n');
  t.deepEqual(
    jobs.map(({timeZone}) => timeZone),
    ['UTC', 'Asia/Kathmandu'],
  );
});

const readings = [
  {written: 'timeout_seconds=90', key: 'timeoutMs', value: 90_000},
  {written: 'timeout=0', key: 'timeoutMs', value: null},
  {written: 'timeout=500ms', key: 'timeoutMs', value: 500},
  {written: 'catchup=none', key: 'catchupMs', value: null},
  {written: 'overlap=replace', key: 'overlap', value: 'replace'},
  {written: 'retries=10', key: 'retries', value: 10},
] as const;
for (const {written, key, value} of readings) {
  test(`reads ${written}`, (t) => {
    t.is(optionsBelow(`# branchtab: ${written}`)?.[key], value);
  });
}

const mistakes = [
  {comment: '# branchtab:', column: 13, code: 'option_invalid'},
  {comment: '# branchtab: overlap=never', column: 22, code: 'option_invalid'},
  {comment: '  # branchtab: name=a  timeout=soon', column: 32, code: 'option_invalid'},
  {comment: '# branchtab: timeout=31d', column: 22, code: 'option_invalid'},
  {comment: '# branchtab: retries=11', column: 22, code: 'option_invalid'},
  {comment: '# branchtab: jitter=25h', column: 21, code: 'option_invalid'},
  {comment: '# branchtab: color=red', column: 14, code: 'option_invalid'},
  {comment: '# branchtab: name=-a', column: 19, code: 'option_invalid'},
  {comment: '# branchtab: run_at=2026-05-18T09:00:00Z', column: 14, code: 'option_invalid'},
  {comment: '# branchtab: timeout=1m timeout_seconds=60', column: 25, code: 'duplicate_key'},
  {comment: '# branchtab: timezone=Mars/Base', column: 14, code: 'time_zone_unknown'},
  {comment: '# branchtab: name=a\n# branchtab: retries=1', column: 1, code: 'duplicate_options', line: 2},
];
for (const {comment, column, code, line = 1} of mistakes) {
  test(`says where the mistake is: ${comment.replace('\n', ' / ')}`, (t) => {
    const {issues} = parse(`${comment}\n* * * * * true\n`);
    t.deepEqual(
      issues.map((issue) => ({line: issue.line, column: issue.column, code: issue.code})),
      [{line, column, code}],
    );
  });
}

test('a managed pair carries options and the one instant of its run', (t) => {
  const {jobs, issues} = parse(
    `# hoody-cron: id=${id} run_at=2026-12-24T18:00:00Z overlap=forbid timeout=90s x_other=1\n0 18 24 12 * true\n`,
  );
  t.deepEqual(issues, []);
  t.like(jobs[0]?.options, {overlap: 'forbid', timeoutMs: 90_000});
  t.like(jobs[0]?.managed, {runAt: '2026-12-24T18:00:00Z', unknown: [['x_other', '1']]});
});

test('a wrong option of a managed pair has its position', (t) => {
  const {issues} = parse(`# hoody-cron: id=${id} overlap=never\n0 18 24 12 * true\n`);
  t.like(issues[0], {line: 1, column: 55, code: 'option_invalid'});
});
