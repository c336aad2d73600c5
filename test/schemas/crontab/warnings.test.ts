import test from 'ava';
import fc from 'fast-check';
import {fileWarnings} from '../../../schemas/crontab/file-warnings.ts';
import {jobWarnings} from '../../../schemas/crontab/job-warnings.ts';
import {parseCrontab} from '../../../schemas/crontab.ts';
import {createZone} from '../../../schemas/schedule/zone.ts';

const nowMs = Date.parse('2026-05-18T09:00:00Z');
const parse = (text: string) => parseCrontab(text, {file: 'crontab', managedAllowed: true});

/** `code line:column` of all warnings of all jobs. */
function ofJobs(text: string, timeZone = 'UTC'): string[] {
  const {jobs, lines} = parse(text);
  return jobs.flatMap((job) =>
    jobWarnings(job, lines[job.line - 1]?.text ?? '', createZone(timeZone), nowMs).map(
      ({code, line, column}) => `${code} ${line}:${column}`,
    ),
  );
}

const ofFile = (text: string, mailDelivered = false) =>
  fileWarnings(parse(text), {nowMs, mailDelivered, timeZoneOf: ({timeZone}) => timeZone ?? 'UTC'}).map(
    ({code, line, column}) => `${code} ${line}:${column}`,
  );

const messageOf = (text: string, timeZone = 'UTC') => {
  const {jobs, lines} = parse(text);
  const [job] = jobs;
  if (job === undefined) throw new Error('no job');
  return jobWarnings(job, lines[0]?.text ?? '', createZone(timeZone), nowMs)
    .map(({message}) => message)
    .join('|');
};

const table: readonly {title: string; text: string; timeZone?: string; expect: string[]}[] = [
  {title: 'a plain job', text: '0 2 * * * x\n', expect: []},
  {title: 'a date that never comes', text: '# a\n 0 0 30 2 * x\n', expect: ['never_runs 2:6']},
  {title: 'the 31st of short months', text: '0 0 31 2,4,6,9,11 * x\n', expect: ['never_runs 1:5']},
  {title: 'the 31st of one long month', text: '0 0 31 4,5 * x\n', expect: []},
  {title: '29 February comes', text: '0 0 29 2 * x\n', expect: []},
  {title: 'every minute of an hour', text: '* 2 * * * x\n', expect: ['every_minute_of_hour 1:1']},
  {title: 'the same by another spelling', text: '*/1 2 * * * x\n', expect: ['every_minute_of_hour 1:1']},
  {title: 'every minute of every hour is meant', text: '* * * * * x\n', expect: []},
  {title: 'every minute of every second hour is meant', text: '* */2 * * * x\n', expect: []},
  {title: 'an unescaped percent sign', text: '0 2 * * * date +%F\n', expect: ['percent_is_stdin 1:17']},
  {title: 'an escaped percent sign', text: '0 2 * * * date +\\%F\n', expect: []},
  {title: 'a percent sign of @reboot', text: '@reboot cat %x\n', expect: ['percent_is_stdin 1:13']},
  {title: 'minutes that do not divide the hour', text: '*/35 * * * * x\n', expect: ['uneven_step 1:1']},
  {title: 'hours that do not divide the day', text: '0 */5 * * * x\n', expect: ['uneven_step 1:3']},
  {title: 'a step beyond the field', text: '0 */30 * * * x\n', expect: ['uneven_step 1:3']},
  {title: 'even steps', text: '*/15 */6 * * * x\n', expect: []},
  {title: 'two day fields of which one is enough', text: '0 0 13 * fri x\n', expect: ['both_day_fields 1:5']},
  {title: 'two day fields joined by a star step', text: '0 0 */2 * 1 x\n', expect: ['both_day_fields 1:5']},
  {title: 'a full day field beside another', text: '0 0 1-31 * 1 x\n', expect: ['both_day_fields 1:5']},
  {
    title: 'a time that the clock skips',
    text: '30 2 * * * x\n',
    timeZone: 'America/New_York',
    expect: ['dst_gap 1:4'],
  },
  {
    title: 'a time that the clock shows twice',
    text: '30 1 * * * x\n',
    timeZone: 'America/New_York',
    expect: ['dst_repeat 1:4'],
  },
  {
    title: 'a time that it skips and shows twice',
    text: '30 2 * * * x\n',
    timeZone: 'Europe/Berlin',
    expect: ['dst_repeat 1:4', 'dst_gap 1:4'],
  },
  {
    title: 'jobs of every hour are not told of the clock',
    text: '*/15 * * * * x\n',
    timeZone: 'Europe/Berlin',
    expect: [],
  },
  {
    title: 'a weekday on which no clock changes',
    text: '30 2 * * 3 x\n',
    timeZone: 'Europe/Berlin',
    expect: [],
  },
  {
    title: 'an entry that is switched off',
    text: '# hoody-cron: id=6f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11\n# hoody-cron-disabled: * 2 30 2 * x\n',
    expect: [],
  },
];
for (const {title, text, timeZone, expect} of table) {
  test(`${title}: ${expect.join(', ') || 'no warning'}`, (t) => {
    t.deepEqual(ofJobs(text, timeZone), expect);
  });
}

test('messages say what will happen', (t) => {
  t.regex(messageOf('0 2 * * * date +%F\n'), /ends at this `%`; it reads "F\\n" as its standard input/);
  t.regex(messageOf('*/35 * * * * x\n'), /not every 35 minutes.*matches 0 and 35\./);
  t.regex(messageOf('*/7 * * * * x\n'), /matches 0, 7, \.\.\. 56\./);
  t.regex(messageOf('* 2 * * * x\n'), /60 times a day; write `0 2` for once at 02:00/);
  t.regex(
    messageOf('30 2 * * * x\n', 'America/New_York'),
    /skips 02:00 to 03:00 on 2027-03-14; it runs at 2027-03-14T07:00/,
  );
  t.regex(messageOf('*/30 2 * * * x\n', 'America/New_York'), /the runs of that time are left out/);
  t.regex(
    messageOf('30 1 * * * x\n', 'America/New_York'),
    /twice on 2026-11-01; it runs in the first pass only/,
  );
});

test('more than 20 jobs in one minute point at the 21st', (t) => {
  t.deepEqual(ofFile('0 2 * * * x\n'.repeat(20)), []);
  t.deepEqual(ofFile(`# first\n${'0 2 * * * x\n'.repeat(21)}`), ['many_jobs_in_one_minute 22:1']);
});

test('jobs of different days are not one minute', (t) => {
  t.deepEqual(ofFile('0 2 * * 1 x\n'.repeat(11) + '0 2 * * 2 x\n'.repeat(11)), []);
  t.deepEqual(ofFile('0 2 * * 1 x\n'.repeat(11) + '0 2 1 * * x\n'.repeat(11)), [
    'many_jobs_in_one_minute 21:1',
  ]);
});

test('jobs of different zones are not one minute', (t) => {
  t.deepEqual(ofFile(`${'0 2 * * * x\n'.repeat(11)}TZ=Asia/Tokyo\n${'0 2 * * * x\n'.repeat(11)}`), []);
});

test('MAILTO without a server is told where it stands', (t) => {
  const text = '0 1 * * * x\n MAILTO = ops@example.org\n';
  t.deepEqual(ofFile(text), ['mail_not_delivered 2:2']);
  t.deepEqual(ofFile(text, true), []);
  t.deepEqual(ofFile('MAILTO=""\n'), []);
});

test('line ends of Windows and a missing last one are told once', (t) => {
  t.deepEqual(ofFile('# a\n0 1 * * * x\r\n0 2 * * * x\r\n'), ['carriage_return 2:1']);
  t.deepEqual(ofFile('0 1 * * * x'), ['final_newline_missing 1:12']);
  t.deepEqual(ofFile(''), []);
});

test('warnings of any schedule in any zone point into their line', (t) => {
  const field = (last: number) =>
    fc.oneof(
      fc.constant('*'),
      fc.integer({min: 1, max: last}).map(String),
      fc.integer({min: 1, max: 70}).map((step) => `*/${step}`),
      fc.integer({min: 1, max: last}).map((end) => `1-${end}`),
    );
  const lines = fc
    .tuple(field(59), field(23), field(31), field(12), field(7), fc.constantFrom('x', 'date +%F', 'a\\%b %'))
    .map((words) => words.join(' \t'));
  const zones = fc.constantFrom('UTC', 'America/New_York', 'Australia/Lord_Howe', 'America/Santiago');
  fc.assert(
    fc.property(lines, zones, (line, timeZone) => {
      const {jobs} = parse(`${line}\n`);
      const [job] = jobs;
      if (job === undefined) throw new Error(line);
      for (const warning of jobWarnings(job, `${line}\n`, createZone(timeZone), nowMs)) {
        t.true(warning.column >= 1 && warning.column <= line.length && warning.line === 1, line);
        t.false(/undefined|NaN|null/.test(warning.message), warning.message);
      }
    }),
    {numRuns: 300},
  );
});
