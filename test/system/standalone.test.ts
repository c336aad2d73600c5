import {chmod, mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {ContainerItem} from '../../schemas/container-api.ts';
import type {Run} from '../../schemas/run.ts';
import {certificateFiles} from '../helpers/certificates.ts';
import {commandLine} from '../helpers/command-line.ts';
import {
  type ControllerWorld,
  createControllerWorld,
  isTrue,
  type RunningController,
} from '../helpers/controller-world.ts';
import {createPushWorld, type PushWorld} from '../helpers/git-world.ts';
import {rawRequest} from '../helpers/raw-http.ts';

interface Served {
  readonly world: ControllerWorld;
  readonly repository: PushWorld;
  readonly controller: RunningController;
  /** Starts the controller again, after it was killed or stopped. */
  up(): Promise<RunningController>;
}

/** A controller of the domain that the documents write, with its branches ready. */
async function served(
  t: ExecutionContext,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<Served> {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t, {fixture: 'simple'});
  const config = join(repository.origin.directory, 'branchtab.yaml');
  await writeFile(config, JSON.stringify({domain: 'hoody.com', ...settings}));
  const up = () => world.up('--repo', repository.origin.path, '--config', config);
  const controller = await up();
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  return {world, repository, controller, up};
}

/** Asks until the container is as wanted; the time limit of the test ends what never comes. */
async function untilContainer(
  {client}: RunningController,
  id: string,
  wanted: (item: ContainerItem | undefined) => boolean,
): Promise<ContainerItem | undefined> {
  for (;;) {
    const item = (await client.containers()).find((each) => each.id === id);
    if (wanted(item)) return item;
    await Bun.sleep(20);
  }
}

const isRunning = (item: ContainerItem | undefined) => item?.state === 'running';
const hexOf = (id: string) => id.slice('ctr_'.length);

async function create(world: ControllerWorld, ...words: string[]): Promise<string> {
  const {code, stdout, stderr} = await world.run('containers', 'create', ...words);
  if (code !== 0) throw new Error(`${code}: ${stderr}`);
  return stdout.trim();
}

/** Processes that carry this id in their environment. */
async function processesOf(id: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (environment.includes(hexOf(id))) found.push(Number(name));
  }
  return found.sort((a, b) => a - b);
}

async function runtimePid({stateDirectory}: ControllerWorld, id: string): Promise<number> {
  const record = join(stateDirectory, 'containers', hexOf(id), 'container.json');
  return JSON.parse(await readFile(record, 'utf8')).process.runtime.pid;
}

/** A request to a kit by its host. */
const ask = (
  {url}: RunningController,
  host: string,
  target: string,
  request: {method?: string; headers?: Record<string, string>; body?: string} = {},
) => rawRequest(url, {...request, target, headers: {Host: host, ...request.headers}});

const putCrontab = (controller: RunningController, id: string, body: string) =>
  ask(controller, `${id}-cron-1.hoody.com`, '/users/root/crontab', {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body,
  });

test('S23 S26 S27 S28 S41: the deploy script of the document makes a container for the branch and puts its crontab there', async (t) => {
  const certificate = await certificateFiles(t, '*.hoody.com');
  const {world, repository, controller} = await served(t, {tls: {listen: '127.0.0.1:0', ...certificate}});
  const main = await controller.client.branch('main');
  const mainFiles = join(world.stateDirectory, 'containers', hexOf(main.container?.id ?? ''));
  await writeFile(join(mainFiles, 'data/events.db'), 'of the jobs of main');
  t.is((await world.run('snapshots', 'create', 'main', 'main-snapshot')).stdout, 'main-snapshot\n');

  const bin = join(repository.origin.directory, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'hoody'), `#!/bin/sh\nexec ${commandLine.join(' ')} "$@"\n`);
  await chmod(join(bin, 'hoody'), 0o755);
  // What the names of the domain lead to, and whom to believe, is set up; the script is the document's.
  const {tls_url: secure} = JSON.parse(await readFile(join(world.stateDirectory, 'controller.json'), 'utf8'));
  await writeFile(
    join(bin, '.curlrc'),
    `connect-to = "::${new URL(secure).host}"\ncacert = "${certificate.certificate}"\n`,
  );
  await repository.clone.git('checkout', '--quiet', 'feature/billing-v2');
  const child = Bun.spawn({
    cmd: ['sh', '-eu', join(process.cwd(), 'fixtures/deploy/deploy.sh')],
    cwd: repository.clone.path,
    env: {
      PATH: `${bin}:${process.env.PATH}`,
      HOME: bin,
      CURL_HOME: bin,
      BRANCHTAB_URL: controller.url,
      BRANCHTAB_TOKEN: (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim(),
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  t.is(code, 0, stderr);
  const id = /deployed feature\/billing-v2 → (ctr_[0-9a-f]{24})\n$/.exec(stdout)?.[1] ?? '';

  t.like(await untilContainer(controller, id, isRunning), {branch: null, standalone: true});
  const crontab = await readFile(join(repository.clone.path, '.hoody/crontab'), 'utf8');
  const host = `${id}-cron-1.hoody.com`;
  const back = await ask(controller, host, '/users/root/crontab', {headers: {Accept: 'text/plain'}});
  t.is(back.body, crontab);

  const files = join(world.stateDirectory, 'containers', hexOf(id));
  const price = await repository.origin.git('show', 'main:src/price.ts');
  t.is((await readFile(join(files, 'srv/src/price.ts'), 'utf8')).trim(), price);
  t.deepEqual(await readdir(join(files, 'data')), []);
  const whole = await create(world, '--from', 'main-snapshot', '--with-data');
  const copied = join(world.stateDirectory, 'containers', hexOf(whole), 'data/events.db');
  t.is(await readFile(copied, 'utf8'), 'of the jobs of main');
  t.is((await world.run('containers', 'create', '--with-data')).code, 2);
});

test('jobs of a standalone container run, with the files of its snapshot', async (t) => {
  const {world, controller} = await served(t);
  await world.run('snapshots', 'create', 'main', 'base');
  const id = await create(world, '--from', 'base', '--name', 'try-out');
  const host = `${hexOf(id)}-cron-1.localhost`;
  const json = {'Content-Type': 'application/json'};
  const entry = await ask(controller, host, '/users/root/entries', {
    method: 'POST',
    headers: json,
    body: JSON.stringify({schedule: '@yearly', command: 'cat "$HOODY_WORKSPACE/README.md"; exit 7'}),
  });
  const entryId = JSON.parse(entry.body).id as string;
  t.is((await ask(controller, host, `/users/root/entries/${entryId}/run`, {method: 'POST'})).status, 202);
  for (;;) {
    const {body} = await ask(controller, host, `/api/v1/cron/users/root/runs?entry=${entryId}`);
    const [run] = (JSON.parse(body) as {items: Run[]}).items;
    if (run?.status === 'failed') {
      t.is(run.exit_code, 7);
      t.is(run.stdout, await readFile('fixtures/repos/simple/main/README.md', 'utf8'));
      break;
    }
    await Bun.sleep(20);
  }
});

test('S32 S99: a deleted container leaves no process, no directory, no entry and no address', async (t) => {
  const {world, controller} = await served(t);
  const id = await create(world);
  t.is((await putCrontab(controller, id, '@yearly sleep 600\n')).status, 200);
  t.true((await processesOf(id)).length > 0);
  const {code, stdout} = await world.run('containers', 'delete', id);
  t.is(stdout, `Deleted ${id}.\n`);
  t.is(code, 0);
  t.deepEqual(await processesOf(id), []);
  t.false((await readdir(join(world.stateDirectory, 'containers'))).some((name) => name.includes(hexOf(id))));
  for (const domain of ['hoody.com', 'localhost']) {
    const answer = await ask(controller, `${id}-cron-1.${domain}`, '/users/root/crontab');
    t.is(answer.status, 404);
    t.regex(answer.body, /"CONTAINER_NOT_FOUND"/);
  }
  t.is((await fetch(`${controller.url}/c/${hexOf(id)}/cron/users/root/crontab`)).status, 404);
  t.false((await world.run('containers', 'list', '--json')).stdout.includes(hexOf(id)));
  t.is((await world.run('containers', 'delete', id)).code, 4);
});

test('a standalone container outlives its controller, and branches that come and go', async (t) => {
  const {world, repository, controller, up} = await served(t);
  const id = await create(world, '--name', 'kept');
  const crontab = '@hourly true\n';
  await putCrontab(controller, id, crontab);
  const before = await processesOf(id);
  await repository.deleteBranch('feature/billing-v2');
  await controller.kill();
  t.deepEqual(await processesOf(id), before);
  const second = await up();
  t.like(await untilContainer(second, id, isRunning), {name: 'kept', branch: null, standalone: true});
  t.deepEqual(await processesOf(id), before);
  const back = await ask(second, `${id}-cron-1.hoody.com`, '/users/root/crontab', {
    headers: {Accept: 'text/plain'},
  });
  t.is(back.body, crontab);
});

test('down stops a standalone container, up starts it again with its crontab, and --purge names it', async (t) => {
  const {world, controller, up} = await served(t);
  const id = await create(world, '--name', 'kept');
  await putCrontab(controller, id, '@hourly true\n');
  t.is((await world.run('down')).code, 0);
  t.deepEqual(await processesOf(id), []);
  const second = await up();
  await untilContainer(second, id, isRunning);
  const back = await ask(second, `${id}-cron-1.hoody.com`, '/users/root/crontab', {
    headers: {Accept: 'text/plain'},
  });
  t.is(back.body, '@hourly true\n');
  const purged = await world.run('down', '--purge', '--yes');
  t.regex(purged.stderr, new RegExp(`${id} {2}kept: `));
  t.deepEqual(await processesOf(id), []);
});

test('a runtime of a standalone container that is killed is started again', async (t) => {
  const {world, controller} = await served(t);
  const id = await create(world);
  await putCrontab(controller, id, '@hourly true\n');
  const pid = await runtimePid(world, id);
  process.kill(pid, 'SIGKILL');
  await untilContainer(controller, id, (item) => item?.state === 'failed');
  await untilContainer(controller, id, isRunning);
  t.not(await runtimePid(world, id), pid);
  const host = `${id}-cron-1.hoody.com`;
  t.is(
    (await ask(controller, host, '/users/root/crontab', {headers: {Accept: 'text/plain'}})).body,
    '@hourly true\n',
  );
});

test('who leaves while a container is made for them leaves none behind', async (t) => {
  const {world, controller} = await served(t);
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const mine = async (name: string) =>
    (await controller.client.containers()).find((container) => container.name === name);
  for (let attempt = 1; ; attempt += 1) {
    const name = `nobody-waits-${attempt}`;
    const left = new AbortController();
    const asked = fetch(`${controller.url}/api/v1/containers`, {
      method: 'POST',
      headers: {Authorization: `Bearer ${token}`, 'Content-Type': 'application/json'},
      body: JSON.stringify({name}),
      signal: left.signal,
    }).catch(() => {
      // We left.
    });
    while ((await mine(name)) === undefined) await Bun.sleep(1);
    left.abort();
    await asked;
    let seen = await mine(name);
    while (seen !== undefined && seen.state !== 'running') {
      await Bun.sleep(20);
      seen = await mine(name);
    }
    if (seen === undefined) break;
    // It was made before we left: on a busy machine the list may come late.
    await controller.client.deleteContainer(name);
  }
  t.is((await readdir(join(world.stateDirectory, 'containers'))).length, 2);
});

test('the container of a branch is deleted with the branch, which the refusal says, and not otherwise', async (t) => {
  const {world, controller} = await served(t);
  const {container, key} = await controller.client.branch('main');
  for (const name of [container?.id ?? '', hexOf(container?.id ?? ''), key, 'main']) {
    const {code, stderr} = await world.run('containers', 'delete', name, '--json');
    t.is(code, 1, name);
    t.is(JSON.parse(stderr).code, 'CONTAINER_OF_BRANCH', name);
    t.regex(JSON.parse(stderr).message, /delete the branch/);
  }
  t.is((await controller.client.branch('main')).container?.id, container?.id);
});

test('S26: kits answer by the key of a branch and by the name of a container with the token, and by the id without', async (t) => {
  const {world, controller} = await served(t);
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const id = await create(world, '--name', 'try-out');
  const main = await controller.client.branch('main');
  const headers = {Authorization: `Bearer ${token}`};
  for (const name of [main.key, 'try-out']) {
    const host = `${name}-cron-1.hoody.com`;
    t.is((await ask(controller, host, '/users/root/crontab')).status, 401, name);
    t.is((await ask(controller, host, '/users/root/crontab', {headers})).status, 200, name);
  }
  t.is((await ask(controller, 'nobody-cron-1.hoody.com', '/crontab', {headers})).status, 404);
  for (const container of [main.container?.id ?? '', hexOf(main.container?.id ?? ''), id])
    t.is((await ask(controller, `${container}-cron-1.hoody.com`, '/users/root/crontab')).status, 200);
  const call = await ask(controller, `${main.container?.id}-exec-1.hoody.com`, '/hello?name=a%20b');
  t.is(call.status, 200, call.body);
});

test('foreign hosts and pages of other sites do not reach the kits by their hosts', async (t) => {
  const {controller, world} = await served(t);
  const id = await create(world);
  for (const host of [`${id}-cron-1.evil.example`, `${id}-cron-1.hoody.com.evil.example`, 'hoody.com'])
    t.is((await ask(controller, host, '/users/root/crontab')).status, 421, host);
  const write = {method: 'PUT', body: '* * * * * evil\n'};
  for (const from of [
    {Origin: 'https://evil.example'},
    {Origin: 'null'},
    {Origin: `http://${'0'.repeat(24)}-exec-1.hoody.com`},
    {'Sec-Fetch-Site': 'cross-site'},
  ] as Record<string, string>[]) {
    const headers = {'Content-Type': 'text/plain', ...from};
    const cron = await ask(controller, `${id}-cron-1.hoody.com`, '/users/root/crontab', {...write, headers});
    t.is(cron.status, 403, JSON.stringify(from));
    const scripts = '/api/v1/exec/scripts/list';
    t.is((await ask(controller, `${id}-exec-1.hoody.com`, scripts, {headers})).status, 403);
  }
  const host = `${id}-cron-1.hoody.com`;
  t.is((await ask(controller, host, '/users/root/crontab', {headers: {Accept: 'text/plain'}})).body, '');
  t.is((await ask(controller, host, '/api/v1/control')).status, 404);
});
