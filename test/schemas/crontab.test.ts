import {readdirSync, readFileSync} from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import {crontabLimits, parseCrontab, printCrontab, rawText} from '../../schemas/crontab.ts';

const fixtures = new URL('../../fixtures/crontabs/', import.meta.url);
const fixture = (name: string) => readFileSync(new URL(name, fixtures), 'utf8');
const parse = (text: string) => parseCrontab(text, {file: 'crontab', managedAllowed: true});
const onlyJob = (text: string) => {
  const {jobs, issues} = parse(text);
  const [job] = jobs;
  if (job === undefined || jobs.length > 1) throw new Error(`${jobs.length} jobs: ${JSON.stringify(issues)}`);
  return job;
};

test('S29: the four lines of the documents are four jobs', (t) => {
  const {jobs, issues} = parseCrontab(fixture('valid/branch-bound.crontab'), {
    file: 'f',
    managedAllowed: false,
  });
  t.deepEqual(issues, []);
  t.deepEqual(
    jobs.map(({line, schedule, command}) => [line, schedule.text, command]),
    [
      [1, '0 2 * * *', '/srv/jobs/billing-rollup-v2.sh'],
      [2, '*/15 * * * *', '/srv/jobs/sync-stripe.py'],
      [3, '@hourly', 'curl -fsS http://localhost/healthz'],
      [4, '*/5 * * * *', '/srv/jobs/diff-v1-v2.sh'],
    ],
  );
});

test('line ends of Windows, tabs, zones and standard input', (t) => {
  const {jobs, issues} = parse(fixture('valid/windows-line-ends.crontab'));
  t.deepEqual(issues, []);
  t.deepEqual(
    jobs.map(({timeZone, command, stdin, givenName, environment}) => ({
      timeZone,
      command,
      stdin,
      givenName,
      shell: environment.SHELL,
      mail: environment.MAILTO,
    })),
    [
      {
        timeZone: 'Europe/Berlin',
        command: '/srv/jobs/report.sh  --from "last  week"',
        stdin: null,
        givenName: null,
        shell: '/bin/bash',
        mail: '',
      },
      {
        timeZone: 'America/New_York',
        command: 'mail -s "100% done" ops',
        stdin: 'Dear all,\nthe day is over.\n',
        givenName: 'close-of-business',
        shell: '/bin/bash',
        mail: '',
      },
    ],
  );
});

for (const file of readdirSync(new URL('invalid/', fixtures)).filter((name) => name.endsWith('.crontab'))) {
  test(`every mistake has its position: ${file}`, (t) => {
    const {issues} = parseCrontab(fixture(`invalid/${file}`), {file, managedAllowed: false});
    const expected = JSON.parse(fixture(`invalid/${file.replace('.crontab', '.json')}`));
    t.deepEqual(
      issues.map(({line, column, code}) => ({line, column, code})),
      expected,
    );
    t.true(issues.every((issue) => issue.file === file));
  });
}

const percents = [
  {rule: '* * * * * a', command: 'a', stdin: null},
  {rule: '* * * * * a\\%b', command: 'a%b', stdin: null},
  {rule: '* * * * * a%', command: 'a', stdin: ''},
  {rule: '* * * * * a%b', command: 'a', stdin: 'b\n'},
  {rule: '* * * * * a%b%', command: 'a', stdin: 'b\n'},
  {rule: '* * * * * a%b\\%c%%d', command: 'a', stdin: 'b%c\n\nd\n'},
  {rule: '@daily   a  b ', command: 'a  b ', stdin: null},
];
for (const {rule, command, stdin} of percents) {
  test(`reads ${rule}`, (t) => {
    const job = onlyJob(rule);
    t.deepEqual({command: job.command, stdin: job.stdin}, {command, stdin});
  });
}

const assignments = [
  {line: 'A=b', name: 'A', value: 'b'},
  {line: '  A\t=  b c\t', name: 'A', value: 'b c'},
  {line: 'A=', name: 'A', value: ''},
  {line: `A=' b '`, name: 'A', value: ' b '},
  {line: '"A" = "b"', name: 'A', value: 'b'},
  {line: 'A=b "c"', name: 'A', value: 'b "c"'},
  {line: 'A=$HOME', name: 'A', value: '$HOME'},
  {line: '__proto__=x', name: '__proto__', value: 'x'},
];
for (const {line, name, value} of assignments) {
  test(`sets a variable by ${JSON.stringify(line)}`, (t) => {
    const {environment} = onlyJob(`${line}\n* * * * * x`);
    t.deepEqual(Object.entries(environment), [[name, value]]);
  });
}

test('variables apply to the lines below them only', (t) => {
  const {jobs} = parse('0 1 * * * a\nX=1\n0 2 * * * b\nX=2\n0 3 * * * c\n');
  t.deepEqual(
    jobs.map(({environment}) => environment.X),
    [undefined, '1', '2'],
  );
});

test('a command may begin with an assignment', (t) => {
  t.is(onlyJob('* * * * * FOO=1 run').command, 'FOO=1 run');
});

const id = '6f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11';

test('a managed pair is metadata and its rule, with blank lines and comments between', (t) => {
  const text = `# hoody-cron: id=${id} name="a \\"b\\"" future=yes\n\n# note\n0 2 * * * run\n0 3 * * * raw\n`;
  const crontab = parse(text);
  t.deepEqual(
    crontab.jobs.map(({managed}) => managed?.name ?? null),
    ['a "b"', null],
  );
  t.deepEqual(crontab.jobs[0]?.managed?.unknown, [['future', 'yes']]);
  t.is(rawText(crontab), '0 3 * * * raw\n');
});

test('a disabled rule is a job that does not run', (t) => {
  const job = onlyJob(`# hoody-cron: id=${id}\n# hoody-cron-disabled: 0 2 * * * run\n`);
  t.deepEqual([job.enabled, job.command], [false, 'run']);
});

for (const metadata of [
  'id=nope',
  `id=${id} name="open`,
  `id=${id} expires_at=soon`,
  `id=${id} x`,
  'name=a',
]) {
  test(`unreadable metadata stays a comment: ${metadata}`, (t) => {
    const crontab = parse(`# hoody-cron: ${metadata}\n0 2 * * * run\n`);
    t.deepEqual(crontab.issues, []);
    t.is(crontab.jobs[0]?.managed, null);
  });
}

test('an id may not stand twice, nor a key twice in one line', (t) => {
  const pair = `# hoody-cron: id=${id}\n0 2 * * * run\n`;
  t.deepEqual(
    parse(pair + pair).issues.map(({code, line}) => [code, line]),
    [['duplicate_id', 4]],
  );
  t.deepEqual(
    parse(`# hoody-cron: id=${id} id=${id}\n`).issues.map(({code}) => code),
    ['duplicate_key'],
  );
});

test('a text beyond the limits is one issue and no job', (t) => {
  const lines = '* * * * * x\n'.repeat(crontabLimits.maxLines + 1);
  for (const text of [lines, `#${'x'.repeat(crontabLimits.maxBytes)}`]) {
    const {jobs, issues} = parse(text);
    t.is(jobs.length, 0);
    t.deepEqual(
      issues.map(({code}) => code),
      ['crontab_too_large'],
    );
  }
});

test('a byte order mark, a NUL and half a character are refused', (t) => {
  t.is(parse('\ufeff* * * * * x').issues[0]?.code, 'byte_order_mark');
  t.is(parse('* * * * * a\0b').issues[0]?.code, 'character_forbidden');
  t.is(parse('# \ud800').issues[0]?.code, 'character_forbidden');
});

const anyLine = fc.oneof(
  fc.string({unit: 'binary'}),
  fc.stringMatching(/^[*\d/ @%#=a-z"'\\-]{0,40}$/),
  fc.constantFrom(
    '',
    '\r',
    '# hoody-cron: id=x',
    `# hoody-cron: id=${id}`,
    '# hoody-cron-disabled: * * * * * a',
    '* * * * * a',
  ),
);
const anyText = fc.array(anyLine).chain((lines) => fc.constantFrom(lines.join('\n'), lines.join('\r\n')));

test('parsing never throws and printing gives the text back', (t) => {
  fc.assert(
    fc.property(anyText, fc.boolean(), (text, managedAllowed) => {
      t.is(printCrontab(parseCrontab(text, {file: 'f', managedAllowed}).lines), text);
    }),
    {numRuns: 500},
  );
});
