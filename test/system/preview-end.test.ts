import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import type {Branch} from '../../schemas/branch.ts';
import type {ControlEvent} from '../../schemas/control-state.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const because = (reason: string) => (branch: Branch) =>
  branch.conditions.some((condition) => condition.type === 'Ready' && condition.reason === reason);
const noted = {
  '.hoody/crontab': '0 3 1 1 * true\n',
  '.hoody/exec/note.ts': `import {existsSync, writeFileSync} from 'node:fs';
const known = existsSync('note.txt');
writeFileSync('note.txt', '');
return known;`,
};

async function nextOf(events: AsyncIterable<ControlEvent>, type: ControlEvent['type']): Promise<void> {
  for await (const event of events) if (event.type === type) return;
}

async function setup(t: ExecutionContext, policy: string) {
  const world = await createControllerWorld(t);
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  const write = (text: string) => writeFile(config, text);
  await write(policy);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const up = () => world.up('--repo', repository.path, '--config', config);
  return {world, repository, up, write};
}

test('S33: a preview that nobody pushes is paused, then removed, and a push brings it back with its files', async (t) => {
  t.timeout(180_000);
  const policy = (pauseAfter: string, removeAfter: string) => `drift_interval: 300ms
environments:
  - {branches: 'p*', idle: {pause_after: ${pauseAfter}, remove_after: ${removeAfter}}}
  - {branches: p-staging, keep: true}
`;
  const never = policy('12h', '24h');
  const {world, repository, up, write} = await setup(t, never);
  const controller = await up();
  const now = async (text: string) => {
    await write(text);
    t.is((await controller.reload()).problem, null);
  };
  const staging = await repository.commit('p-staging', noted);
  await controller.until('p-staging', active(staging));
  const first = await controller.until('p', active(await repository.commit('p', noted)));
  const called = async () => (await fetch(`${first.container?.urls.exec}/note`)).json();
  t.false(await called());

  await now(policy('1s', '24h'));
  const paused = await controller.until('p', because('idle'));
  t.is(paused.container?.state, 'paused');
  t.is(paused.next_run, null);
  const status = await world.run('status');
  t.is(status.code, 0, status.stdout);
  t.regex(status.stdout, /Nobody has pushed it for long: its schedule is paused, and its container goes at/);
  await now(never);
  const second = await controller.until(
    'p',
    active(await repository.commit('p', {'.hoody/crontab': '0 4 1 1 * true\n'})),
  );
  t.is(second.container?.state, 'running');

  await now(policy('1s', '2s'));
  const removed = await controller.until('p', because('idle_removed'));
  t.is(removed.container?.state, 'stopped');
  t.is((await world.run('status')).code, 0);
  await now(never);
  const third = await controller.until(
    'p',
    active(await repository.commit('p', {'.hoody/crontab': '0 5 1 1 * true\n'})),
  );
  t.is(third.container?.id, first.container?.id);
  t.true(await called());

  await now(policy('10s', '24h'));
  await controller.until('p', because('idle'));
  const released = await world.run('release', 'p');
  t.is(released.code, 0, released.stderr);
  t.is((await controller.client.branch('p')).container?.state, 'running');
  t.is((await controller.client.branch('p-staging')).container?.state, 'running');
  t.is((await controller.client.branch('main')).container?.state, 'running');
});

test('a preview whose lease nobody renews starts no more jobs, live goes on, and the next controller lets both run', async (t) => {
  t.timeout(180_000);
  const {world, repository, up} = await setup(t, 'drift_interval: 500ms\npreviews: {lease: 3s}\n');
  const controller = await up();
  const minutely = {'.hoody/crontab': '* * * * * echo tick\n'};
  const live = await controller.until('main', active(await repository.commit('main', minutely)));
  const preview = await controller.until('p', active(await repository.commit('p', minutely)));
  const client = async ({container}: Branch) => {
    const id = container?.id.replace('ctr_', '') ?? '';
    const text = await readFile(join(world.stateDirectory, 'containers', id, 'container.json'), 'utf8');
    return createRuntimeClient({socketPath: JSON.parse(text).control_socket});
  };
  const {signal} = new AbortController();
  const ofPreview = await client(preview);
  const ofLive = await client(live);
  t.is((await ofLive.state({signal})).lease, null);
  const expired = nextOf(ofPreview.events({signal}), 'schedule_changed');
  // It was renewed more than once before the controller is killed.
  t.like((await ofPreview.state({signal})).lease, {duration_ms: 3000, expired: false});
  await controller.kill();

  await expired;
  t.true((await ofPreview.state({signal})).lease?.expired);
  await nextOf(ofLive.events({signal}), 'run_finished');

  const again = await up();
  const runs = await again.untilRuns('p', (all) => all.some(({status}) => status === 'skipped'));
  t.is(runs.find(({status}) => status === 'skipped')?.reason, 'lease_expired');
  t.true((await again.runs('main')).some(({status}) => status === 'succeeded'));
  await again.until('p', ({container}) => container?.state === 'running');
  t.like((await ofPreview.state({signal})).lease, {expired: false});
});
