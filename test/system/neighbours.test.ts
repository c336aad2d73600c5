import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {levelSkipReason, levelWithHostNetwork} from '../helpers/level-available.ts';

/** Asks an address from inside the branch's container: as the script itself, and as a program that it starts. */
const ask = `const url = metadata.query.url;
const curl = await $\`curl -s -o /dev/null -w %{http_code} \${url}\`.nothrow().text();
return {script: (await fetch(url)).status, program: curl};`;

test("S35: a container's kits answer its own processes and refuse those of its neighbours and of the host", async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t);
  const controller = await world.up('--repo', repository.path, '--level', await levelWithHostNetwork());
  const serve = async (name: string) => {
    const files = {'.hoody/crontab': '0 1 * * * true\n', '.hoody/exec/ask.ts': ask};
    const commit = await repository.commit(name, files, name, {from: null});
    const exec = (await controller.until(name, active(commit))).container?.urls.exec;
    return async (url: string) => (await fetch(`${exec}/ask?url=${encodeURIComponent(url)}`)).json();
  };
  const main = await serve('main');
  const preview = await serve('feature/x');
  const url = `${await kitUrl(world.stateDirectory, 'main')}/users/root/crontab`;
  t.deepEqual(await main(url), {script: 200, program: '200'});
  t.deepEqual(await preview(url), {script: 403, program: '403'});
  t.is((await fetch(url)).status, 403);
});

async function kitUrl(stateDirectory: string, branch: string): Promise<string> {
  const containers = join(stateDirectory, 'containers');
  for (const id of await readdir(containers)) {
    const record = JSON.parse(await readFile(join(containers, id, 'container.json'), 'utf8'));
    if (record.name.startsWith(`${branch}-`)) return record.process.kit_url;
  }
  throw new Error(`no container of ${branch}`);
}

/** Does from inside of a container what somebody would try who wants the controller. */
const attack = `const {url, state} = metadata.query;
const tried = async (command) => (await $\`sh -c \${command}\`.nothrow().text()).trim();
const status = (path, how = '') => tried(\`curl -s -o /dev/null -w %{http_code} \${how} \${url}\${path}\`);
return {
  branches: await status('/api/v1/branches'),
  reconcile: await status('/api/v1/reconcile', '-X POST'),
  restore: await status('/api/v1/branches/main/data/restore', '-X POST -H content-type:application/json -d {}'),
  tokens: await status('/api/v1/tokens'),
  live: await status('/livez'),
  token: await tried(\`cat \${state}/token\`),
  backups: await tried(\`ls \${state}/backups \${state}/entries \${state}/tokens.json\`),
  sockets: await tried(\`ls \${state}/containers\`),
  home: await tried('ls -A /root /home 2>/dev/null'),
  credentials: await tried('env | grep -E "^(GIT_|SSH_|BRANCHTAB_TOKEN)"; git config --list --global'),
};`;

test('S35: a job reaches of the controller what anybody does, and neither its token, state, sockets nor git credentials', async (t) => {
  if ((await levelSkipReason('sandbox')) !== null) {
    t.pass();
    return;
  }
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t);
  const controller = await world.up('--repo', repository.path, '--level', 'sandbox');
  const files = {'.hoody/crontab': '0 1 * * * true\n', '.hoody/exec/attack.ts': attack};
  const commit = await repository.commit('main', files);
  const {container} = await controller.until('main', active(commit));
  t.deepEqual(container?.gaps, ['host_network']);
  const query = new URLSearchParams({url: controller.url, state: world.stateDirectory});
  const found = await (await fetch(`${container?.urls.exec}/attack?${query}`)).json();
  t.deepEqual(found, {
    branches: '401',
    reconcile: '401',
    restore: '401',
    tokens: '401',
    live: '200',
    token: '',
    backups: '',
    sockets: '',
    home: '',
    credentials: '',
  });
});

test('what level plain cannot keep from jobs is in the status', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t);
  const controller = await world.up('--repo', repository.path, '--level', 'plain');
  const commit = await repository.commit('main', {'.hoody/crontab': '0 1 * * * true\n'});
  const {container} = await controller.until('main', active(commit));
  t.true(container?.gaps.includes('state_directory'));
  t.regex(
    (await world.run('status')).stdout,
    /level plain does not keep from jobs: .*token.*docs\/security\.md/,
  );
});
