import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;
const page = {page: 1, limit: 50};
const entry = {schedule: '*/30 * * * *', command: 'true'};

test('S45: a created entry answers with all its fields', async (t) => {
  const {cron} = await createCronWorld(t);
  const created = await cron.createEntry('root', {
    ...entry,
    name: 'watch',
    comment: 'shift "one"',
    expires_at: '2026-05-22T11:00:00.5+02:00',
  });
  t.like(created, {
    user: 'root',
    name: 'watch',
    comment: 'shift "one"',
    schedule: '*/30 * * * *',
    schedule_human: 'Every 30 minutes',
    command: 'true',
    enabled: true,
    expired: false,
    expires_at: '2026-05-22T11:00:00.5+02:00',
    created_at: '2026-05-18T09:00:00.000Z',
    updated_at: '2026-05-18T09:00:00.000Z',
    next_run: '2026-05-18T09:30:00.000Z',
    last_run: null,
  });
  t.regex(created.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
});

const badEntries = [
  {change: {schedule: '*/30'}, code: 'INVALID_SCHEDULE', claim: 'S59'},
  {change: {schedule: '0 0 12 * * ?'}, code: 'INVALID_SCHEDULE', claim: 'S20'},
  {change: {command: ''}, code: 'INVALID_COMMAND'},
  {change: {command: ' \t'}, code: 'INVALID_COMMAND'},
  {change: {command: 'x'.repeat(4097)}, code: 'INVALID_COMMAND'},
  {change: {command: 'a\nb'}, code: 'INVALID_COMMAND'},
  {change: {command: '* b'}, code: 'INVALID_COMMAND'},
  {change: {name: ''}, code: 'INVALID_NAME'},
  {change: {name: 'x'.repeat(121)}, code: 'INVALID_NAME'},
  {change: {comment: 'a\u2028b'}, code: 'INVALID_COMMENT'},
  {change: {expires_at: 'tomorrow'}, code: 'INVALID_EXPIRES_AT'},
  {change: {expires_at: '2026-02-30T00:00:00Z'}, code: 'INVALID_EXPIRES_AT'},
  {change: {expires_at: '2026-05-18T09:00:00Z'}, code: 'EXPIRES_IN_PAST', claim: 'S61'},
];
for (const {change, code, claim} of badEntries) {
  const shown = JSON.stringify(change).slice(0, 60);
  test(`${claim === undefined ? '' : `${claim}: `}an entry with ${shown} is ${code}`, async (t) => {
    const {cron, text} = await createCronWorld(t);
    await t.throwsAsync(cron.createEntry('root', {...entry, ...change}), {code});
    t.is(await text(), '');
  });
}

test('S48 S49 S64 S70: an entry is gone at its instant, does not run at it, and its records stay', async (t) => {
  const {cron, clock, put, text, runs, finished} = await createCronWorld(t, {at: '2026-05-18T08:00:00Z'});
  await put('# kept\n0 0 1 1 * yearly');
  const {id} = await cron.createEntry('root', {...entry, expires_at: '2026-05-18T09:00:00Z'});
  await clock.advance(59 * minuteMs + 59_999);
  await finished(1);
  t.true((await text()).includes(id));
  await clock.advance(1);
  t.is(await text(), '# kept\n0 0 1 1 * yearly');
  await clock.advance(60 * minuteMs);
  t.deepEqual(
    (await runs()).map(({entry_id, scheduled_at}) => [entry_id, scheduled_at]),
    [[id, '2026-05-18T08:30:00.000Z']],
  );
  await t.throwsAsync(cron.getEntry('root', id), {code: 'ENTRY_NOT_FOUND'});
});

test('an entry that expired while nobody was there is gone after the start', async (t) => {
  const world = await createCronWorld(t);
  await world.cron.createEntry('root', {...entry, expires_at: '2026-05-18T09:30:00Z'});
  await world.cron.stop({graceMs: 0, reason: 'shutdown'});
  await world.clock.advance(60 * minuteMs);
  const again = await world.reopen();
  await again.clock.advance(0);
  t.is(await again.text(), '');
  t.deepEqual(await again.runs(), []);
});

test('S65: adding and deleting an entry leaves the bytes as they were', async (t) => {
  const {cron, put, text} = await createCronWorld(t);
  const raw = 'A = "x"\r\n\n# note\n0 1 * * * raw%in';
  await put(raw);
  const {id} = await cron.createEntry('root', {...entry, command: 'date +%H'});
  t.true((await text()).includes('date +\\%H'));
  await cron.deleteEntry('root', id.slice(0, 8));
  t.is(await text(), raw);
});

test('a change keeps what it does not name', async (t) => {
  const {cron, clock} = await createCronWorld(t);
  const {id} = await cron.createEntry('root', {...entry, name: 'a', expires_at: '2026-06-01T00:00:00Z'});
  await clock.advance(1000);
  const off = await cron.updateEntry('root', id, {enabled: false, schedule: null});
  t.like(off, {
    name: 'a',
    schedule: '*/30 * * * *',
    enabled: false,
    next_run: null,
    updated_at: '2026-05-18T09:00:01.000Z',
  });
  t.is(off.created_at, '2026-05-18T09:00:00.000Z');
  const on = await cron.updateEntry('root', id, {
    enabled: true,
    schedule: '@hourly',
    clear_expiration: true,
    expires_at: 'x',
  });
  t.like(on, {enabled: true, schedule: '@hourly', expires_at: null, next_run: '2026-05-18T10:00:00.000Z'});
});

test('a disabled entry does not run', async (t) => {
  const {cron, clock, runs} = await createCronWorld(t);
  await cron.createEntry('root', {...entry, enabled: false});
  await clock.advance(60 * minuteMs);
  t.deepEqual(await runs(), []);
});

test('the list holds entries and raw lines in file order', async (t) => {
  const {cron, put} = await createCronWorld(t);
  await put('# note\n\nA=1\n0 2 * * * /srv/jobs/billing-rollup-v2.sh --all\n');
  const {id} = await cron.createEntry('root', entry);
  const list = await cron.listEntries('root', page);
  t.is(list.total, 5);
  t.like(list.entries[0], {type: 'managed', id});
  t.false('user' in (list.entries[0] ?? {}));
  t.deepEqual(list.entries.slice(1, 4), [
    {type: 'raw', line: '# note'},
    {type: 'raw', line: ''},
    {type: 'raw', line: 'A=1'},
  ]);
  t.like(list.entries[4], {
    type: 'raw',
    name: 'billing-rollup-v2',
    schedule: '0 2 * * *',
    next_run: '2026-05-19T02:00:00.000Z',
  });
  t.deepEqual((await cron.listEntries('root', {page: 2, limit: 4})).entries, list.entries.slice(4));
});

test('a raw line is found by its id and changed only through the crontab', async (t) => {
  const {cron, put} = await createCronWorld(t);
  await put('0 2 * * * run\n');
  const [item] = (await cron.listEntries('root', page)).entries;
  const id = item?.id ?? '';
  t.like(await cron.getEntry('root', id), {type: 'raw', line: '0 2 * * * run'});
  await t.throwsAsync(cron.deleteEntry('root', id), {code: 'ENTRY_NOT_FOUND'});
});

const rawIds = async (t: Parameters<typeof createCronWorld>[0], text: string) => {
  const {cron, put} = await createCronWorld(t);
  await put(text);
  return (await cron.listEntries('root', page)).entries.flatMap(({id}) => id ?? []);
};

test('who a raw line is does not depend on variables, position or blanks', async (t) => {
  const [alone] = await rawIds(t, '0 2 * * * run  it\n');
  const [, moved] = await rawIds(t, '# x\nA=1\n0 1 * * * other\n0\t2 * *  * run it\n');
  t.is(alone, moved);
  const twins = await rawIds(t, '0 2 * * * run it\n0 2 * * * run it\n');
  t.is(twins[0], alone);
  t.not(twins[1], alone);
});

test('a given name carries the identity through a change of the line', async (t) => {
  const [before] = await rawIds(t, '# branchtab: name=rollup\n0 2 * * * run v1\n');
  const [after] = await rawIds(t, '# branchtab: name=rollup\n0 3 * * * run v2\n');
  t.is(before, after);
});

test('S39 S53: each user has a crontab of their own', async (t) => {
  const {cron, put, text} = await createCronWorld(t);
  await put('0 1 * * * mine\n', 'm.dossantos');
  const {id} = await cron.createEntry('j.okafor', entry);
  t.is(await text('m.dossantos'), '0 1 * * * mine\n');
  t.is(await text('root'), '');
  await t.throwsAsync(cron.getEntry('m.dossantos', id), {code: 'ENTRY_NOT_FOUND'});
  await t.throwsAsync(cron.getCrontab('nobody-here'), {code: 'USER_NOT_FOUND'});
  for (const name of ['-x', '..', 'a/b', '', 'x'.repeat(33)]) {
    await t.throwsAsync(cron.getCrontab(name), {code: 'INVALID_USER'}, name);
  }
  const all = await cron.listCrontabs({page: 1, limit: 200});
  t.deepEqual(all.items.find(({user}) => user === 'm.dossantos')?.crontab, '0 1 * * * mine\n');
  t.is(all.items.length, all.total);
});

test('S25: an invalid text changes nothing', async (t) => {
  const {put, text} = await createCronWorld(t);
  await put('0 1 * * * good\n');
  const error = await t.throwsAsync(put('0 2 * * * fine\n0 61 * * * bad\n'), {code: 'INVALID_CRONTAB'});
  t.regex(error?.message ?? '', /^Line 2, column 3: /);
  t.is(await text(), '0 1 * * * good\n');
});

test('the text is on disk byte for byte before the answer, and nothing else is', async (t) => {
  const {put, directory} = await createCronWorld(t);
  const text = 'A = 1\r\n\t# ünïcödé \u2028\n0 1 * * * x';
  await put(text);
  const crontabs = join(directory, 'cron', 'crontabs');
  t.deepEqual(await readdir(crontabs), ['root.crontab']);
  t.is(await readFile(join(crontabs, 'root.crontab'), 'utf8'), text);
});

test('a restart finds crontabs and history again', async (t) => {
  const world = await createCronWorld(t);
  await world.put('* * * * * true\n');
  await world.clock.advance(minuteMs);
  await world.finished(1);
  const again = await world.reopen();
  t.is(await again.text(), '* * * * * true\n');
  await again.clock.advance(minuteMs);
  await again.finished(1);
  t.is((await again.runs()).length, 2);
});

test('the left-over of a write that a crash cut short is ignored and removed', async (t) => {
  const world = await createCronWorld(t);
  await world.put('0 1 * * * old\n');
  const crontabs = join(world.directory, 'cron', 'crontabs');
  await writeFile(join(crontabs, 'root.crontab.0123456789ab.tmp'), '0 2 * * * ne');
  const again = await world.reopen();
  t.is(await again.text(), '0 1 * * * old\n');
  t.deepEqual(await readdir(crontabs), ['root.crontab']);
});

test('managed=keep replaces the raw text and keeps the entries', async (t) => {
  const {cron, put, text} = await createCronWorld(t);
  await put('0 1 * * * old\n');
  const {id} = await cron.createEntry('root', entry);
  const {rawEtag, removed_expired} = await cron.putCrontab('root', '0 2 * * * new', {
    managed: 'keep',
    ifMatch: null,
  });
  t.is(removed_expired, 0);
  t.true((await text()).endsWith('\n0 2 * * * new'));
  t.like(await cron.getEntry('root', id), {id, command: 'true'});
  const again = await cron.putCrontab('root', '0 2 * * * new', {managed: 'keep', ifMatch: rawEtag});
  t.is(again.rawEtag, rawEtag);
  const pair = `# hoody-cron: id=${id}\n0 2 * * * x\n`;
  await t.throwsAsync(cron.putCrontab('root', pair, {managed: 'keep', ifMatch: null}), {
    code: 'INVALID_CRONTAB',
  });
});

test('a PUT of the whole file takes managed pairs in and drops the expired and the absent', async (t) => {
  const {cron, text} = await createCronWorld(t);
  const gone = await cron.createEntry('root', entry);
  const id = '6f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11';
  const live = `# hoody-cron: id=${id} name=hand\n0 3 * * * kept\n`;
  const old =
    '# hoody-cron: id=7f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11 expires_at=2026-01-01T00:00:00Z\n0 4 * * * old\n';
  const put = await cron.putCrontab('root', old + live, {managed: 'replace', ifMatch: null});
  t.is(put.removed_expired, 1);
  t.is(await text(), live);
  t.like(await cron.getEntry('root', id), {name: 'hand', created_at: '2026-05-18T09:00:00.000Z'});
  await t.throwsAsync(cron.getEntry('root', gone.id), {code: 'ENTRY_NOT_FOUND'});
});

test('If-Match takes either tag and refuses a stale one', async (t) => {
  const {cron, put, text} = await createCronWorld(t);
  await put('0 1 * * * a\n');
  const {etag, rawEtag} = await cron.getCrontab('root');
  t.not(etag, rawEtag);
  await cron.createEntry('root', entry);
  const before = await text();
  await t.throwsAsync(cron.putCrontab('root', '', {managed: 'replace', ifMatch: '"stale"'}), {
    code: 'PRECONDITION_FAILED',
  });
  t.is(await text(), before);
  await cron.putCrontab('root', '0 2 * * * b\n', {managed: 'keep', ifMatch: rawEtag});
  await t.throwsAsync(cron.putCrontab('root', '', {managed: 'keep', ifMatch: etag}), {
    code: 'PRECONDITION_FAILED',
  });
  await cron.putCrontab('root', '', {
    managed: 'replace',
    ifMatch: `"x", ${(await cron.getCrontab('root')).etag}`,
  });
  t.is(await text(), '');
});

test('a whole-file PUT on the tag of a text without entries takes none away that came since', async (t) => {
  const {cron, put, text} = await createCronWorld(t);
  await put('# raw\n');
  const {etag} = await cron.getCrontab('root');
  const {id} = await cron.createEntry('root', entry);
  await t.throwsAsync(cron.putCrontab('root', '# other\n', {managed: 'replace', ifMatch: etag}), {
    code: 'PRECONDITION_FAILED',
  });
  t.true((await text()).includes(id));
});

test('writers at the same time lose nothing', async (t) => {
  const {cron} = await createCronWorld(t);
  const created = await Promise.all(
    Array.from({length: 20}, (_, i) => cron.createEntry('root', {...entry, command: `job ${i}`})),
  );
  const {entries} = await cron.listEntries('root', page);
  t.deepEqual(entries.flatMap(({id}) => id ?? []).sort(), created.map(({id}) => id).sort());
});

test('an unambiguous prefix of at least four characters names an entry', async (t) => {
  const {cron} = await createCronWorld(t);
  const pair = (id: string) => `# hoody-cron: id=${id}\n0 2 * * * x\n`;
  const text = pair('abcd1111-0000-4000-8000-000000000000') + pair('abcd2222-0000-4000-8000-000000000000');
  await cron.putCrontab('root', text, {managed: 'replace', ifMatch: null});
  t.is((await cron.getEntry('root', 'ABCD2')).id, 'abcd2222-0000-4000-8000-000000000000');
  await t.throwsAsync(cron.getEntry('root', 'abcd'), {code: 'INVALID_ID'});
  await t.throwsAsync(cron.getEntry('root', 'abc'), {code: 'INVALID_ID'});
  await t.throwsAsync(cron.getEntry('root', 'abce'), {code: 'ENTRY_NOT_FOUND'});
});

test('an unchanged line keeps its next run and its history at a PUT', async (t) => {
  const {cron, clock, put, finished} = await createCronWorld(t);
  await put('* * * * * true\n');
  await clock.advance(minuteMs);
  await finished(1);
  await put('# new\nA=1\n0 0 * * * other\n* * * * * true\n');
  const {entries} = await cron.listEntries('root', page);
  t.like(entries[3], {
    next_run: '2026-05-18T09:02:00.000Z',
    last_run: {scheduled_at: '2026-05-18T09:01:00.000Z'},
  });
});

test('a text that cannot be written is an error and the old one stays in force', async (t) => {
  const {cron, put, text, directory} = await createCronWorld(t);
  await put('0 1 * * * old\n');
  await rm(join(directory, 'cron', 'crontabs'), {recursive: true});
  await t.throwsAsync(put('0 2 * * * new\n'), {code: 'ENOENT'});
  t.is(await text(), '0 1 * * * old\n');
  t.is(cron.summary().next_run?.at, '2026-05-19T01:00:00.000Z');
});
