import {rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {branchSchema} from '../../schemas/branch.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {serveOverHttp} from '../helpers/git-http.ts';
import {createPushWorld} from '../helpers/git-world.ts';

const crontab = (minute: number) => `${minute} * * * * true\n`;

test('a rollback runs the crontab, scripts and files of an older commit, survives a restart and ends with a newer one', async (t) => {
  const world = await createControllerWorld(t);
  const {origin, push, forcePush, clone} = await createPushWorld(t, {fixture: 'simple'});
  const flags = ['--repo', origin.path];
  const script = (text: string) => ({'.hoody/exec/version.ts': `return {text: '${text}'};\n`});
  const good = await push('feature/x', {
    '.hoody/crontab': crontab(1),
    ...script('good'),
    'data.txt': 'good\n',
  });
  const first = await world.up(...flags);
  await first.until('feature/x', active(good));
  const middle = await push('feature/x', {'.hoody/crontab': crontab(2)});
  await first.until('feature/x', active(middle));
  const bad = await push('feature/x', {'.hoody/crontab': crontab(3), ...script('bad'), 'data.txt': 'bad\n'});
  await first.until('feature/x', active(bad));

  const rolled = await world.run('rollback', 'feature/x', '--reason', 'it billed twice', '--json');
  t.is(rolled.code, 0, rolled.stderr);
  const branch = branchSchema.parse(JSON.parse(rolled.stdout));
  t.is(branch.observed_revision, middle);
  t.is(branch.revision, bad);
  t.like(branch.rollback, {to: middle, bad, reason: 'it billed twice'});
  t.is(await first.crontab(branch), crontab(2));

  const further = await world.run('rollback', 'feature/x', '--to', good.slice(0, 10));
  t.is(further.code, 0, further.stderr);
  t.regex(
    further.stdout,
    new RegExp(
      `^feature/x: Commit ${good.slice(0, 8)} is active in place of ${bad.slice(0, 8)}, rolled back at `,
    ),
  );
  t.is(await first.crontab(branch), crontab(1));
  const call = await fetch(`${branch.container?.urls.exec}/version`);
  t.deepEqual(await call.json(), {text: 'good'});

  await first.kill();
  const second = await world.up(...flags);
  await world.run('reconcile', 'feature/x');
  const after = await second.until('feature/x', ({container}) => container?.state === 'running');
  t.is(await second.crontab(after), crontab(1));
  const status = await world.run('status', 'feature/x');
  t.is(status.code, 0);
  t.regex(status.stdout, new RegExp(`${good.slice(0, 8)} → ${bad.slice(0, 8)}`));
  t.regex(status.stdout, /rolled back/);

  // Back in history is not newer than the bad commit.
  await clone.git('push', '--quiet', '--force', 'origin', `${middle}:refs/heads/feature/x`);
  const back = await second.until('feature/x', ({revision}) => revision === middle);
  await world.run('reconcile', 'feature/x');
  t.is(await second.crontab(back), crontab(1));
  await clone.git('push', '--quiet', '--force', 'origin', `${bad}:refs/heads/feature/x`);
  await second.until('feature/x', ({revision}) => revision === bad);
  await world.run('reconcile', 'feature/x');
  t.is(await second.crontab(back), crontab(1));

  const fixed = await push('feature/x', {'.hoody/crontab': crontab(4)});
  const healed = await second.until('feature/x', active(fixed));
  t.is(healed.rollback, null);
  t.is(await second.crontab(healed), crontab(4));

  await world.run('rollback', 'feature/x');
  const undone = await world.run('rollback', 'feature/x', '--undo');
  t.is(undone.code, 0, undone.stderr);
  t.is(await second.crontab(healed), crontab(4));
  t.is((await world.run('rollback', 'feature/x', '--undo')).code, 1);
  t.is((await world.run('rollback', 'feature/x', '--to', '0000000')).code, 4);

  // A rewritten history is newer, whatever became of the bad commit.
  await world.run('rollback', 'feature/x');
  const rewritten = await forcePush('feature/x', {'.hoody/crontab': crontab(5)});
  t.is((await second.until('feature/x', active(rewritten))).rollback, null);
});

test('a rollback to a commit that is broken leaves the branch as it was', async (t) => {
  const world = await createControllerWorld(t);
  const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
  const broken = await push('main', {'.hoody/crontab': '61 * * * * true\n'});
  const good = await push('main', {'.hoody/crontab': crontab(1)});
  const controller = await world.up('--repo', origin.path);
  const branch = await controller.until('main', active(good));
  const refused = await world.run('rollback', 'main', '--to', broken);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /could not be brought to .* is left as it was: \.hoody\/crontab:1:1 /);
  t.is(await controller.crontab(branch), crontab(1));
  t.is((await controller.client.branch('main')).rollback, null);
  t.regex(
    (await world.run('rollback', 'main')).stderr,
    /No commit that main ran before .* name one with --to/,
  );
});

test('a rollback while git is down goes by the mirror of a remote; without one it is refused and nothing changes', async (t) => {
  const remote = await createPushWorld(t, {fixture: 'simple'});
  const local = await createPushWorld(t, {fixture: 'simple'});
  await remote.origin.git('config', 'uploadpack.allowFilter', 'true');
  let isAway = false;
  const url = await serveOverHttp(t, remote.origin, {cutAfterBytes: () => (isAway ? 0 : null)});
  const world = await createControllerWorld(t);
  const config = join(local.origin.directory, 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [url, local.origin.path],
      branches: ['feature/*'],
      trust_branches: true,
      fetch_interval: '300ms',
    }),
  );
  const controller = await world.up('--config', config);
  for (const [{push}, name] of [
    [remote, 'feature/far'],
    [local, 'feature/near'],
  ] as const) {
    for (const minute of [1, 2]) {
      const commit = await push(name, {'.hoody/crontab': crontab(minute), 'data.txt': `${minute}\n`});
      await controller.until(name, active(commit));
    }
  }
  isAway = true;
  await rename(local.origin.path, `${local.origin.path}-away`);
  for (const name of ['feature/far', 'feature/near']) await world.run('reconcile', name);
  for (const {error} of await controller.client.repositories()) t.not(error, null);

  const far = await world.run('rollback', 'feature/far');
  t.is(far.code, 0, far.stderr);
  t.is(await controller.crontab(await controller.client.branch('feature/far')), crontab(1));
  const near = await world.run('rollback', 'feature/near');
  t.not(near.code, 0);
  t.regex(near.stderr, /cannot be read|not a git repository|No such file/);
  const branch = await controller.client.branch('feature/near');
  t.is(branch.rollback, null);
  t.is(await controller.crontab(branch), crontab(2));

  // The next listing that succeeds ends neither.
  isAway = false;
  await rename(`${local.origin.path}-away`, local.origin.path);
  for (const name of ['feature/far', 'feature/near']) await world.run('reconcile', name);
  t.is(await controller.crontab(await controller.client.branch('feature/far')), crontab(1));
  t.is((await world.run('rollback', 'feature/near')).code, 0);
});
