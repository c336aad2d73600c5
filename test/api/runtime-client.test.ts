import test from 'ava';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import {createRuntimeWorld} from '../helpers/runtime-world.ts';

test('S1: 300 containers that are followed keep no request waiting', async (t) => {
  const {controlSocket} = await createRuntimeWorld(t);
  const followed = new AbortController();
  t.teardown(() => followed.abort());
  const {signal} = followed;
  const streams = Array.from({length: 300}, () =>
    createRuntimeClient({socketPath: controlSocket}).events({signal})[Symbol.asyncIterator](),
  );
  const nexts = streams.map((stream) => stream.next());
  for (const next of nexts)
    next.catch(() => {
      // The end of the test aborts it.
    });
  const client = createRuntimeClient({socketPath: controlSocket});
  let isEachTold = false;
  const told = Promise.all(nexts).finally(() => {
    isEachTold = true;
  });
  // Each change is an event; who follows later hears of a later one.
  for (let changes = 0; !isEachTold; changes += 1)
    await client.setSchedule({state: changes % 2 === 0 ? 'running' : 'paused', reason: null}, {signal});
  for (const {done} of await told) t.false(done);
  t.is((await client.state({signal})).api_version, 1);
});
