import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const liveKey = 'sk_live_9f8e7d6c5b4a';
const testKey = 'sk_test_0a1b2c3d4e5f';

const crontab = '# branchtab: name=show\n0 3 1 1 * echo "$MODE $KEY"; printenv | sort\n';
const files = {
  '.hoody/crontab': crontab,
  '.hoody/exec/mode.ts': 'return [process.env.MODE, process.env.KEY?.length].join(" ");\n',
};

/** Runs the job now and gives its output when it has ended. */
async function runShow({container}: Branch): Promise<string> {
  const base = `${container?.urls.cron}/users/root`;
  const {entries} = (await (await fetch(`${base}/entries`)).json()) as {
    entries: {id?: string; name?: string}[];
  };
  const show = entries.find(({name}) => name === 'show');
  const {id} = (await (await fetch(`${base}/entries/${show?.id}/run`, {method: 'POST'})).json()) as {
    id: string;
  };
  const followed = await (await fetch(`${base}/runs/${id}/output?follow=1`)).text();
  const record = await (await fetch(`${base}/runs/${id}`)).text();
  return followed + record;
}

test('S36: live and previews get what the operator binds, secrets are masked, and a rotated one arrives', async (t) => {
  const world = await createControllerWorld(t);
  const directory = join(world.stateDirectory, '..');
  const secret = join(directory, 'key');
  const config = join(directory, 'branchtab.yaml');
  await writeFile(secret, `${testKey}\n`, {mode: 0o600});
  await writeFile(
    config,
    `environments:
  - branches: '**'
    variables: {MODE: test, RETRIES: 3}
    secrets: {KEY: {from_file: ${JSON.stringify(secret)}}}
  - branches: live
    variables: {MODE: live}
    secrets: {KEY: {from_command: "echo ${liveKey}"}}
`,
  );
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const commits = {main: await repository.commit('main', files), p: await repository.commit('p', files)};
  const controller = await world.up('--repo', repository.path, '--config', config);
  const live = await controller.until('main', active(commits.main));
  const preview = await controller.until('p', active(commits.p));

  const shown = {live: await runShow(live), preview: await runShow(preview)};
  t.regex(shown.live, /live \*\*\*/);
  t.regex(shown.preview, /test \*\*\*/);
  t.regex(shown.preview, /RETRIES=3/);
  for (const text of Object.values(shown)) for (const key of [liveKey, testKey]) t.false(text.includes(key));
  const asked = async ({container}: Branch) => (await fetch(`${container?.urls.exec}/mode`)).text();
  t.is(await asked(live), `live ${liveKey.length}`);
  t.is(await asked(preview), `test ${testKey.length}`);

  const listed = await world.run('env', 'p');
  t.regex(listed.stdout, /KEY +secret +file .*key +environments\[0\]/);
  t.regex((await world.run('env', 'main')).stdout, /KEY +secret +command echo/);
  t.false(listed.stdout.includes(testKey));

  await writeFile(secret, `${testKey}-and-longer\n`);
  t.is((await world.run('reconcile', 'p')).code, 0);
  t.is(await asked(preview), `test ${testKey.length + 11}`);
  t.is(await asked(live), `live ${liveKey.length}`);
});

test('a secret that cannot be read keeps the former values, says its name, and heals', async (t) => {
  const world = await createControllerWorld(t);
  const directory = join(world.stateDirectory, '..');
  const secret = join(directory, 'key');
  const config = join(directory, 'branchtab.yaml');
  await writeFile(
    config,
    `environments: [{branches: '**', secrets: {KEY: {from_file: ${JSON.stringify(secret)}}}}]\n`,
  );
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const commit = await repository.commit('main', files);
  const controller = await world.up('--repo', repository.path, '--config', config);
  const failing = await controller.until('main', ({conditions}) =>
    conditions.some(({reason}) => reason === 'secret_unavailable'),
  );
  t.regex(failing.conditions.map(({message}) => message).join(' '), /secret KEY cannot be read/);
  await writeFile(secret, `${testKey}\n`);
  await controller.until('main', active(commit));
  t.pass();
});
