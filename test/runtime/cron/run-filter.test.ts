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
