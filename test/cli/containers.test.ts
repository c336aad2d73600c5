import {join} from 'node:path';
import test from 'ava';
import packageJson from '../../package.json' with {type: 'json'};
import {
  type ContainerItem,
  containerItemSchema,
  snapshotListSchema,
  snapshotSchema,
} from '../../schemas/container-api.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('S27: containers and snapshots are made, listed and deleted, with their results alone on stdout', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const read = async (...words: string[]) => {
    const {code, stdout, stderr} = await world.run(...words);
    t.is(code, 0, `${words.join(' ')}: ${stderr}`);
    t.false(stderr.includes('...'), stderr);
    return stdout;
  };

  t.is(await read('snapshots', 'list'), '');
  t.is(await read('snapshots', 'create', 'main', 'main-snapshot'), 'main-snapshot\n');
  t.regex(await read('snapshots', 'list'), /^NAME +CONTAINER +CREATED\nmain-snapshot +ctr_[0-9a-f]{24} +20/);
  const id = (await read('containers', 'create', '--from', 'main-snapshot', '--name', 'try-out')).trimEnd();
  t.regex(id, /^ctr_[0-9a-f]{24}$/);
  t.regex(await read('containers', 'list'), new RegExp(`^${id} +standalone \\(try-out\\) +running `, 'm'));
  t.regex(await read('containers', 'list'), /^ctr_[0-9a-f]{24} +main +running /m);

  const json = async (...words: string[]) => JSON.parse(await read(...words, '--json'));
  const made = containerItemSchema.parse(await json('containers', 'create'));
  const listed: ContainerItem[] = (await json('containers', 'list')).items.map((item: unknown) =>
    containerItemSchema.parse(item),
  );
  t.deepEqual(
    listed.filter(({standalone}) => standalone).map((item) => item.id),
    [id, made.id],
  );
  const snapshot = snapshotSchema.parse(await json('snapshots', 'create', made.id, 'empty'));
  t.is(snapshot.container_id, made.id);
  t.is(snapshotListSchema.parse(await json('snapshots', 'list')).items.length, 2);

  t.regex(
    await read('containers', 'get', 'try-out'),
    new RegExp(`^id +${id}\\nname +try-out\\nbranch +standalone\\n`),
  );
  t.is((await json('containers', 'get', 'main')).branch, 'main');
  t.is(
    await read('containers', 'exec', 'try-out', 'echo "100% of $HOME"; echo kept >kept'),
    '100% of /data\n',
  );
  t.is(await read('containers', 'exec', id, 'printf', '%s|', 'a b', "it's"), "a b|it's|");
  const failing = await world.run('containers', 'exec', id, 'exit 7');
  t.is(failing.code, 1);
  t.regex(failing.stderr, /failed.*exit code 7/);
  t.regex(await read('containers', 'logs', 'try-out'), /100% of \/data\n[\s\S]*a b\|it's\|[\s\S]*exit 7/);
  t.is(await read('containers', 'stop', 'try-out'), `${id} stopped\n`);
  for (const words of [
    ['exec', id, 'true'],
    ['logs', id],
  ])
    t.regex(
      (await world.run('containers', ...words)).stderr,
      /is stopped\. `branchtab containers start try-out`/,
    );
  await controller.stop();
  const next = await world.up('--repo', repository.path);
  await next.until('main', (branch) => isTrue(branch, 'Ready'));
  t.is((await json('containers', 'get', id)).state, 'stopped');
  t.is(await read('containers', 'start', 'try-out'), `${id} running\n`);
  t.is(await read('containers', 'exec', id, 'cat kept'), 'kept\n');
  t.is(await read('containers', 'restart', 'try-out'), `${id} running\n`);
  const {cron} = (await json('containers', 'get', id)).urls;
  t.like(await (await fetch(`${cron}/users/root/entries`)).json(), {total: 0});

  t.is(await read('containers', 'delete', 'try-out'), 'Deleted try-out.\n');
  t.deepEqual(await json('containers', 'delete', made.id.slice('ctr_'.length)), {deleted: true});
  t.is(await read('snapshots', 'delete', 'empty'), 'Deleted empty.\n');
  t.deepEqual(await json('snapshots', 'delete', 'main-snapshot'), {deleted: true});
  t.is(await read('snapshots', 'list'), '');

  for (const {words, exit, code} of [
    {words: ['containers', 'create', '--from', 'nothing'], exit: 4, code: 'SNAPSHOT_NOT_FOUND'},
    {words: ['containers', 'create', '--name', 'Not/OK'], exit: 2, code: 'INVALID_NAME'},
    {words: ['containers', 'delete', 'nothing'], exit: 4, code: 'CONTAINER_NOT_FOUND'},
    {words: ['containers', 'delete', 'main'], exit: 1, code: 'CONTAINER_OF_BRANCH'},
    {words: ['containers', 'stop', 'main'], exit: 1, code: 'CONTAINER_OF_BRANCH'},
    {words: ['containers', 'get', 'nothing'], exit: 4, code: 'CONTAINER_NOT_FOUND'},
    {words: ['containers', 'start', 'nothing'], exit: 4, code: 'CONTAINER_NOT_FOUND'},
    {words: ['snapshots', 'create', 'nothing', 'x'], exit: 4, code: 'CONTAINER_NOT_FOUND'},
    {words: ['snapshots', 'create', 'main', '../x'], exit: 2, code: 'INVALID_NAME'},
    {words: ['snapshots', 'delete', 'nothing'], exit: 4, code: 'SNAPSHOT_NOT_FOUND'},
  ]) {
    const result = await world.run(...words, '--json');
    t.is(result.code, exit, words.join(' '));
    t.is(result.stdout, '');
    t.is(JSON.parse(result.stderr).code, code);
  }
});

test("S27: an alias makes the documents' command, and is written nowhere unasked", async (t) => {
  const {directory, run: execute} = await createCommandWorld(t);
  const run = (...words: string[]) => execute(words);
  const printed = await run('alias', 'hoody');
  t.is(printed.code, 0);
  const shell = Bun.spawn(['sh', '-c', `${printed.stdout} hoody --version`], {stdout: 'pipe'});
  t.is(await new Response(shell.stdout).text(), `${packageJson.version}\n`);
  const written = await run('alias', 'hoody', '--directory', directory);
  t.is(written.stdout, `${join(directory, 'hoody')}\n`);
  const script = Bun.spawn([join(directory, 'hoody'), '--version'], {stdout: 'pipe'});
  t.is(await new Response(script.stdout).text(), `${packageJson.version}\n`);
  t.is((await run('alias', 'hoody', '--directory', directory)).code, 1);
  t.is((await run('alias', 'rm -rf')).code, 2);
  const nowhere = await run('alias', 'hoody', '--directory', join(directory, 'missing'));
  t.is(nowhere.code, 2);
  t.regex(
    nowhere.stderr,
    /^branchtab: .*missing\/hoody cannot be written: .*Choose another --directory\.\n$/,
  );
});
