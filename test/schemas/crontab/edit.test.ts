import {randomUUID} from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import {
  insertManaged,
  keepManaged,
  type ManagedRule,
  removeManaged,
  replaceManaged,
} from '../../../schemas/crontab/edit.ts';
import {type Crontab, parseCrontab, rawText} from '../../../schemas/crontab.ts';

const parse = (text: string): Crontab => parseCrontab(text, {file: 'crontab', managedAllowed: true});

function rule({
  command = 'run',
  enabled = true,
  name = null,
}: Partial<ManagedRule> & {name?: string | null}): ManagedRule {
  const metadata = {
    id: randomUUID(),
    createdAt: '2026-01-01T00:00:00Z',
    updatedAt: null,
    expiresAt: null,
    name,
    comment: null,
    runAt: null,
    optionTexts: {},
    unknown: [],
  };
  return {metadata, schedule: '0 2 * * *', command, enabled};
}

const shellText = fc
  .string({unit: 'grapheme'})
  .filter((text) => !/^[ \t*?]|[\n\r\0]|^$|\p{Surrogate}/u.test(text));
const rawLines = fc
  .array(
    fc.constantFrom(
      '',
      '# note',
      'A=1',
      '0 1 * * * raw',
      '0 1 * * * raw%in',
      '# hoody-cron: broken',
      '@daily x\r',
    ),
  )
  .chain((lines) => fc.constantFrom(lines.join('\n'), lines.map((line) => `${line}\n`).join('')));

test('S65: adding an entry and removing it gives the bytes back', (t) => {
  fc.assert(
    fc.property(rawLines, fc.array(shellText, {maxLength: 3}), (raw, others) => {
      const before = others.reduce((text, command) => insertManaged(parse(text), rule({command})), raw);
      const added = rule({});
      const after = insertManaged(parse(before), added);
      t.is(
        removeManaged(parse(after), ({id}) => id === added.metadata.id),
        before,
      );
      t.is(rawText(parse(after)), raw);
    }),
  );
});

test('a command of the API is read back as it was given', (t) => {
  fc.assert(
    fc.property(shellText, fc.string({unit: 'grapheme'}), fc.boolean(), (command, text, enabled) => {
      const name = text.replace(/[\n\r\0]|\p{Surrogate}/gu, '');
      const [job] = parse(insertManaged(parse(''), rule({command, name, enabled}))).jobs;
      t.deepEqual(
        [job?.command, job?.stdin, job?.managed?.name, job?.enabled],
        [command, null, name, enabled],
      );
    }),
  );
});

test('no variable of the raw lines applies to a new entry', (t) => {
  const [job] = parse(insertManaged(parse('CRON_TZ=Asia/Tokyo\nA=1\n'), rule({}))).jobs;
  t.deepEqual([job?.environment, job?.timeZone], [{}, null]);
});

test('new entries stand below older ones and above the raw lines', (t) => {
  const text = ['one', 'two'].reduce(
    (before, command) => insertManaged(parse(before), rule({command})),
    'A=1\n',
  );
  t.deepEqual(
    parse(text).jobs.map(({command}) => command),
    ['one', 'two'],
  );
});

test('a changed entry keeps its place', (t) => {
  const text = ['one', 'two'].reduce(
    (before, command) => insertManaged(parse(before), rule({command})),
    'A=1\n',
  );
  const changed = parse(replaceManaged(parse(text), 0, rule({command: 'three'})));
  t.deepEqual(
    changed.jobs.map(({command}) => command),
    ['three', 'two'],
  );
  t.is(rawText(changed), 'A=1\n');
});

test('entries are kept above another raw text, and nothing moves where the raw text is the same', (t) => {
  fc.assert(
    fc.property(rawLines, rawLines, (before, after) => {
      const current = parse(insertManaged(parse(before), rule({})));
      const kept = parse(keepManaged(current, after));
      t.is(rawText(kept), after);
      t.is(kept.jobs.filter(({managed}) => managed !== null).length, 1);
      t.is(keepManaged(kept, after), keepManaged(current, after));
    }),
  );
});
