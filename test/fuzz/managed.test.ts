import {isDeepStrictEqual} from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import {checkCommand, checkComment, checkName} from '../../runtime/cron/entry-input.ts';
import {insertManaged, keepManaged, removeManaged, replaceManaged} from '../../schemas/crontab/edit.ts';
import {disabledPrefix, type Metadata, printMetadata, readMetadata} from '../../schemas/crontab/managed.ts';
import {maxRetries, optionKeys, overlaps, plainOptions, readOption} from '../../schemas/crontab/options.ts';
import {parseCrontab, printCrontab, rawText} from '../../schemas/crontab.ts';
import {fuzz} from '../helpers/fuzz.ts';

const dayMs = 86_400_000;
const parse = (text: string) => parseCrontab(text, {file: 'crontab', managedAllowed: true});

function accepts(check: (text: string) => unknown): (text: string) => boolean {
  return (text) => {
    try {
      check(text);
      return true;
    } catch {
      // What the API refuses never gets into a crontab.
      return false;
    }
  };
}

const words = fc.oneof(
  fc.string({unit: 'grapheme', maxLength: 30}),
  fc.string({unit: 'binary', maxLength: 10}),
  fc
    .array(
      fc.constantFrom(
        '"',
        '\\',
        '=',
        ' ',
        '\t',
        '%',
        '\\%',
        '#',
        'id=',
        'name="',
        "'",
        '\u00a0',
        '\u001b',
        '🦊',
      ),
    )
    .map((parts) => parts.join('')),
);
const timestamp = fc
  .integer({min: 0, max: 4_102_444_800_000})
  .map((epochMs) => new Date(epochMs).toISOString());
const duration = fc
  .tuple(fc.integer({min: 0, max: 999}), fc.constantFrom('ms', 's', 'm'))
  .map(([count, unit]) => `${count}${unit}`);
const optionTexts = fc.record(
  {
    timezone: fc.constantFrom('UTC', 'Europe/Berlin'),
    overlap: fc.constantFrom(...overlaps),
    timeout: duration,
    retries: fc.integer({min: 0, max: maxRetries}).map(String),
    catchup: fc.oneof(fc.constant('none'), fc.constant('30m')),
    jitter: fc.constantFrom('0', '30s', '24h'),
  },
  {requiredKeys: [], noNullPrototype: true},
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, {nil: null});
const metadata: fc.Arbitrary<Metadata> = fc.record(
  {
    id: fc.uuid(),
    createdAt: optional(timestamp),
    updatedAt: optional(timestamp),
    expiresAt: optional(timestamp),
    runAt: optional(timestamp),
    name: optional(words.filter(accepts(checkName))),
    comment: optional(words.filter(accepts(checkComment))),
    optionTexts,
    unknown: fc.constantFrom<Metadata['unknown']>(
      [],
      [['colour', 'blue']],
      [
        ['x_1', '"a \\" b"'],
        ['y', '1'],
      ],
    ),
  },
  {noNullPrototype: true},
);
const rule = fc.record({
  metadata,
  schedule: fc.constantFrom('* * * * *', '@daily', '0 1 1 1 *', '*/5 0-3 * JAN sun'),
  command: words.map((text) => `run ${text}`).filter(accepts(checkCommand)),
  enabled: fc.boolean(),
});

const pairLine = fc.oneof(
  metadata.map(printMetadata),
  fc.constantFrom('# hoody-cron: id=1', '# hoody-cron:', '# hoody-cron: name="a', '#hoody-cron: id=x'),
  fc.constantFrom(`${disabledPrefix} 0 1 * * * off`, `${disabledPrefix}`, `${disabledPrefix} broken`),
);
const line = fc.oneof(
  pairLine,
  fc.constantFrom(
    '0 1 * * * raw',
    '@hourly x%in',
    '',
    '# note',
    'A=1',
    '\tB = "c d"',
    'CRON_TZ=UTC',
    '0 2 * * * x\r',
  ),
  fc.constantFrom('# branchtab: name=a timeout=10m', '# branchtab: overlap=never', '# branchtab:', 'broken'),
);
const text = fc
  .tuple(fc.array(line, {maxLength: 12}), fc.boolean())
  .map(([lines, ended]) => lines.join('\n') + (ended && lines.length > 0 ? '\n' : ''));
/** Only such a text is ever stored. */
const stored = text.filter((written) => parse(written).issues.length === 0);

test('metadata is read as it was written, whatever its name and comment hold', async (t) => {
  await fuzz(
    t,
    fc.property(metadata, (written) => {
      const printed = printMetadata(written);
      const read = readMetadata(printed.slice('# hoody-cron:'.length));
      return read.kind === 'metadata' && isDeepStrictEqual(read.metadata, written);
    }),
    {runs: 2000},
  );
});

test('any metadata line is read and printed to the same again, or refused at a place in it', async (t) => {
  const key = fc.constantFrom(
    'id',
    'name',
    'comment',
    'expires_at',
    'run_at',
    ...optionKeys,
    'timeout_seconds',
    'x',
  );
  const value = fc.oneof(
    fc.uuid(),
    timestamp,
    duration,
    words,
    words.map((word) => JSON.stringify(word)),
  );
  const pairs = fc
    .array(fc.tuple(key, fc.constantFrom('=', ' =', ''), value), {maxLength: 5})
    .map((all) => all.map((parts) => ` ${parts.join('')}`).join(''));
  await fuzz(
    t,
    fc.property(fc.uuid(), pairs, (id, rest) => {
      const written = ` id=${id}${rest}`;
      const read = readMetadata(written);
      if (read.kind === 'unreadable') return true;
      if (read.kind !== 'metadata') return read.start >= 0 && read.start < written.length;
      const again = readMetadata(printMetadata(read.metadata).slice('# hoody-cron:'.length));
      return again.kind === 'metadata' && isDeepStrictEqual(again.metadata, read.metadata);
    }),
    {runs: 2000},
  );
});

test('any option text is refused with a sentence, or stands for something within its limits', async (t) => {
  const written = fc.oneof(
    words,
    duration,
    fc.stringMatching(/^\d{1,12}[a-z]{0,2}$/),
    fc.constantFrom(...overlaps),
  );
  await fuzz(
    t,
    fc.property(fc.constantFrom(...optionKeys), written, (key, value) => {
      const read = readOption(plainOptions, key, value);
      if (typeof read === 'string') return read.endsWith('.');
      const {timeoutMs, catchupMs, jitterMs, retries} = read;
      const times = [timeoutMs ?? 1, catchupMs ?? 1];
      return (
        times.every((ms) => Number.isSafeInteger(ms) && ms > 0 && ms <= 30 * dayMs) &&
        jitterMs >= 0 &&
        jitterMs <= dayMs &&
        retries >= 0 &&
        retries <= maxRetries
      );
    }),
    {runs: 2000},
  );
});

test('an entry in any crontab is the one that was written, and its removal gives the bytes back', async (t) => {
  await fuzz(
    t,
    fc.property(stored, rule, fc.boolean(), (before, written, alsoChange) => {
      const {id} = written.metadata;
      const isNew = parse(before).jobs.every(({managed}) => managed?.id !== id);
      fc.pre(isNew);
      let after = insertManaged(parse(before), written);
      const place = parse(after).jobs.findIndex(({managed}) => managed?.id === id);
      if (alsoChange) after = replaceManaged(parse(after), place, written);
      const crontab = parse(after);
      const job = crontab.jobs[place];
      if (job === undefined || !isDeepStrictEqual(job.managed, written.metadata)) return false;
      if (job.command !== written.command || job.enabled !== written.enabled || job.stdin !== null)
        return false;
      return removeManaged(crontab, (each) => each.id === id) === before;
    }),
    {runs: 1000},
  );
});

test('raw text and entries of any crontab can be taken apart and put together again', async (t) => {
  await fuzz(
    t,
    fc.property(stored, stored, (before, other) => {
      const crontab = parse(before);
      const raw = rawText(parse(other));
      // Half a pair may have become a whole one, and a PUT refuses that.
      fc.pre(parseCrontab(raw, {file: 'crontab', managedAllowed: false}).issues.length === 0);
      if (keepManaged(crontab, rawText(crontab)) !== printCrontab(crontab.lines)) return false;
      const after = parse(keepManaged(crontab, raw));
      const managed = ({jobs}: typeof crontab) =>
        jobs.flatMap((job) => (job.managed === null ? [] : [job.managed.id]));
      return rawText(after) === raw && isDeepStrictEqual(managed(after), managed(crontab));
    }),
    {runs: 1000},
  );
});
