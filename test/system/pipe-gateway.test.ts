import {randomBytes} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {RawClient, untilStatus} from '../helpers/pipe-world.ts';

test('S79: through the controller a pipe of a container streams both ways, and who leaves is noticed', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const {container, key} = await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const url = container?.urls.pipe ?? t.fail('no pipe') ?? '';

  const receiver = await RawClient.open(url, 'GET', '/replay?n=2');
  const other = await RawClient.open(url, 'GET', '/replay?n=2');
  await untilStatus(url, '/replay', ({activeReceivers}) => activeReceivers === 2);
  const sender = await RawClient.open(url, 'PUT', '/replay?n=2', {headers: {'Transfer-Encoding': 'chunked'}});
  await sender.until('[INFO] Waiting for 2 receiver(s) to connect...\n');
  sender.writeChunk('first ');
  await Promise.all([receiver.until('first '), other.until('first ')]);
  other.leave();
  await sender.until('[INFO] A receiver disconnected.\n');
  sender.writeChunk('second');
  await receiver.until('first second');
  sender.leave();
  await receiver.untilOver();
  t.false(receiver.isComplete);
  await untilStatus(url, '/replay', ({state}) => state === 'idle');

  // On a host of its own a bare path is a name, and only a name that can be guessed needs the token.
  const {port} = new URL(controller.url);
  const id = container?.id.replace('ctr_', '') ?? '';
  const token = (await readFile(join(world.stateDirectory, 'token'), 'utf8')).trim();
  const statusAt = async (host: string, headers: Record<string, string> = {}) =>
    (await fetch(`http://127.0.0.1:${port}/cron?status`, {headers: {Host: `${host}:${port}`, ...headers}}))
      .status;
  t.is(await statusAt(`${id}-pipe-1.localhost`), 200);
  t.is(await statusAt(`${id}-pipe.localhost`), 200);
  t.is(await statusAt(`${key}-pipe.localhost`), 401);
  t.is(await statusAt(`${key}-pipe.localhost`, {Authorization: `Bearer ${token}`}), 200);
  t.is(await statusAt(`${id}-pipe.evil.example`), 421);

  const bytes = randomBytes(3_000_000);
  await writeFile(join(repository.path, 'in.bin'), bytes);
  const received = fetch(`${url}/file`).then((response) => response.arrayBuffer());
  const {code, stderr} = await world.run(
    'pipe',
    'send',
    'file',
    join(repository.path, 'in.bin'),
    '--branch',
    'main',
  );
  t.is(code, 0, stderr);
  t.true(Buffer.from(await received).equals(bytes));
});
