import {randomBytes} from 'node:crypto';
import {writeSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {type KernelPipe, openKernelPipes} from '../../../runtime/platform/kernel-pipe.ts';
import {createMoveHelper, type MoveHelper} from '../../../runtime/platform/move-helper.ts';
import type {SharedMove} from '../../../runtime/platform/shared-move.ts';

const program = fileURLToPath(new URL('../../../runtime/start.ts', import.meta.url));
const childPath = fileURLToPath(new URL('../../helpers/move-helper-child.ts', import.meta.url));
const mebibyte = 1024 * 1024;
const helped = process.platform !== 'linux' || availableParallelism() < 2 ? test.skip : test.serial;

async function until<T>(look: () => T | null | Promise<T | null>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    await Bun.sleep(1);
  }
}

const present = (helper: MoveHelper) => until<SharedMove>(() => helper.forMove(8, mebibyte));

/** Pipes in place of sockets: the kernel passes bytes to both in the same way. */
function pipes(t: ExecutionContext, count: number, bytes: number) {
  const kernel = openKernelPipes();
  const open = (): KernelPipe => {
    const pipe = kernel.open(bytes);
    if (pipe === null) throw new Error('no pipe');
    t.teardown(() => kernel.close(pipe));
    return pipe;
  };
  t.teardown(() => kernel.end());
  return {kernel, from: open(), by: open(), to: Array.from({length: count}, open)};
}

helped('a second thread helps once much went to many, and each receiver has the same bytes', async (t) => {
  const helper = createMoveHelper({program, pipeBytes: 65_536, idleMs: 60_000});
  for (let moved = 0; moved + 8 < 64; moved += 8) t.is(helper.forMove(8, mebibyte), null);
  const shared = await present(helper);
  t.teardown(() => shared.end());
  t.is(helper.forMove(3, mebibyte), null);
  const {kernel, from, by, to} = pipes(t, 16, 65_536);
  const nap = new Int32Array(new SharedArrayBuffer(4));
  let ownShare = to.length;
  // The second thread may not have a core at once.
  while (ownShare === to.length) {
    const bytes = randomBytes(50_000);
    writeSync(from.writeEnd, bytes);
    ownShare = 0;
    const taken = shared.run(
      from.readEnd,
      to.map(({writeEnd}) => writeEnd),
      bytes.length,
      (readEnd, socket, count) => {
        ownShare += 1;
        Atomics.wait(nap, 0, 0, 1);
        return kernel.passCopy(readEnd, by, socket, count);
      },
    );
    t.deepEqual(
      taken,
      to.map(() => bytes.length),
    );
    for (const pipe of [from, ...to]) t.true(Buffer.from(kernel.read(pipe, bytes.length)).equals(bytes));
  }
  t.true(ownShare > 0);
});

helped('of receivers that are full, each thread tells how much they took', async (t) => {
  const helper = createMoveHelper({program, pipeBytes: 65_536, fromBytes: 0, idleMs: 60_000});
  const shared = await present(helper);
  t.teardown(() => shared.end());
  const {kernel, from, by, to} = pipes(t, 8, 65_536);
  for (const [index, pipe] of to.entries()) writeSync(pipe.writeEnd, Buffer.alloc(index * 8192));
  const bytes = randomBytes(65_536);
  writeSync(from.writeEnd, bytes);
  const taken = shared.run(
    from.readEnd,
    to.map(({writeEnd}) => writeEnd),
    bytes.length,
    (readEnd, socket, count) => kernel.passCopy(readEnd, by, socket, count),
  );
  t.deepEqual(
    taken,
    to.map((_, index) => 65_536 - index * 8192),
  );
  for (const [index, pipe] of to.entries()) {
    kernel.read(pipe, index * 8192);
    t.true(Buffer.from(kernel.read(pipe, taken[index] ?? 0)).equals(bytes.subarray(0, taken[index])));
  }
});

helped('where one thread loses bytes the move fails', async (t) => {
  const helper = createMoveHelper({program, pipeBytes: 65_536, fromBytes: 0, idleMs: 60_000});
  const shared = await present(helper);
  t.teardown(() => shared.end());
  const lose = () => {
    throw new Error('lost');
  };
  t.throws(() => shared.run(-1, [-1, -1, -1, -1], 1, lose), {message: /did not pass on/});
});

for (const {title, program: started} of [
  {
    title: 'it leaves when nothing goes to many for a while, with all that it opened, and comes again',
    program,
  },
  {title: 'a program that does not start helps nobody and leaves nothing open', program: '/nowhere.ts'},
])
  helped(title, async (t) => {
    const child = Bun.spawn({
      cmd: [process.execPath, childPath, started, '3'],
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    t.teardown(() => child.kill());
    t.is(await new Response(child.stdout).text(), 'here\nback\nback\nback\n');
    t.is(await child.exited, 0);
  });
