import anyTest, {type TestFn} from 'ava';
import {startTestEngine} from '../helpers/container-engine.ts';
import {journeyOnEngine} from '../helpers/engine-journey.ts';

const podman = await startTestEngine('podman');
const test = ('reason' in podman ? anyTest.skip : anyTest) as TestFn;
anyTest.after.always('the engine ends', async () => {
  if (!('reason' in podman)) await podman.close();
});

test('a pushed branch runs in a container of an engine, reaches its kits by their names on port 80, is cloned, and leaves nothing', async (t) => {
  if ('reason' in podman) return t.fail();
  const {engine, image, socketPath} = podman;
  await journeyOnEngine(t, {
    configuration: {provider: 'docker', docker: {image, network: 'own'}},
    environment: {DOCKER_HOST: `unix://${socketPath}`},
  });
  t.deepEqual(await engine.listContainers('branchtab.owner'), []);
  t.deepEqual(await engine.listImages('branchtab.image_owner'), []);
  const networks = await (await fetch('http://engine/networks', {unix: socketPath})).text();
  t.notRegex(networks, /branchtab-/);
  return undefined;
});
