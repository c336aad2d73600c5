import test, {type ExecutionContext} from 'ava';
import {runSchema} from '../../schemas/run.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const crontab = `# branchtab: name=greet
0 3 1 1 * echo "hello from $HOODY_BRANCH"; echo careful >&2
# branchtab: name=breaks
0 3 1 1 * echo before; exit 7
0 3 1 1 * /srv/jobs/twice.sh
5 3 1 1 * /srv/jobs/twice.sh
`;

async function setup(t: ExecutionContext) {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', active(await repository.commit('main', {'.hoody/crontab': crontab})));
  return {world, repository, controller};
}

test('run shows the output of a job as it comes and ends as the job did', async (t) => {
  const {world} = await setup(t);
  const greeted = await world.run('run', 'main', 'greet');
  t.is(greeted.code, 0);
  t.is(greeted.stdout, 'hello from main\n');
  t.is(greeted.stderr, 'careful\n');
  const broken = await world.run('run', 'main', 'breaks');
  t.is(broken.code, 1);
  t.is(broken.stdout, 'before\n');
  t.regex(broken.stderr, /failed, exit code 7/);
  const {stdout} = await world.run('run', 'main', 'breaks', '--json');
  t.like(runSchema.parse(JSON.parse(stdout)), {status: 'failed', exit_code: 7, reason: 'manual'});
});

test('a job is named by its name or the beginning of its id; an unclear or unknown one is told', async (t) => {
  const {world} = await setup(t);
  const unknown = await world.run('run', 'main', 'nothing');
  t.is(unknown.code, 1);
  t.regex(unknown.stderr, /no job "nothing"; there are greet, breaks, twice/);
  const unclear = await world.run('pause', 'main', 'twice');
  t.is(unclear.code, 1);
  const [, first = ''] = /ids?: ([0-9a-f]{8}), [0-9a-f]{8}/.exec(unclear.stderr) ?? [];
  t.is((await world.run('pause', 'main', first, '--for', '8h')).code, 0);
});

test('pause survives a push, and why tells of it', async (t) => {
  const {world, repository, controller} = await setup(t);
  const paused = await world.run('pause', 'main', 'greet', '--for', '2h', '--reason', 'incident 12');
  t.regex(paused.stdout, /^greet is paused until 20/);
  const commit = await repository.commit('main', {
    '.hoody/crontab': crontab.replace('echo "hello', 'echo "good day'),
  });
  await controller.until('main', active(commit));
  t.is((await world.run('pause', 'main', 'greet', '--for', 'soon')).code, 2);
  const why = await world.run('why', 'main', 'greet', '--at', '2026-01-01T03:00:00Z');
  t.is(why.code, 0, why.stderr);
  t.regex(why.stdout, /^main greet at 2026-01-01T03:00:00\.000Z\n/);
  t.regex(why.stdout, /The branch now: Commit [0-9a-f]{8} is active\./);
  t.is((await world.run('why', 'main', 'greet', '--at', '03:00')).code, 0);
  // Another commit that leaves the crontab as it is has put no line there.
  await controller.until('main', active(await repository.commit('main', {'notes.txt': 'more\n'})));
  const now = await world.run('why', 'main', 'greet');
  t.regex(
    now.stdout,
    new RegExp(`The line was in force from \\S+ until now, put there for commit ${commit.slice(0, 8)}\\.`),
  );
  t.regex((await world.run('resume', 'main', 'greet')).stdout, /runs again/);
});

test('why tells of a branch that has no container what is in its way', async (t) => {
  const {world, repository, controller} = await setup(t);
  await repository.commit('wrong', {'.hoody/crontab': '61 * * * * true\n'});
  await controller.until('wrong', ({conditions}) =>
    conditions.some(({type, status}) => type === 'Stalled' && status === 'True'),
  );
  const why = await world.run('why', 'wrong', 'true');
  t.is(why.code, 0, why.stderr);
  t.regex(
    why.stdout,
    /The branch has no container; .*\nNo run of that minute is on record\.\nThe branch now: .*61/,
  );
});
