import {createHash, randomBytes} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {commandLine} from '../helpers/command-line.ts';
import {createCommandWorld} from '../helpers/command-world.ts';
import {createPipeWorld, RawClient, untilStatus} from '../helpers/pipe-world.ts';

async function setup(t: ExecutionContext) {
  const {common} = await createPipeWorld(t);
  const world = await createCommandWorld(t);
  const env = {HOODY_PIPE_URL: common};
  return {
    url: common,
    directory: world.directory,
    start: (...words: string[]) => world.start([...commandLine, 'pipe', ...words], {env}),
    run: (...words: string[]) => world.run(['pipe', ...words], {env}),
    /** A line of a shell that begins with the command, or with what is piped into it. */
    shell: (words: string, before = '') =>
      world.start(['sh', '-c', `${before}${commandLine.join(' ')} pipe ${words}`], {env}),
  };
}

test('send and receive carry a file from one command to another, and progress watches', async (t) => {
  const {url, directory, start, run} = await setup(t);
  const content = 'line\n'.repeat(100_000);
  await writeFile(join(directory, 'in.txt'), content);
  const progress = start('progress', 'logs/today');
  await progress.untilOutput(/^idle/m);
  const receiver = start('receive', 'logs/today', '-o', 'out.txt');
  await untilStatus(url, '/logs/today', ({activeReceivers}) => activeReceivers === 1);
  const sent = await run('send', 'logs/today', 'in.txt', '--sha256');
  t.is(sent.code, 0, sent.stderr);
  t.is(sent.stdout, '');
  t.regex(sent.stderr, /SHA-256: [0-9a-f]{64}\nTransfer complete\.\n$/);
  t.is(await receiver.exited, 0);
  t.is(await readFile(join(directory, 'out.txt'), 'utf8'), content);
  t.is(await progress.exited, 0);
  t.regex(progress.stdout(), /complete: 500000 bytes in /);
});

test('a transfer that breaks off ends both commands with exit code 1', async (t) => {
  const {url, start, run} = await setup(t);
  const receiver = start('receive', 'cut');
  await untilStatus(url, '/cut', ({activeReceivers}) => activeReceivers === 1);
  const sender = await RawClient.open(url, 'PUT', '/cut', {headers: {'Transfer-Encoding': 'chunked'}});
  sender.writeChunk('begin');
  await receiver.untilOutput(/begin/);
  sender.leave();
  t.is(await receiver.exited, 1);
  t.regex(receiver.stderr(), /broke off/);
  const alone = await run('send', 'nobody', '--wait', '1');
  t.is(alone.code, 1);
  t.regex(alone.stderr, /error: Timed out waiting for receivers\.\n/);
});

test('a sender whose last receiver leaves says so, with exit code 1', async (t) => {
  const {url, directory, start} = await setup(t);
  await writeFile(join(directory, 'in.bin'), Buffer.alloc(30_000_000));
  const receiver = await RawClient.open(url, 'GET', '/left');
  await untilStatus(url, '/left', ({activeReceivers}) => activeReceivers === 1);
  const sender = start('send', 'left', 'in.bin');
  await receiver.untilBytes(100_000);
  receiver.leave();
  t.is(await sender.exited, 1);
  t.regex(sender.stderr(), /error: Transfer failed: every receiver has left\.\n$/);
});

test('stdin goes out and everything comes to stdout, however late its reader is', async (t) => {
  const {url, directory, shell} = await setup(t);
  const content = randomBytes(3_000_000);
  await writeFile(join(directory, 'in.bin'), content);
  const hash = createHash('sha256').update(content).digest('hex');
  for (const source of ['send late < in.bin', 'send late - < in.bin']) {
    const receiver = shell('receive late | (sleep 0.3; sha256sum)');
    await untilStatus(url, '/late', ({activeReceivers}) => activeReceivers === 1);
    const sender = shell(`${source}; echo "exit code $?"`);
    t.is(await receiver.exited, 0);
    t.is(receiver.stdout(), `${hash}  -\n`);
    await sender.exited;
    t.is(sender.stdout(), 'exit code 0\n');
  }
  const piped = shell('receive late | sha256sum');
  await untilStatus(url, '/late', ({activeReceivers}) => activeReceivers === 1);
  const sender = shell('send late', 'cat in.bin | ');
  t.is(await sender.exited, 0);
  await piped.exited;
  t.is(piped.stdout(), `${hash}  -\n`);
});

test('what cannot be sent is told before anybody waits for it', async (t) => {
  const {run} = await setup(t);
  const missing = await run('send', 'x', 'missing.log');
  t.is(missing.code, 2);
  t.regex(missing.stderr, /^branchtab: missing\.log cannot be read: .*no such file/);
  const directory = await run('send', 'x', '.');
  t.is(directory.code, 2);
  t.regex(directory.stderr, /is a directory\. To send one: tar c/);
});

test('exit codes of receive and progress tell how it ended', async (t) => {
  const {url, start, run} = await setup(t);
  const late = await run('receive', 'nobody', '--wait', '1');
  t.is(late.code, 1);
  t.is(late.stderr, 'branchtab: Timed out waiting for sender.\n');
  const progress = start('progress', 'cut');
  await progress.untilOutput(/^idle/m);
  const receiver = await RawClient.open(url, 'GET', '/cut');
  const sender = await RawClient.open(url, 'PUT', '/cut', {headers: {'Transfer-Encoding': 'chunked'}});
  sender.writeChunk('begin');
  await receiver.until('begin');
  sender.leave();
  t.is(await progress.exited, 1);
  t.regex(progress.stdout(), /failed \(sender_left\)/);
  const nowhere = await run('receive', 'x', '--pipe-url', 'http://127.0.0.1:1');
  t.is(nowhere.code, 3);
});

test('--json says it for programs', async (t) => {
  const {run} = await setup(t);
  const {code, stdout} = await run('send', 'nobody', '--wait', '1', '--json');
  t.is(code, 1);
  const entries = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as {event: string});
  t.deepEqual(
    entries.map(({event}) => event),
    ['waiting', 'timed_out'],
  );
});

test('url prints the address with its parameters, and refusals say why', async (t) => {
  const {url, run} = await setup(t);
  t.is((await run('url', 'a b/c', '-n', '8')).stdout, `${url}/a%20b/c?n=8\n`);
  const refused = await run('receive', 'x', '-n', '300');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /^branchtab: n is the number of receivers/);
  const world = await createCommandWorld(t);
  const nowhere = await world.run(['pipe', 'url', 'x']);
  t.is(nowhere.code, 2);
  t.regex(nowhere.stderr, /--branch <name>, --pipe-url <url> or HOODY_PIPE_URL/);
});
