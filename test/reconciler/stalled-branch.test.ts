import test, {type ExecutionContext} from 'ava';
import type {Container} from '../../reconciler/containers/provider.ts';
import {isTrue} from '../helpers/controller-world.ts';
import {createReconcilerWorld, type ReconcilerWorld} from '../helpers/reconciler-world.ts';

const signal = AbortSignal.timeout(100_000);
const good = '0 * * * * echo good\n';

/** A branch with a good commit that is active and a bad one on top of it. */
async function stalledWorld(t: ExecutionContext): Promise<{world: ReconcilerWorld; container: Container}> {
  const world = await createReconcilerWorld(t, {undoWindowMs: 86_400_000});
  await world.git.commit('main', {'.hoody/crontab': good});
  await world.start();
  await world.settle();
  await world.git.commit('main', {'.hoody/crontab': 'every now and then\n'});
  await world.advance(15_000);
  const container = await world.containerOf('main');
  if (container === null) throw new Error('the branch has no container');
  return {world, container};
}

const isStalled = (world: ReconcilerWorld) =>
  world.controller?.branches().every((branch) => isTrue(branch, 'Stalled')) ?? false;

test('a change by hand is put back also while the newest commit is invalid', async (t) => {
  const {world, container} = await stalledWorld(t);
  t.true(isStalled(world));
  await world.client(container).putCrontab('root', '1 * * * * echo hand\n', {signal, ifMatch: null});
  await world.advance(60_000);
  t.is((await world.client(container).crontab('root', {signal})).text, good);
  t.true(isStalled(world));
});

test('where the former commit was collected, what runs stays as it is', async (t) => {
  const {world, container} = await stalledWorld(t);
  await world.git.deleteBranch('main');
  await world.git.commit('main', {'.hoody/crontab': 'every now and then\n'}, 'again', {from: null});
  await world.git.git('reflog', 'expire', '--expire=now', '--all');
  await world.git.git('gc', '--quiet', '--prune=now');
  await world.kill();
  await world.start();
  await world.advance(60_000);
  t.true(isStalled(world));
  t.is((await world.client(container).crontab('root', {signal})).text, good);
  t.is((await world.client(container).state({signal})).schedule.state, 'running');
});
