import test from 'ava';
import fc from 'fast-check';
import {parseCrontab, printCrontab, rawText, ruleOf} from '../../schemas/crontab.ts';
import {nextRun} from '../../schemas/schedule/next-run.ts';
import {parseSchedule} from '../../schemas/schedule/parse.ts';
import {createZone} from '../../schemas/schedule/zone.ts';
import {fuzz} from '../helpers/fuzz.ts';
import {walkMinutes} from '../helpers/minute-walker.ts';

const fragment = fc.oneof(
  fc.constantFrom(
    ...[
      '* * * * *',
      '0 25 * * *',
      '*/0 * * * *',
      '5-1 * * * *',
      '@daily',
      '@reboot',
      '@every 5m',
      '1,2,,3 * * * *',
    ],
    ...[
      'MAILTO=x',
      'CRON_TZ=Europe/Berlin',
      'CRON_TZ=Nowhere/City',
      'A = "b c"',
      "__proto__='x'",
      '=x',
      'PATH=/bin:$PATH',
    ],
    ...[
      '# branchtab: name=a',
      '# branchtab: name=',
      '# hoody-cron: {}',
      '# hoody-cron-disabled: * * * * * x',
    ],
    ...[
      '%',
      '\\%',
      '\\',
      '\r',
      '\t',
      '\0',
      '\u2028',
      '\ufeff',
      '\u0085',
      '\ud800',
      '👩‍👩‍👧',
      ' ',
      '#',
      '"',
      "'",
    ],
    ...['99999999999999999999 * * * *', '* * * * 7', 'sun-sat', 'JAN', '*/5/5', '0 0 29 feb mon'],
  ),
  fc.string({unit: 'binary', maxLength: 20}),
  fc.stringMatching(/^[\d*,/-]{1,12}$/),
);
const line = fc
  .array(fragment, {maxLength: 6})
  .chain((parts) => fc.constantFrom(parts.join(' '), parts.join('')));
const text = fc
  .tuple(fc.array(line, {maxLength: 30}), fc.constantFrom('\n', '\r\n', '\n\n'), fc.boolean())
  .map(([lines, end, ended]) => lines.join(end) + (ended ? end : ''));

test('any text is read as a crontab and printed as it was, with every issue at a place of the text', async (t) => {
  await fuzz(
    t,
    fc.property(text, fc.boolean(), (written, managedAllowed) => {
      const parsed = parseCrontab(written, {file: 'crontab', managedAllowed});
      if (printCrontab(parsed.lines) !== written) return false;
      const lines = written.split('\n');
      for (const issue of parsed.issues) {
        const length = lines[issue.line - 1]?.length;
        if (length === undefined || issue.column < 1 || issue.column > length + 1 || issue.message === '')
          return false;
      }
      const again = parseCrontab(rawText(parsed), {file: 'crontab', managedAllowed: false});
      const rawJobs = parsed.jobs.filter(({managed}) => managed === null).map(ruleOf);
      return JSON.stringify(again.jobs.map(ruleOf)) === JSON.stringify(rawJobs);
    }),
    {runs: 2000},
  );
});

test('any schedule is refused with a place in it, or its next run lies after the given time', async (t) => {
  const zone = createZone('America/St_Johns');
  await fuzz(
    t,
    fc.property(line, fc.integer({min: 0, max: 4_102_444_800_000}), (written, afterMs) => {
      const parsed = parseSchedule(written);
      if (!parsed.ok) return parsed.issue.column >= 1 && parsed.issue.column <= written.length + 1;
      const at = nextRun(parsed.schedule, zone, afterMs);
      return at === null || (at > afterMs && at % 60_000 === 0);
    }),
    {runs: 2000},
  );
});

function field(first: number, last: number, names: readonly string[] = []): fc.Arbitrary<string> {
  const value = fc.oneof(
    fc.integer({min: first, max: last}).map(String),
    ...names.map((name) => fc.constant(name)),
  );
  const range = fc.tuple(fc.integer({min: first, max: last}), fc.integer({min: first, max: last}));
  const item = fc.oneof(
    value,
    range.map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    fc
      .tuple(range, fc.integer({min: 1, max: last + 2}))
      .map(([[a, b], step]) => `${Math.min(a, b)}-${Math.max(a, b)}/${step}`),
    fc.integer({min: 1, max: last + 2}).map((step) => `*/${step}`),
  );
  return fc.oneof(
    fc.constant('*'),
    fc.array(item, {minLength: 1, maxLength: 4}).map((items) => items.join(',')),
  );
}

const expression = fc
  .tuple(
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12, ['jan', 'FEB', 'Dec']),
    field(0, 7, ['sun', 'MON', 'Sat']),
  )
  .map((fields) => fields.join(' '));
/** Their clocks change by an hour, by half an hour, at midnight, by a day, by a quarter of an hour. */
const zones = fc.constantFrom(
  'UTC',
  'Europe/Berlin',
  'Australia/Lord_Howe',
  'America/Havana',
  'Pacific/Apia',
  'Asia/Kathmandu',
  'America/Nuuk',
);

test('the next runs are those of a daemon that looks at every minute', async (t) => {
  const days = 3;
  await fuzz(
    t,
    fc.property(expression, zones, fc.integer({min: 0, max: 20_000}), (written, name, day) => {
      const parsed = parseSchedule(written);
      if (!parsed.ok) throw new Error(`${written} is refused: ${parsed.issue.message}`);
      const zone = createZone(name);
      const startMs = Date.UTC(2005, 0, 1) + day * 86_400_000;
      const untilMs = startMs + days * 86_400_000;
      const runs: number[] = [];
      for (
        let at = nextRun(parsed.schedule, zone, startMs);
        at !== null && at <= untilMs;
        at = nextRun(parsed.schedule, zone, at)
      )
        runs.push(at);
      const walked = walkMinutes(written, name, startMs, untilMs);
      if (runs.join() === walked.join()) return;
      throw new Error(
        `${written} in ${name} after ${new Date(startMs).toISOString()}: ${runs.slice(0, 5)} against ${walked.slice(0, 5)}`,
      );
    }),
    {runs: 60},
  );
});
