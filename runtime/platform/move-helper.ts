import {availableParallelism} from 'node:os';
import {Worker, workerData} from 'node:worker_threads';
import {openKernelPipes} from './kernel-pipe.ts';
import {SharedMove} from './shared-move.ts';

/** A thread of its own for moves to many receivers, which comes when there is much to move and goes after a while. */
export interface MoveHelper {
  /** Null until it is there. */
  forMove(sockets: number, bytes: number): SharedMove | null;
}

/** A thread is six megabytes: it comes once so much went to many, in moves to no fewer. */
const worthwhileBytes = 64 * 1024 * 1024;
const fewestSockets = 4;
const longestIdleMs = 30_000;

export interface MoveHelperOptions {
  /** The path of the module that starts our program. */
  readonly program: string;
  /** What one move brings at most; a thread that cannot hold it does not help. */
  readonly pipeBytes: number;
  readonly fromBytes?: number;
  readonly idleMs?: number;
}

/** Nobody helps where there is but one core. */
export function createMoveHelper({
  program,
  pipeBytes,
  fromBytes = worthwhileBytes,
  idleMs = longestIdleMs,
}: MoveHelperOptions): MoveHelper {
  const hasCores = availableParallelism() > 1;
  let move: SharedMove | null = null;
  let bytesToMany = 0;
  let leaving: ReturnType<typeof setTimeout> | null = null;

  function start(): SharedMove {
    const started = SharedMove.create();
    const options = {
      argv: ['move-helper'],
      workerData: {buffer: started.buffer, pipeBytes} satisfies HelperData,
      env: {},
    };
    // One that fails never says that it is there.
    new Worker(program, options).on('error', () => {}).unref();
    return started;
  }

  function leave(): void {
    move?.end();
    move = null;
    bytesToMany = 0;
  }

  return {
    forMove(sockets, bytes) {
      if (sockets < fewestSockets) return null;
      bytesToMany += bytes * sockets;
      if (!hasCores || bytesToMany < fromBytes) return null;
      move ??= start();
      if (leaving === null) leaving = setTimeout(leave, idleMs).unref();
      else leaving.refresh();
      return move.isHelped(pipeBytes) ? move : null;
    },
  };
}

interface HelperData {
  readonly buffer: SharedArrayBuffer;
  readonly pipeBytes: number;
}

/** The thread's own side. */
export function moveHelperMain(): void {
  const {buffer, pipeBytes}: HelperData = workerData;
  const kernel = openKernelPipes();
  const pipe = kernel.open(pipeBytes);
  if (pipe !== null) {
    const move = SharedMove.of(buffer);
    move.help(pipe.bytes, (from, socket, count) => kernel.passCopy(from, pipe, socket, count));
    kernel.close(pipe);
  }
  kernel.end();
}
