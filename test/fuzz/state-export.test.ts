import {createHash} from 'node:crypto';
import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {importState} from '../../reconciler/state-export.ts';
import {AppError} from '../../schemas/errors.ts';
import {fuzz} from '../helpers/fuzz.ts';

const record = newBranchRecord({repository: '/srv/shop', path: '.', branch: 'main', live: true});
const head = {format: 'branchtab state', schema_version: 1, exported_at: 'now', branchtab_version: '0'};
const path = fc.oneof(
  fc.constantFrom(
    `branches/${record.key}.json`,
    `journal/${record.key}.jsonl`,
    `entries/${record.key}.json`,
    'deliveries.jsonl',
    'token',
    '../x',
    'branches/..',
    'branches/.json',
  ),
  fc.string({unit: 'binary', maxLength: 20}),
);
const content = fc.oneof(
  fc.constant(record),
  fc.record({key: fc.constant(record.key), branch: fc.string()}),
  fc.dictionary(fc.string(), fc.string({unit: 'binary'})),
  fc.jsonValue(),
);
const line = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .record({path, lines: fc.array(content, {maxLength: 2})})
      .map((each) => JSON.stringify(each)),
  },
  fc.string({unit: 'binary', maxLength: 30}).map((text) => text.replaceAll('\n', '')),
);
const text = fc.array(line, {maxLength: 4}).map((lines) => {
  const body = [JSON.stringify(head), ...lines].map((each) => `${each}\n`).join('');
  const sha256 = createHash('sha256').update(body).digest('hex');
  return `${body}${JSON.stringify({documents: lines.length, sha256})}\n`;
});
const allowed = new Set(['branches', 'deliveries.jsonl', 'entries', 'journal', 'repositories', 'runs']);

test('any export is taken whole or refused whole, and nothing is written but documents of a state', async (t) => {
  const around = await mkdtemp(join(tmpdir(), 'branchtab-fuzz-'));
  t.teardown(() => rm(around, {recursive: true, force: true}));
  await fuzz(
    t,
    fc.asyncProperty(text, async (written) => {
      const state = join(around, 'state');
      let refused = false;
      await importState(written, state).catch((error: unknown) => {
        if (!(error instanceof AppError)) throw error;
        refused = true;
      });
      const [names, others] = [await readdir(state).catch(() => []), await readdir(around)];
      await rm(state, {recursive: true, force: true});
      return (
        others.every((name) => name === 'state') &&
        (refused ? names.length === 0 : names.every((name) => allowed.has(name)))
      );
    }),
    {runs: 150},
  );
});
