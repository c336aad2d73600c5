import {appendFile, mkdir, mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openJournal} from '../../reconciler/journal.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {JournalEvent} from '../../schemas/journal.ts';
import {FakeClock} from '../helpers/fake-clock.ts';

const missing = (at: string): JournalEvent => ({
  kind: 'missing',
  at,
  cause: 'branch_deleted',
  proven: false,
  held: false,
});
const minute = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 60_000).toISOString();

async function openIn(t: ExecutionContext) {
  const parent = await mkdtemp(join(tmpdir(), 'branchtab-journal-'));
  t.teardown(() => rm(parent, {recursive: true, force: true}));
  const directory = join(parent, 'journal');
  const clock = new FakeClock();
  return {directory, clock, open: () => openJournal({directory, clock, log: silentLog})};
}

test('a journal tells the newest first, and goes on after a restart', async (t) => {
  const {open} = await openIn(t);
  const journal = open();
  t.deepEqual(await journal.read('main-00000000'), []);
  void journal.add('main-00000000', missing(minute(1)));
  await journal.add('main-00000000', missing(minute(2)));
  const next = open();
  await next.add('main-00000000', missing(minute(3)));
  t.deepEqual(
    (await next.read('main-00000000')).map(({at}) => at),
    [minute(3), minute(2), minute(1)],
  );
});

test('a torn line costs itself and not the one that is written after it', async (t) => {
  const {directory, open} = await openIn(t);
  await mkdir(directory);
  await appendFile(join(directory, 'main-00000000.jsonl'), '{"kind":"seen","at":"2026-01');
  const journal = open();
  await journal.add('main-00000000', missing(minute(1)));
  t.deepEqual(await journal.read('main-00000000'), [missing(minute(1))]);
});

test('a journal stays bounded and keeps its newest events', async (t) => {
  const {open} = await openIn(t);
  const journal = open();
  for (let n = 1; n <= 1000; n += 1) void journal.add('main-00000000', missing(minute(n)));
  const events = await journal.read('main-00000000');
  t.is(events[0]?.at, minute(1000));
  t.true(events.length >= 200 && events.length < 400, String(events.length));
  t.is(events.at(-1)?.at, minute(1001 - events.length));
});

test('journals of branches that are gone stay for 90 days, and names are not paths', async (t) => {
  const {directory, clock, open} = await openIn(t);
  const journal = open();
  const old = new Date(clock.now() - 91 * 24 * 60 * 60_000).toISOString();
  await journal.add('gone-00000000', missing(old));
  await journal.add('known-00000000', missing(old));
  await journal.add('fresh-00000000', missing(new Date(clock.now()).toISOString()));
  await journal.prune((key) => key === 'known-00000000');
  t.deepEqual((await readdir(directory)).sort(), ['fresh-00000000.jsonl', 'known-00000000.jsonl']);
  t.deepEqual(await journal.read('../journal/known-00000000'), []);
});
