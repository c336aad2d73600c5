import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {findBundle} from '../../runtime/platform/authority-bundle.ts';
import {active, type ControllerWorld, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {levelSkipReason} from '../helpers/level-available.ts';

const domain = 'containers.hoody.example';
const exec = `exec.${domain}`;

/** A controller with a domain whose branch `main` answers `rolled up`, and a way to run commands as its jobs do. */
async function setup(t: ExecutionContext, level: string, files: Readonly<Record<string, string>> = {}) {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t);
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, JSON.stringify({domain, level, undo_window: '0'}));
  const commit = await repository.commit('main', {
    '.hoody/crontab': `# branchtab: name=rollup\n0 1 * * * curl -fsS https://${exec}/scripts/rollup/run\n`,
    '.hoody/exec/rollup.ts': "return 'rolled up';\n",
    ...files,
  });
  const controller = await world.up('--repo', repository.path, '--config', config);
  await controller.until('main', active(commit));
  return {
    world,
    repository,
    controller,
    inside: (name: string, command: string) => inside(world, name, command),
  };
}

function inside(world: ControllerWorld, container: string, command: string) {
  return world.run('containers', 'exec', container, command);
}

/** Without root a container that shares the host's network cannot have port 443. */
const levels = process.getuid?.() === 0 ? (['network', 'sandbox'] as const) : (['network'] as const);

for (const level of levels) {
  test(`S3 S5 S59: at level ${level} the documents' HTTPS addresses lead jobs, scripts and shells to their own container`, async (t) => {
    if ((await levelSkipReason(level)) !== null) return t.pass();
    const {world, inside} = await setup(t, level, {
      '.hoody/exec/relay.ts': `return await (await fetch('https://${exec}/rollup')).text();\n`,
    });
    const job = await world.run('run', 'main', 'rollup');
    t.is(job.code, 0, job.stderr);
    t.regex(job.stdout, /rolled up/);
    const script = await inside('main', `curl -fsS https://${exec}/relay`);
    t.is(script.stdout, 'rolled up', script.stderr);
    // With another TLS library, and where the system has authorities without the variables.
    const bundle = await findBundle();
    const git = await inside(
      'main',
      `${bundle === null ? '' : 'env -i '}git ls-remote https://${exec}/x.git`,
    );
    t.regex(git.stderr, /repository .* not found/);
    if (bundle !== null) {
      const kept = await inside('main', `head -c 10000 ${bundle}`);
      t.is(kept.stdout, (await readFile(bundle, 'utf8')).slice(0, 10_000));
    }
    const list = await inside('main', `curl -fsS https://cron.${domain}/api/v1/cron/users/me/entries`);
    t.regex(list.stdout, /rollup/, list.stderr);
    const plain = await inside(
      'main',
      `curl -fsS http://${exec}/rollup http://hoody-exec/rollup hoody-notifications/push/me`,
    );
    t.regex(plain.stdout, /^rolled uprolled up/, plain.stderr);
    const pipe = await inside(
      'main',
      `head -c 3000000 /dev/urandom >f; curl -sS -T f -o sent https://pipe.${domain}/x & curl -sS https://pipe.${domain}/x | cmp - f && wait && echo same`,
    );
    t.regex(pipe.stdout, /same/, pipe.stderr);
    const other = await inside('main', `curl -sS https://${exec.replace('exec', 'sqlite')}/`);
    t.not(other.code, 0, 'no other name of the domain is taken');
    return undefined;
  });
}

test('an authority signs for nobody else: neighbours and clones have others, and its key is in no snapshot', async (t) => {
  const level = levels.at(-1) ?? 'network';
  if ((await levelSkipReason(level)) !== null) return t.pass();
  const {world, repository, controller, inside} = await setup(t, level);
  await repository.git('branch', 'neighbour', 'main');
  const commit = await repository.commit('neighbour', {
    '.hoody/exec/rollup.ts': "return 'of the neighbour';\n",
  });
  await controller.until('neighbour', active(commit));
  t.is((await world.run('snapshots', 'create', 'main', 'main-snapshot')).code, 0);
  t.is((await world.run('containers', 'create', '--from', 'main-snapshot', '--name', 'copy')).code, 0);

  const authorities = await Promise.all(
    ['main', 'neighbour', 'copy'].map(
      async (name) => (await inside(name, 'cat /etc/branchtab/authority.crt')).stdout,
    ),
  );
  t.is(new Set(authorities).size, 3);
  t.true(authorities.every((text) => text.startsWith('-----BEGIN CERTIFICATE')));
  if (level === 'sandbox') {
    // They share the network of this host, so that one can try to be taken for the other.
    const address = (await inside('main', 'getent hosts hoody-exec')).stdout.split(/\s/)[0];
    const call = `--resolve ${exec}:443:${address} https://${exec}/rollup`;
    const asked = await inside('neighbour', `curl -sS ${call}`);
    t.regex(asked.stderr, /unable to get local issuer certificate/);
    t.regex((await inside('neighbour', `curl -sSk ${call}`)).stdout, /own processes/);
  }

  const holding = await filesWith(world.stateDirectory, 'PRIVATE KEY');
  t.is(holding.length, 3, holding.join());
  for (const path of holding) {
    t.regex(path, /^containers\/[0-9a-f]{24}\/runtime\/authority\.json$/);
    t.is((await stat(join(world.stateDirectory, path))).mode & 0o777, 0o600);
  }
  t.true((await readdir(join(world.stateDirectory, 'snapshots'))).length > 0);
  return undefined;
});

/** Paths of the plain files below `directory` that hold the text, relative to it; those of programs are left out. */
async function filesWith(directory: string, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, {recursive: true, withFileTypes: true})) {
    const path = join(entry.parentPath, entry.name).slice(directory.length + 1);
    if (!entry.isFile() || path.startsWith('bin/')) continue;
    if ((await readFile(join(directory, path), 'latin1')).includes(text)) found.push(path);
  }
  return found;
}
