import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

test('runs are found by the name of their job as by its id', async (t) => {
  const world = await createCronWorld(t);
  await world.put('# branchtab: name=Greet\n* * * * * echo hello\n* * * * * /srv/jobs/other.sh\n');
  await world.clock.advance(60_000);
  await world.finished(2);
  const filter = {status: null, sinceMs: null, untilMs: null, cursor: null, limit: 10};
  const byName = (await world.cron.listRuns('root', {...filter, entry: 'Greet'})).items;
  t.deepEqual(
    byName.map(({entry_name}) => entry_name),
    ['Greet'],
  );
  const [{entry_id} = {entry_id: ''}] = byName;
  t.deepEqual((await world.cron.listRuns('root', {...filter, entry: entry_id.toUpperCase()})).items, byName);
  t.deepEqual((await world.cron.listRuns('root', {...filter, entry: 'nobody'})).items, []);
});

test('S46: runs are found by the beginning of an id, also when the entry is gone', async (t) => {
  const world = await createCronWorld(t);
  const {id} = await world.cron.createEntry('root', {schedule: '* * * * *', command: 'echo hello'});
  await world.clock.advance(60_000);
  await world.finished(1);
  await world.cron.deleteEntry('root', id);
  const filter = {entry: null, status: null, sinceMs: null, untilMs: null, cursor: null, limit: 10};
  const [all, byBeginning, byFilter] = await Promise.all([
    world.cron.listEntryRuns('root', id, filter),
    world.cron.listEntryRuns('root', id.slice(0, 4), filter),
    world.cron.listRuns('root', {...filter, entry: id.slice(0, 8).toUpperCase()}),
  ]);
  t.is(all.items.length, 1);
  t.deepEqual(byBeginning, all);
  t.deepEqual(byFilter, all);
});

test('runs of an id that nobody has or had are not found, and a short one is refused', async (t) => {
  const {cron, put} = await createCronWorld(t);
  const filter = {entry: null, status: null, sinceMs: null, untilMs: null, cursor: null, limit: 10};
  await t.throwsAsync(cron.listEntryRuns('root', 'ffff', filter), {code: 'ENTRY_NOT_FOUND'});
  await t.throwsAsync(cron.listEntryRuns('root', 'fff', filter), {code: 'INVALID_ID'});
  // Lines enough for two ids that begin with the same four digits are sure to come.
  await put(Array.from({length: 2000}, (_, index) => `0 0 1 1 * ./job ${index}\n`).join(''));
  const {entries} = await cron.listEntries('root', {page: 1, limit: 2000});
  const beginnings = entries.map((entry) => ('id' in entry ? String(entry.id).slice(0, 4) : ''));
  const twice = beginnings.find((text, index) => beginnings.indexOf(text) !== index) ?? '';
  await t.throwsAsync(cron.listEntryRuns('root', twice, filter), {
    code: 'INVALID_ID',
    message: /More than one/,
  });
});
