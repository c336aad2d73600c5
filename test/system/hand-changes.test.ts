import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const hourly = '0 * * * * true\n';
const byHand = '15 * * * * true\n30 * * * * echo by hand\n';

async function putCrontab(t: ExecutionContext, branch: Branch, text: string): Promise<void> {
  const response = await fetch(`${branch.container?.urls.cron}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: text,
  });
  t.is(response.status, 200);
}

async function writeScript(t: ExecutionContext, branch: Branch, path: string, content: string) {
  const response = await fetch(`${branch.container?.urls.exec}/api/v1/exec/scripts/write`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({path, content}),
  });
  t.true(response.ok, await response.text());
}

const isDrifted = (branch: Branch) =>
  branch.conditions.some(({type, reason}) => type === 'Ready' && reason === 'drifted');

test('keep leaves what is changed by hand, promote prints the patch for it, and both end as they should', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const script = "return {text: 'git'};\n";
  const first = await repository.commit('main', {
    '.hoody/crontab': hourly,
    '.hoody/exec/changed.ts': script,
  });
  await repository.git('reset', '--quiet', '--hard');
  const flags = ['--repo', repository.path];
  const controller = await world.up(...flags);
  const branch = await controller.until('main', active(first));
  t.is((await world.run('promote', 'main')).stdout, '');

  const kept = await world.run('keep', 'main', '--for', '1h', '--reason', 'incident 12');
  t.is(kept.code, 0, kept.stderr);
  await putCrontab(t, branch, byHand);
  await writeScript(t, branch, 'changed.ts', "return {text: 'hand'};\n");
  await writeScript(t, branch, 'sub/new.ts', "return {text: 'new'};\n");
  await controller.until('main', isDrifted);
  await world.run('reconcile', 'main');
  t.is(await controller.crontab(branch), byHand);
  const status = await world.run('status');
  t.is(status.code, 0);
  t.regex(status.stdout, /What is changed by hand in main stays until .* \(incident 12\)/);

  // A push that touches neither leaves both, and what is kept outlives the controller.
  const other = await repository.commit('main', {'notes.txt': 'more\n'});
  await controller.until('main', (now) => now.observed_revision === other);
  await controller.kill();
  const second = await world.up(...flags);
  await world.run('reconcile', 'main');
  const again = await second.until('main', isDrifted);
  t.is(await second.crontab(again), byHand);

  await repository.git('reset', '--quiet', '--hard');
  const patch = (await world.run('promote', 'main')).stdout;
  const file = join(repository.directory, 'change.patch');
  await writeFile(file, patch);
  await repository.git('apply', '--index', file);
  t.is(await repository.git('show', ':.hoody/crontab'), byHand.trim());
  t.is(await repository.git('show', ':.hoody/exec/sub/new.ts'), "return {text: 'new'};");
  t.is(await repository.git('show', ':.hoody/exec/changed.ts'), "return {text: 'hand'};");
  await repository.git('commit', '--quiet', '-m', 'Keep what was done by hand');
  const promoted = await repository.git('rev-parse', 'HEAD');
  const settled = await second.until('main', (now) => active(promoted)(now) && !isDrifted(now));
  t.is(await second.crontab(settled), byHand);
  t.is((await world.run('promote', 'main')).stdout, '');

  await putCrontab(t, settled, hourly);
  await second.until('main', isDrifted);
  const ended = await world.run('keep', 'main', '--end');
  t.is(ended.code, 0, ended.stderr);
  t.is(await second.crontab(settled), byHand);
  t.is((await world.run('keep', 'main', '--end')).code, 1);
  t.is((await world.run('keep', 'main')).code, 2);
  t.is((await world.run('keep', 'main', '--for', 'soon')).code, 2);
});

test('what was kept is put back when its time is over, by itself', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const first = await repository.commit('main', {'.hoody/crontab': hourly});
  const controller = await world.up('--repo', repository.path);
  const branch = await controller.until('main', active(first));
  await world.run('keep', 'main', '--for', '1h');
  await putCrontab(t, branch, byHand);
  await controller.until('main', isDrifted);
  await world.run('keep', 'main', '--for', '1s');
  const over = await controller.until(
    'main',
    (now) => now.keep === null && isTrue(now, 'Ready') && !isDrifted(now),
  );
  t.is(await controller.crontab(over), hourly);
});
