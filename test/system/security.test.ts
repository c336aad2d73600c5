import {existsSync} from 'node:fs';
import {lstat, readdir, readFile, readlink, stat} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {
  active,
  type ControllerWorld,
  createControllerWorld,
  isTrue,
  type RunningController,
} from '../helpers/controller-world.ts';
import {createGitWorld, type GitWorld} from '../helpers/git-world.ts';
import {levelSkipReason, levelWithHostNetwork} from '../helpers/level-available.ts';
import {rawRequest} from '../helpers/raw-http.ts';

const ready = (branch: Branch) => isTrue(branch, 'Ready');
const kitPath = (branch: Branch, kit: string) => `/c/${branch.container?.id.slice('ctr_'.length)}/${kit}`;

interface Served {
  readonly world: ControllerWorld;
  readonly repository: GitWorld;
  readonly controller: RunningController;
  readonly branch: Branch;
  readonly token: string;
}

async function served(t: ExecutionContext, level = 'auto'): Promise<Served> {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path, '--level', level);
  const branch = await controller.until('main', ready);
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  return {world, repository, controller, branch, token};
}

/** What the provider wrote down of a branch's container. */
async function recordOf({world, branch}: Served): Promise<{address: string; process: {kit_url: string}}> {
  const id = branch.container?.id.slice('ctr_'.length) ?? '';
  return JSON.parse(await readFile(join(world.stateDirectory, 'containers', id, 'container.json'), 'utf8'));
}

test('a foreign Host is misdirected wherever it is sent', async (t) => {
  const {controller, branch, token} = await served(t);
  const headers = {Host: 'evil.example', Authorization: `Bearer ${token}`};
  for (const target of [
    '/livez',
    '/login?code=x',
    '/api/v1/branches',
    `${kitPath(branch, 'exec')}/hello`,
    `${kitPath(branch, 'cron')}/users/root/crontab`,
    '//evil.example/api/v1/branches',
  ]) {
    t.is((await rawRequest(controller.url, {target, headers})).status, 421, target);
  }
  for (const Host of [
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'evil.example:80',
    'hoody-exec.evil.example',
    '',
    'a b',
  ])
    t.not((await rawRequest(controller.url, {target: '/livez', headers: {Host}})).status, 200, Host);
  t.is((await rawRequest(controller.url, {target: '/livez'})).status, 200);
});

test('pages of other sites reach scripts and nothing else', async (t) => {
  const {controller, branch, token} = await served(t);
  const foreign: Record<string, string>[] = [
    {Origin: 'https://evil.example'},
    {Origin: 'null'},
    {'Sec-Fetch-Site': 'cross-site'},
  ];
  for (const from of foreign) {
    const headers = {...from, Authorization: `Bearer ${token}`};
    for (const target of [
      '/',
      '/api/v1/branches',
      '/openapi.json',
      `${kitPath(branch, 'cron')}/users/root/crontab`,
      `${kitPath(branch, 'exec')}/api/v1/exec/scripts/list`,
      `${kitPath(branch, 'notifications')}/x`,
    ]) {
      t.is(
        (await rawRequest(controller.url, {target, headers})).status,
        403,
        `${target} ${JSON.stringify(from)}`,
      );
    }
    const reconcile = await rawRequest(controller.url, {
      method: 'POST',
      target: '/api/v1/reconcile',
      headers,
    });
    t.is(reconcile.status, 403);
    const call = await rawRequest(controller.url, {target: `${kitPath(branch, 'exec')}/hello`, headers});
    t.is(call.status, 200);
    t.true(call.headers.get('content-security-policy')?.startsWith('sandbox '));
  }
});

test('without the token only liveness, login and the kits answer', async (t) => {
  const {controller, branch, token} = await served(t);
  for (const [method, target] of [
    ['GET', '/'],
    ['GET', '/api/v1/branches'],
    ['GET', `/api/v1/branches/${branch.key}`],
    ['GET', `/api/v1/branches/${branch.key}/runs`],
    ['POST', `/api/v1/branches/${branch.key}/reconcile`],
    ['POST', `/api/v1/branches/${branch.key}/restore`],
    ['POST', '/api/v1/reconcile'],
    ['POST', '/api/v1/login-codes'],
    ['GET', '/api/v1/repositories'],
    ['GET', '/api/v1/events'],
    ['GET', '/openapi.json'],
    ['GET', '/no/such/route'],
    ['GET', '/login?code='],
  ] as const) {
    for (const headers of [
      {},
      {Authorization: 'Bearer wrong'},
      {Authorization: `Basic ${token}`},
      {Cookie: `branchtab_session=${token}`},
    ] as const)
      t.is((await rawRequest(controller.url, {method, target, headers})).status, 401, `${method} ${target}`);
  }
  for (const target of ['/livez', '/readyz', `${kitPath(branch, 'exec')}/hello`])
    t.is((await rawRequest(controller.url, {target})).status, 200, target);
});

test('control, workspace and deployments are reached neither through the gateway nor on the container’s own address', async (t) => {
  const all = await served(t, await levelWithHostNetwork());
  const {controller, branch, repository} = all;
  const own = (await recordOf(all)).process.kit_url;
  const before = await (await fetch(`${branch.container?.urls.exec}/hello`)).text();
  const attempts = [
    ['GET', '/api/v1/control', ''],
    ['PUT', '/api/v1/control/schedule', '{"state":"paused"}'],
    ['PUT', '/api/v1/control/environment', '{"revision":null,"variables":{"A":"1"}}'],
    ['POST', '/api/v1/control/workspace', '{"base":null,"target":"x"}\n{"end":true}\n'],
    ['POST', '/api/v1/control/jobs/stop', '{"grace_ms":0,"reason":"x"}'],
    ['PUT', '/api/v1/exec/deployments', `{"digest":"${'0'.repeat(64)}","files":[],"contents":{}}`],
  ] as const;
  const spellings = (path: string) => [
    path,
    `/${path}`,
    `/x/..${path}`,
    path.replace('control', 'c%6fntrol'),
    `/api/v1/exec/../../..${path}`,
    `/api/v1/cron/../../..${path}`,
  ];
  const ownHeader = {'X-Branchtab-Kit': 'control'};
  // To a pipe every path is a name: whoever calls waits for the other side, which never comes.
  await Promise.all(
    attempts.map(async ([method, path, body]) => {
      const target = `${kitPath(branch, 'pipe')}${path}?wait=1`;
      const answer = await rawRequest(controller.url, {method, target, body, headers: ownHeader});
      t.true(
        answer.status === 408 || /\[ERROR\]/.test(answer.body),
        `${path} ${answer.status} ${answer.body}`,
      );
    }),
  );
  for (const [method, path, body] of attempts) {
    for (const spelling of spellings(path)) {
      for (const kit of ['cron', 'exec', 'notifications', 'sqlite', 'files']) {
        const answer = await rawRequest(controller.url, {
          method,
          target: `${kitPath(branch, kit)}${spelling}`,
          body,
          headers: ownHeader,
        });
        t.true([404, 405, 501].includes(answer.status), `${kit} ${spelling} ${answer.status} ${answer.body}`);
      }
      const answer = await rawRequest(own, {method, target: spelling, body});
      t.is(answer.status, 403, `${spelling} ${answer.body}`);
    }
  }
  const after = await controller.client.branch('main');
  t.is(after.container?.state, 'running');
  t.is(await (await fetch(`${branch.container?.urls.exec}/hello`)).text(), before);
  t.is(
    await controller.crontab(after),
    await repository.git('show', 'main:.hoody/crontab').then((text) => `${text}\n`),
  );
});

test('the kit header of a caller is not believed by the gateway', async (t) => {
  const {controller, branch} = await served(t);
  const headers = {'X-Branchtab-Kit': 'cron'};
  const answer = await rawRequest(controller.url, {target: `${kitPath(branch, 'exec')}/hello`, headers});
  t.is(answer.status, 200);
});

const dump = `import {readdirSync} from 'node:fs';
return {environment: process.env};`;

test('a job and a script see the listed variables and nothing of the controller, its files or other containers', async (t) => {
  t.timeout(180_000);
  if ((await levelSkipReason('sandbox')) !== null) {
    t.pass();
    return;
  }
  const {world, repository, controller, token} = await served(t);
  await repository.commit('other', {'.hoody/crontab': '0 0 1 1 * true\n', 'secret-of-other.txt': 'other'});
  const other = await controller.until('other', ready);
  const otherId = other.container?.id.slice('ctr_'.length) ?? '';
  const look = [
    'env -0 | tr "\\0" "\\n" | sort',
    'echo "--- state"; ls -A $STATE_OF_TEST 2>/dev/null',
    'echo "--- root"; ls -A /root /home 2>/dev/null',
    'echo "--- shadow"; cat /etc/shadow 2>/dev/null',
    'echo "--- processes"; cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" | grep BRANCHTAB_CONTAINER | sort -u',
    'echo "--- files"; find / -xdev -name "secret-of-other.txt" 2>/dev/null; ls /srv/../srv',
  ]
    .join('; ')
    .replace('$STATE_OF_TEST', world.stateDirectory.replace('state', "st''ate"));
  const commit = await repository.commit('main', {
    '.hoody/crontab': `* * * * * ${look}\n`,
    '.hoody/exec/dump.ts': dump,
    passwd: {mode: 'symlink', content: '/etc/passwd'},
  });
  const branch = await controller.until('main', active(commit));
  const id = branch.container?.id.slice('ctr_'.length) ?? '';
  const runs = await controller.untilRuns('main', (all) => all.some(({finished_at}) => finished_at !== null));
  const run = runs.find(({finished_at}) => finished_at !== null);
  const output = run?.stdout ?? '';
  const [variables = '', ...sections] = output.split(/^--- /m);
  const section = (name: string) =>
    sections.find((text) => text.startsWith(`${name}\n`))?.slice(name.length + 1) ??
    t.fail(`no section ${name}: ${output}`) ??
    '';

  const allowed = [
    'BRANCHTAB_CONTAINER',
    'HOME',
    'HOODY_BRANCH',
    'HOODY_COMMIT',
    'HOODY_CRON_URL',
    'HOODY_EXEC_URL',
    'HOODY_NOTIFICATIONS_URL',
    'HOODY_PIPE_URL',
    'HOODY_REPOSITORY',
    'HOODY_WORKSPACE',
    'LANG',
    'PATH',
    'TZ',
  ];
  const ofJobs = ['HOODY_RUN_ID', 'LOGNAME', 'SHELL', 'USER'];
  const shell = ['PWD', 'SHLVL', '_', 'OLDPWD'];
  const named = variables
    .trim()
    .split('\n')
    .map((line) => line.split('=', 1)[0] ?? '');
  t.deepEqual(named.filter((name) => !shell.includes(name)).sort(), [...allowed, ...ofJobs].sort());
  const {environment} = (await (await fetch(`${branch.container?.urls.exec}/dump`)).json()) as {
    environment: Record<string, string>;
  };
  t.deepEqual(
    Object.keys(environment).filter((name) => !allowed.includes(name)),
    [],
  );

  t.is(section('state'), '');
  t.is(section('root'), '');
  t.is(section('shadow'), '');
  t.is(section('processes').trim(), `BRANCHTAB_CONTAINER=${id}`);
  t.false(section('files').includes('secret-of-other'));
  t.false(output.includes(token));
  t.false(output.includes(otherId));

  // A link of the branch is a link inside and is never followed from outside.
  const link = join(world.stateDirectory, 'containers', id, 'srv', 'passwd');
  t.true((await lstat(link)).isSymbolicLink());
  t.is(await readlink(link), '/etc/passwd');
  await t.throwsAsync(stat(join(world.stateDirectory, 'containers', id, 'srv', 'secret-of-other.txt')));
});

test('the token stands in its own file and nowhere else', async (t) => {
  const {world, controller, token, branch} = await served(t);
  await fetch(`${controller.url}/api/v1/branches?token=${token}`, {headers: {Authorization: 'Bearer wrong'}});
  await fetch(`${branch.container?.urls.exec}/hello`, {headers: {Authorization: `Bearer ${token}`}});
  await world.run('status');
  t.is((await stat(join(world.stateDirectory, 'token'))).mode & 0o777, 0o600);
  t.is((await stat(world.stateDirectory)).mode & 0o777, 0o700);
  const files = (await readdir(world.stateDirectory, {recursive: true, withFileTypes: true})).filter(
    (entry) => entry.isFile(),
  );
  t.true(
    files.some(({name}) => name === 'controller.json') && files.some(({name}) => name === 'controller.log'),
  );
  for (const {parentPath, name} of files) {
    if (parentPath.includes('/bin')) continue;
    const holds = (await readFile(join(parentPath, name))).includes(token);
    t.is(holds, name === 'token', join(parentPath, name));
  }
  const pids = await world.processes();
  t.true(pids.length > 0);
  for (const pid of [controller.pid, ...pids]) {
    t.false((await readFile(`/proc/${pid}/cmdline`)).includes(token));
    t.false((await readFile(`/proc/${pid}/environ`)).includes(token));
  }
});

test('names of branches are data for git and the shell, never options or commands', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const marker = join(repository.directory, 'touched');
  const names = [
    '--upload-pack=touch-x',
    '-c',
    `$(touch\${IFS}${marker})`,
    `\`touch\${IFS}${marker}\``,
    `;touch\${IFS}${marker};`,
    `"'&|<>`,
    'HEAD',
    'refs/heads/main',
    '%2e%2e%2f',
    '__proto__',
    'constructor',
  ];
  for (const name of names)
    await repository.commit(
      name,
      {
        '.hoody/crontab': '0 1 * * * true\n',
        '.hoody/exec/name.ts': 'return process.env.HOODY_BRANCH ?? "";\n',
      },
      'hostile',
      {from: null},
    );
  await t.throwsAsync(
    repository.git(
      'update-ref',
      'refs/heads/new\nline',
      names.length === 0 ? '' : await repository.git('rev-parse', 'refs/heads/main'),
    ),
  );
  const controller = await world.up('--repo', repository.path, '--yes');
  for (const name of names) {
    const branch = await controller.until(name, ready);
    t.regex(branch.key, /^[a-z0-9-]+$/);
    t.is(await (await fetch(`${branch.container?.urls.exec}/name`)).text(), name);
    t.is((await controller.client.branch(branch.key)).branch, name);
  }
  t.true(ready(await controller.until('main', ready)));
  t.false(existsSync(marker));
  for (const name of names) await repository.deleteBranch(name);
});

test('files beyond the limits stall their branch with an issue and leave the others alone', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', ready);
  const line = '0 1 * * * true\n';
  for (const {name, files, file, code} of [
    {
      name: 'many-bytes',
      files: {'.hoody/crontab': `# ${'x'.repeat(300 * 1024)}\n`},
      file: '.hoody/crontab',
      code: 'crontab_too_large',
    },
    {
      name: 'many-lines',
      files: {'.hoody/crontab': line.repeat(10_001)},
      file: '.hoody/crontab',
      code: 'crontab_too_large',
    },
    {
      name: 'large-script',
      files: {'.hoody/crontab': line, '.hoody/exec/large.ts': `// ${'x'.repeat(9 * 1024 * 1024)}\n`},
      file: '.hoody/exec/large.ts',
      code: 'file_too_large',
    },
  ]) {
    await repository.commit(name, files, name, {from: null});
    const stalled = await controller.until(name, (branch) => isTrue(branch, 'Stalled'));
    const [issue] = stalled.conditions.find(({type}) => type === 'Stalled')?.issues ?? [];
    t.like(issue, {file, code}, name);
    t.is(stalled.observed_revision, null);
  }
  const commit = await repository.commit('main', {'.hoody/crontab': line});
  t.is(await controller.crontab(await controller.until('main', active(commit))), line);
});

test('a tree with names that leave its directory stalls its branch, and nothing of it is applied', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', ready);
  const script = 'return process.env.HOODY_COMMIT ?? "";\n';
  const blob = await repository.gitWithInput('evil\n', 'hash-object', '-w', '--stdin');
  const tree = (entries: readonly (readonly [string, string, string])[]) =>
    repository.gitWithInput(
      Buffer.concat(
        entries.flatMap(([mode, name, id]) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex')]),
      ),
      ...['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'],
    );
  const evil = await tree([['100644', 'evil.txt', blob]]);
  for (const [name, entry] of [
    ['dots', ['40000', '..', evil]],
    ['dot-git', ['40000', '.git', evil]],
    ['dot-git-upper', ['40000', '.GIT', evil]],
    ['slash', ['100644', '../evil.txt', blob]],
    ['dot', ['40000', '.', evil]],
    ['twice', ['40000', '.hoody', evil]],
  ] as const) {
    const good = await repository.commit(name, {
      '.hoody/crontab': '0 1 * * * true\n',
      '.hoody/exec/commit.ts': script,
    });
    const before = await controller.until(name, active(good));
    const hoody = await repository.git('rev-parse', `${good}:.hoody`);
    const root = await tree([['40000', '.hoody', hoody], entry]);
    const bad = await repository.git('commit-tree', root, '-m', name);
    await repository.git('update-ref', `refs/heads/${name}`, bad);
    const stalled = await controller.until(
      name,
      (branch) => branch.revision === bad && isTrue(branch, 'Stalled'),
    );
    const {reason, message} = stalled.conditions.find(({type}) => type === 'Stalled') ?? {};
    t.is(reason, 'content_refused', name);
    t.regex(message ?? '', /is not allowed|occurs twice/, name);
    t.is(stalled.observed_revision, good, name);
    t.is(await (await fetch(`${before.container?.urls.exec}/commit`)).text(), good, name);
  }
  const written = await readdir(world.stateDirectory, {recursive: true});
  t.false(written.some((path) => path.endsWith('evil.txt')));
  t.true(ready(await controller.until('main', ready)));
});
