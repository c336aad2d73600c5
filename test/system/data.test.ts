import {Database} from 'bun:sqlite';
import {mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Backup, BackupList} from '../../schemas/backup.ts';
import type {Branch} from '../../schemas/branch.ts';
import {active, type ControllerWorld, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld, type GitWorld} from '../helpers/git-world.ts';

const crontab = '# branchtab: name=add\n0 3 1 1 * echo "$HOODY_COMMIT" >> log\n';

interface World extends ControllerWorld {
  readonly repository: GitWorld;
  readonly config: string;
}

async function createWorld(t: ExecutionContext, config = ''): Promise<World> {
  t.timeout(180_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const file = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(file, config);
  return {...world, repository, config: file};
}

const up = ({up: start, repository, config}: World, ...flags: string[]) =>
  start('--repo', repository.path, '--config', config, ...flags);
const directoryOf = ({stateDirectory}: ControllerWorld, {container}: Branch) =>
  join(stateDirectory, 'containers', container?.id.slice('ctr_'.length) ?? '');
const reasonOf = ({conditions}: Branch) => conditions.find(({type}) => type === 'Ready')?.reason;

function writeRows(path: string, count: number): void {
  const database = new Database(path);
  database.run('PRAGMA journal_mode = WAL');
  database.run('CREATE TABLE IF NOT EXISTS rows(n INTEGER)');
  for (let row = 0; row < count; row += 1) database.run('INSERT INTO rows VALUES (?)', [row]);
  database.close();
}

function countRows(path: string): number {
  const database = new Database(path, {readonly: true});
  try {
    return database.query<{n: number}, []>('SELECT count(*) AS n FROM rows').get()?.n ?? -1;
  } finally {
    database.close();
  }
}

const postEntry = ({container}: Branch, name: string) =>
  fetch(`${container?.urls.cron}/users/root/entries`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({schedule: '0 4 1 1 *', command: 'echo by hand', name}),
  });
const entryNames = async ({container}: Branch) => {
  const {entries} = (await (await fetch(`${container?.urls.cron}/users/root/entries`)).json()) as {
    entries: {type: string; name: string | null; enabled: boolean}[];
  };
  return entries.filter(({type}) => type === 'managed').map(({name, enabled}) => ({name, enabled}));
};

test('data survive pushes, a killed runtime, a new controller and down', async (t) => {
  const world = await createWorld(t);
  const first = await up(world);
  const commit = await world.repository.commit('main', {'.hoody/crontab': crontab});
  const branch = await first.until('main', active(commit));
  const kept = join(directoryOf(world, branch), 'data', 'kept');
  await writeFile(kept, 'kept');
  const {ino} = await stat(kept);
  const stays = async (when: string) => {
    t.is(await readFile(kept, 'utf8'), 'kept', when);
    t.is((await stat(kept)).ino, ino, when);
  };
  t.is((await world.run('run', 'main', 'add')).code, 0);

  const second = await world.repository.commit('main', {'.hoody/crontab': `${crontab}@hourly true\n`});
  await first.until('main', active(second));
  await stays('after a push');
  const record = JSON.parse(await readFile(join(directoryOf(world, branch), 'container.json'), 'utf8'));
  process.kill(record.process.runtime.pid, 'SIGKILL');
  await first.until('main', ({container}) => container?.state === 'failed');
  await first.until('main', ({container}) => container?.state === 'running');
  await stays('after a killed runtime');
  await first.kill();
  const again = await up(world);
  await again.until('main', active(second));
  await stays('after a new controller');
  t.is((await world.run('down')).code, 0);
  const third = await up(world);
  const last = await third.until('main', (now) => active(second)(now) && now.container?.state === 'running');
  t.is(last.container?.id, branch.container?.id);
  await stays('after down');
  t.is((await world.run('run', 'main', 'add')).code, 0);
  t.deepEqual((await readFile(join(directoryOf(world, branch), 'data/log'), 'utf8')).split('\n'), [
    commit,
    second,
    '',
  ]);
});

test('live is backed up by itself; its data come back after rm -rf of the data directory', async (t) => {
  const world = await createWorld(t, 'backups: {interval: 1s, keep: 2}\nstop_grace: 1s\n');
  const commit = await world.repository.commit('main', {'.hoody/crontab': crontab});
  await world.repository.commit('p', {'.hoody/crontab': crontab});
  const controller = await up(world);
  const branch = await controller.until('main', active(commit));
  const data = join(directoryOf(world, branch), 'data');
  writeRows(join(data, 'events.db'), 100);
  await writeFile(join(data, 'report.txt'), 'of Tuesday');
  const list = async (): Promise<Backup[]> =>
    (JSON.parse((await world.run('data', 'list', 'main', '--json')).stdout) as BackupList).items;
  // One that holds all of it, made by nobody.
  const holds = (items: readonly Backup[]) =>
    items.some(({databases, files}) => databases === 1 && files === 2);
  for (let items = await list(); !holds(items); items = await list()) await Bun.sleep(50);
  t.true((await list()).length <= 2);
  t.is((await world.run('data', 'list', 'p')).stdout, '');
  const made = await world.run('data', 'backup', 'main');
  t.regex(made.stdout, /^\d{8}T\d{9}Z\n$/);
  await writeFile(join(data, 'report.txt'), 'spoilt');

  await rm(data, {recursive: true});
  const restored = await world.run('data', 'restore', 'main', '--backup', made.stdout.trim(), '--yes');
  t.is(restored.code, 0, restored.stderr);
  const after = await controller.until('main', active(commit));
  t.is(after.container?.id, branch.container?.id);
  t.is(after.container?.state, 'running');
  t.is(await readFile(join(data, 'report.txt'), 'utf8'), 'of Tuesday');
  t.is(countRows(join(data, 'events.db')), 100);
  t.is((await world.run('run', 'main', 'add')).code, 0);
  t.is(await readFile(join(data, 'log'), 'utf8'), `${commit}\n`);
});

test('a live container that is gone is not made anew until a person says so; data and entries come back', async (t) => {
  const world = await createWorld(t, 'stop_grace: 1s\n');
  const commit = await world.repository.commit('main', {'.hoody/crontab': crontab});
  const first = await up(world);
  const branch = await first.until('main', active(commit));
  await writeFile(join(directoryOf(world, branch), 'data', 'ledger'), '42');
  t.is((await postEntry(branch, 'on-call')).status, 201);
  const mirror = join(world.stateDirectory, 'entries', `${branch.key}.json`);
  while (!(await readFile(mirror, 'utf8').catch(() => '')).includes('on-call')) await Bun.sleep(20);
  t.is((await world.run('data', 'backup', 'main')).code, 0);
  await world.run('down');
  await rm(directoryOf(world, branch), {recursive: true});

  const second = await up(world);
  const lost = await second.until('main', (now) => reasonOf(now) === 'data_lost');
  t.is(lost.container, null);
  t.true(isTrue(lost, 'Stalled'));
  const status = await world.run('status', 'main');
  t.is(status.code, 5);
  t.regex(status.stdout, /branchtab data restore main/);

  const restored = await world.run('data', 'restore', 'main', '--json', '--yes');
  t.is(restored.code, 0, restored.stderr);
  const back = await second.until('main', active(commit));
  t.is(await readFile(join(directoryOf(world, back), 'data', 'ledger'), 'utf8'), '42');
  t.deepEqual(await entryNames(back), [{name: 'on-call', enabled: true}]);
});

test('where data are lost and there is no backup, a person can begin anew', async (t) => {
  const world = await createWorld(t);
  const commit = await world.repository.commit('main', {'.hoody/crontab': crontab});
  const first = await up(world);
  const branch = await first.until('main', active(commit));
  const refused = await world.run('data', 'restore', 'main', '--without-backup', '--yes');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /has not lost its data/);
  await world.run('down');
  await rm(join(directoryOf(world, branch), 'data'), {recursive: true});

  const second = await up(world);
  await second.until('main', (now) => reasonOf(now) === 'data_lost');
  t.is((await world.run('data', 'restore', 'main')).code, 2);
  const none = await world.run('data', 'restore', 'main', '--yes');
  t.is(none.code, 1);
  t.regex(none.stderr, /no backup of main/);
  t.is((await world.run('data', 'restore', 'main', '--backup', 'x', '--yes')).code, 4);
  const anew = await world.run('data', 'restore', 'main', '--without-backup', '--yes');
  t.is(anew.code, 0, anew.stderr);
  const back = await second.until('main', active(commit));
  t.is(back.container?.id, branch.container?.id);
  t.is((await world.run('run', 'main', 'add')).code, 0);
});

test('a preview begins empty, with a copy of what live has, or with what a file of the branch makes', async (t) => {
  const world = await createWorld(
    t,
    `environments:
  - {branches: 'copied/*', data: copy}
  - {branches: 'seeded/*', data: 'seed:scripts/seed.sh', variables: {ROWS: 3}}
  - {branches: 'bad/*', data: 'seed:scripts/fails.sh'}
`,
  );
  const files = {
    '.hoody/crontab': crontab,
    'scripts/seed.sh': 'echo "$ROWS rows for $HOODY_BRANCH" > seeded\n',
    'scripts/fails.sh': 'echo no such table; exit 3\n',
  };
  const commit = await world.repository.commit('main', files);
  const controller = await up(world);
  const main = await controller.until('main', active(commit));
  writeRows(join(directoryOf(world, main), 'data', 'events.db'), 5);
  t.is((await postEntry(main, 'on-call')).status, 201);

  for (const name of ['plain', 'copied/a', 'seeded/a', 'bad/a']) await world.repository.commit(name, files);
  const dataOf = async (name: string) => {
    const branch = await controller.until(name, (now) => isTrue(now, 'Ready'));
    const directory = join(directoryOf(world, branch), 'data');
    return {branch, directory, names: (await readdir(directory)).sort()};
  };
  const plain = await dataOf('plain');
  t.deepEqual(plain.names, []);
  t.deepEqual(await entryNames(plain.branch), []);
  const copied = await dataOf('copied/a');
  t.is(countRows(join(copied.directory, 'events.db')), 5);
  t.deepEqual(await entryNames(copied.branch), [{name: 'on-call', enabled: false}]);
  const seeded = await dataOf('seeded/a');
  t.is(await readFile(join(seeded.directory, 'seeded'), 'utf8'), '3 rows for seeded/a\n');
  const failed = await controller.until('bad/a', (now) => reasonOf(now) === 'seed_failed');
  t.is(failed.container?.state, 'held');
  t.regex((await world.run('status', 'bad/a')).stdout, /exit code 3.*no such table/);

  // Once: what a preview has made since is its own.
  await writeFile(join(seeded.directory, 'seeded'), 'changed');
  const next = await world.repository.commit('seeded/a', {...files, 'README.md': 'more\n'});
  await controller.until('seeded/a', active(next));
  t.is(await readFile(join(seeded.directory, 'seeded'), 'utf8'), 'changed');
});

test('a backup that cannot be made is told in the status, and the former ones stay', async (t) => {
  const world = await createWorld(t);
  const directory = join(world.stateDirectory, '..', 'elsewhere');
  await writeFile(world.config, `backups: {directory: ${JSON.stringify(directory)}}\n`);
  const commit = await world.repository.commit('main', {'.hoody/crontab': crontab});
  const controller = await up(world);
  const {key} = await controller.until('main', active(commit));
  t.is((await world.run('data', 'backup', 'main')).code, 0);
  const names = await readdir(join(directory, key));
  await rm(join(directory, key, names[0] ?? ''));
  await rm(join(directory, key), {recursive: true});
  await writeFile(join(directory, key), 'a file in the way');
  t.is((await world.run('data', 'backup', 'main')).code, 1);
  t.regex((await world.run('status')).stdout, /main notice\n {2}The data of main could not be backed up/);
  await rm(join(directory, key));
  await mkdir(join(directory, key));
  t.is((await world.run('data', 'backup', 'main')).code, 0);
  t.notRegex((await world.run('status')).stdout, /could not be backed up/);
  t.is((await world.run('data', 'list', 'nobody')).code, 4);
});
