import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {newBranchRecord} from '../../reconciler/branch-record.ts';
import {exportState, importState} from '../../reconciler/state-export.ts';

const now = '2026-11-21T12:00:00.000Z';
const record = {
  ...newBranchRecord({repository: '/srv/shop', path: '.', branch: 'main', live: true}),
  revision: 'a'.repeat(40),
  container_id: '0123456789abcdef01234567',
  applied: {
    revision: 'a'.repeat(40),
    root_tree: 'b'.repeat(40),
    environment: 'digest of secrets',
    deployment: null,
    crontabs: {},
  },
};
const {key} = record;
const entries = `# hoody-cron: id=bc61a0bf-4816-420a-86fa-6b16dc645fc1 created_at=2026-11-21T05:22:44.634Z updated_at=2026-11-21T05:22:44.634Z\n0 3 * * 1-5 echo nightly\n`;

async function directoryFor(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-export-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return directory;
}

async function stateFor(t: ExecutionContext) {
  const directory = await directoryFor(t);
  for (const name of ['branches', 'journal', 'entries', 'repositories', 'runs', 'containers'])
    await mkdir(join(directory, name));
  const put = (path: string, value: unknown) =>
    writeFile(join(directory, path), `${JSON.stringify(value)}\n`);
  await put(`branches/${key}.json`, record);
  await put(`entries/${key}.json`, {root: entries});
  await put(`repositories/${'0'.repeat(32)}.json`, {repository: '/srv/shop', met_at: now});
  await put(`runs/${key}.branch.json`, {repository: '/srv/shop', path: '.', branch: 'main'});
  const seen = {kind: 'seen', at: now, revision: 'a'.repeat(40), causes: [], live: true};
  await writeFile(join(directory, `journal/${key}.jsonl`), `{"torn\n${JSON.stringify(seen)}\n`);
  await writeFile(join(directory, 'token'), 'the-admin-token');
  await put('tokens.json', {items: ['a-hash']});
  await writeFile(join(directory, 'containers', 'x.json'), 'a-container');
  return directory;
}

async function exported(directory: string) {
  const unreadable: string[] = [];
  let text = '';
  const options = {now, version: '0.1.0', onUnreadable: (path: string) => unreadable.push(path)};
  for await (const line of exportState(directory, options)) text += line;
  return {text, unreadable};
}

/** The lines with an end that fits them. */
function sealed(lines: readonly unknown[]): string {
  const body = lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');
  const sha256 = createHash('sha256').update(body).digest('hex');
  return `${body}${JSON.stringify({documents: lines.length - 1, sha256})}\n`;
}

const head = {format: 'branchtab state', schema_version: 1, exported_at: now, branchtab_version: '0.1.0'};

test('what is exported is what is imported, without tokens, digests of secrets, and containers', async (t) => {
  const from = await stateFor(t);
  const {text, unreadable} = await exported(from);
  t.deepEqual(unreadable, []);
  for (const secret of [
    'the-admin-token',
    'a-hash',
    'digest of secrets',
    'a-container',
    '0123456789abcdef01234567',
  ])
    t.false(text.includes(secret), secret);
  const to = await directoryFor(t);
  t.like(await importState(text, to), {exportedAt: now, branches: 1});
  t.deepEqual(JSON.parse(await readFile(join(to, `branches/${key}.json`), 'utf8')), {
    ...record,
    container_id: null,
    applied: {...record.applied, environment: null},
  });
  t.is((await readdir(to)).includes('import'), false);
  t.is((await exported(to)).text, text);
});

test('a document that cannot be read is left out and named', async (t) => {
  const from = await stateFor(t);
  await writeFile(join(from, `branches/${key}.json`), '{"key":');
  const {text, unreadable} = await exported(from);
  t.deepEqual(unreadable, [`branches/${key}.json`]);
  t.is((await importState(text, await directoryFor(t))).branches, 0);
});

test('a state directory with branches is left as it is', async (t) => {
  const from = await stateFor(t);
  const {text} = await exported(from);
  await t.throwsAsync(importState(text, from), {message: /has a state already, of 1 branch/});
  t.deepEqual(JSON.parse(await readFile(join(from, `branches/${key}.json`), 'utf8')), record);
});

test('an export of an older version without what came later is imported', async (t) => {
  const {tightened: _later, closed: _too, suspension: _and, ...older} = record;
  const text = sealed([head, {path: `branches/${key}.json`, lines: [older]}]);
  const to = await directoryFor(t);
  await importState(text, to);
  t.like(JSON.parse(await readFile(join(to, `branches/${key}.json`), 'utf8')), {
    tightened: null,
    closed: null,
    suspension: null,
  });
});

test('torn, foreign and newer texts are refused in words, and nothing is written', async (t) => {
  const {text} = await exported(await stateFor(t));
  const lines = text.split('\n');
  const line = (path: string, ...all: unknown[]) => sealed([head, {path, lines: all}]);
  const path = `branches/${key}.json`;
  for (const [what, broken, message] of [
    ['nothing', '', /no export/],
    ['another file', '# Crontab\n* * * * * true\n', /no export/],
    ['a cut end', text.slice(0, -20), /not whole/],
    ['no end', `${lines.slice(0, -2).join('\n')}\n`, /not whole/],
    ['a lost line', [lines[0], ...lines.slice(2)].join('\n'), /not whole/],
    ['a changed byte', text.replace('/srv/shop', '/srv/shup'), /not whole/],
    [
      'a newer form',
      sealed([{...head, schema_version: 2, branchtab_version: '9.0.0'}, {}]),
      /Branchtab 9\.0\.0/,
    ],
    ['a way out', line('branches/../../etc/cron.d/x.json', record), /belongs to no state/],
    ['an absolute path', line('/etc/passwd', 'x'), /belongs to no state/],
    ['a token', line('token', 'x'), /belongs to no state/],
    ['another name', line('branches/other-00000000.json', record), /the name of something else/],
    ['a foreign key', line(path, {...record, branch: 'other'}), /the key is not/],
    ['half a record', line(path, {key}), /cannot be understood/],
    ['two in one', line(path, record, record), /the name of something else/],
    ['none', line(path), /cannot be understood/],
    [
      'lines of a crontab',
      line(`entries/${key}.json`, {root: `${entries}* * * * * true\n`}),
      /cannot be understood/,
    ],
    ['twice', sealed([head, {path, lines: [record]}, {path, lines: [record]}]), /a second time/],
    ['a line of noise', sealed([head, 'noise']), /belongs to no state/],
  ] as const) {
    const to = await directoryFor(t);
    const error = await t.throwsAsync(importState(broken, to), undefined, what);
    t.regex(error?.message ?? '', message, what);
    t.deepEqual(await readdir(to), [], what);
  }
});
