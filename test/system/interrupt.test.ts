import test from 'ava';
import {commandLine} from '../helpers/command-line.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

/** `up` with a running container, started as a person would. */
async function running(t: Parameters<typeof createControllerWorld>[0]) {
  const world = await createControllerWorld(t);
  const commands = await createCommandWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const up = commands.start([
    ...commandLine,
    'up',
    ...['--state', world.stateDirectory, '--listen', '127.0.0.1:0', '--repo', repository.path],
  ]);
  await up.untilOutput(/^main .* running: /m);
  await up.untilOutput(/^feature\/billing-v2 .* running: /m);
  return {world, up};
}

test('one Ctrl-C says how many schedules keep running, and they do', async (t) => {
  const {world, up} = await running(t);
  const before = await world.settledProcesses();
  up.signal('SIGINT');
  await up.untilError(/2 schedule\(s\) keep running.*Ctrl-C again.*branchtab down/s);
  t.is(await up.exited, 0);
  t.deepEqual(await world.settledProcesses(), before);
  t.true(before.length >= 2);
});

test('Ctrl-C counts standalone containers too, and a second one stops them', async (t) => {
  const {world, up} = await running(t);
  t.is((await world.run('containers', 'create')).code, 0);
  up.signal('SIGINT');
  await up.untilError(/3 schedule\(s\) keep running/);
  up.signal('SIGINT');
  t.is(await up.exited, 0);
  t.deepEqual(await world.processes(), []);
});

test('a second Ctrl-C stops the schedules', async (t) => {
  const {world, up} = await running(t);
  up.signal('SIGINT');
  await up.untilError(/keep running/);
  up.signal('SIGINT');
  await up.untilError(/Stopping the schedules/);
  t.is(await up.exited, 0);
  t.deepEqual(await world.processes(), []);
});

test('SIGTERM ends the controller at once and leaves the schedules running', async (t) => {
  const {world, up} = await running(t);
  const before = await world.settledProcesses();
  up.signal('SIGTERM');
  t.is(await up.exited, 0);
  t.is(up.stderr(), '');
  t.deepEqual(await world.settledProcesses(), before);
  t.is((await world.run('status')).code, 3);
});
