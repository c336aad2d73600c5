import test from 'ava';
import {
  containerItemSchema,
  containerListSchema,
  snapshotListSchema,
  snapshotSchema,
} from '../../schemas/container-api.ts';
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
  const listed = containerListSchema.parse(await json('containers', 'list')).items;
  t.deepEqual(
    listed.filter(({standalone}) => standalone).map((item) => item.id),
    [id, made.id],
  );
  const snapshot = snapshotSchema.parse(await json('snapshots', 'create', made.id, 'empty'));
  t.is(snapshot.container_id, made.id);
  t.is(snapshotListSchema.parse(await json('snapshots', 'list')).items.length, 2);

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
