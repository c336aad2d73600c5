import test from 'ava';
import {type Explanation, explanationSchema, journalSchema} from '../../schemas/journal.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const hourly = '0 * * * * true\n';

function stepOf({steps}: Explanation, name: string) {
  return steps.find(({step}) => step === name);
}

test('history and explain tell the way of a commit, also after a restart and of a branch that is gone', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const flags = ['--repo', repository.path, '--undo-window', '0'];
  const first = await world.up(...flags);
  const good = await repository.commit('feature/x', {'.hoody/crontab': hourly});
  await first.until('feature/x', active(good));
  const bad = await repository.commit('feature/x', {'.hoody/crontab': `${hourly}61 * * * * true\n`});
  await first.until('feature/x', (branch) => branch.revision === bad && isTrue(branch, 'Stalled'));

  const explain = async (name: string) =>
    explanationSchema.parse(JSON.parse((await world.run('explain', name, '--json')).stdout));
  const stalled = await explain('feature/x');
  t.is(stalled.revision, bad);
  t.regex(
    stepOf(stalled, 'seen')?.message ?? '',
    /^Commit [0-9a-f]{8}, after [0-9a-f]{8}\. .* its files changed/,
  );
  t.is(stepOf(stalled, 'planned')?.state, 'failed');
  t.regex(stepOf(stalled, 'planned')?.message ?? '', /\.hoody\/crontab:2:1 /);
  t.regex(stepOf(stalled, 'now')?.message ?? '', new RegExp(`Commit ${good.slice(0, 8)} stays active`));

  await first.stop();
  const second = await world.up(...flags);
  const items = journalSchema.parse(
    JSON.parse((await world.run('history', 'feature/x', '--json')).stdout),
  ).items;
  // On a busy machine a further pass over the same commit may have been overtaken by the next one.
  const applied = items.find(
    (event) => event.kind === 'worked' && event.revision === good && event.outcome === 'applied',
  );
  if (applied?.kind !== 'worked') return t.fail('the first commit is not in the history');
  t.true(applied.verified);
  t.true((applied.active_ms ?? -1) >= 0);
  t.deepEqual(applied.read, {crontabs: 1, jobs: 1, scripts: 1});
  t.true(applied.steps.some(({kind}) => kind === 'put_crontab'));
  t.deepEqual(applied.left, []);
  const table = await world.run('history', 'feature/x');
  t.regex(table.stdout, new RegExp(`${good.slice(0, 8)} +applied .*Active after `));

  const fixed = await repository.commit('feature/x', {'.hoody/crontab': '30 2 * * * true\n'});
  await second.until('feature/x', active(fixed));
  const healed = await explain('feature/x');
  t.true(
    healed.steps.every(({state}) => state === 'done'),
    JSON.stringify(healed.steps),
  );
  t.regex(stepOf(healed, 'verified')?.message ?? '', /Active \d+ ms after the commit was seen\.$/);

  await repository.deleteBranch('feature/x');
  await second.untilForgotten('feature/x');
  const gone = await world.run('history', 'feature/x');
  t.is(gone.code, 0);
  t.regex(gone.stdout, / forgotten /);
  t.regex(gone.stdout, / gone /);
});

test('explain says of a branch that is not served why that is', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  await repository.commit('wip/x', {'.hoody/crontab': hourly});
  await repository.commit('bare/x', {'.hoody/crontab': null, '.hoody/exec/hello.ts': null});
  await world.up('--repo', repository.path, '--branches', 'main,bare/*');
  const excluded = await world.run('explain', 'wip/x');
  t.is(excluded.code, 0);
  t.regex(excluded.stdout, /matched .* no +The globs of the configuration/);
  const bare = await world.run('explain', 'bare/x');
  t.regex(bare.stdout, /fetched .* no +Commit [0-9a-f]{8} has no \.hoody directory/);
  t.is((await world.run('explain', 'never/was')).code, 4);
  t.is((await world.run('history', 'never/was')).code, 4);
});
