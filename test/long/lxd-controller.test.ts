import anyTest, {type TestFn} from 'ava';
import {journeyOnEngine} from '../helpers/engine-journey.ts';
import {askIncus, startTestIncus} from '../helpers/incus-daemon.ts';

const lxd = await startTestIncus();
const test = ('reason' in lxd ? anyTest.skip : anyTest) as TestFn;
anyTest.after.always('the server ends', async () => {
  if (!('reason' in lxd)) await lxd.close();
});

test('a pushed branch runs in an instance of a server, reaches its kits by their names on port 80, is cloned, and leaves nothing', async (t) => {
  if ('reason' in lxd) return t.fail();
  const {socketPath, image} = lxd;
  await journeyOnEngine(t, {
    configuration: {provider: 'incus', incus: {socket: socketPath, image, network: 'own'}},
  });
  t.deepEqual(await askIncus(socketPath, 'GET', '/1.0/instances'), []);
  t.notRegex(JSON.stringify(await askIncus(socketPath, 'GET', '/1.0/networks')), /bt-/);
  return undefined;
});
