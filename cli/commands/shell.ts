import type {ControllerClient} from '../../api/controller-client.ts';
import {AppError} from '../../schemas/errors.ts';
import {maxShellInputBytes, type ShellRequest, type ShellSize} from '../../schemas/shell.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';

/** Where a person sits; the process's own streams. */
export interface ShellStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/**
 * `branchtab shell`: a shell, or a program, in the container of a branch, with the environment of its jobs. At a
 * terminal where stdin and stdout are one. Answers the program's exit code, 128 and the number of a signal as shells do.
 */
export async function shell(
  branch: string,
  command: readonly string[],
  flags: ConnectionFlags & {user?: string},
  environment: Environment,
  streams: ShellStreams,
): Promise<number> {
  const client = await connect(flags, environment);
  const {stdin, stdout, stderr} = streams;
  const isTerminal = stdin.isTTY === true && stdout.isTTY === true;
  const left = new AbortController();
  const leave = () => left.abort();
  for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.once(name, leave);
  const request: ShellRequest = {
    ...(flags.user === undefined || flags.user === 'root' ? {} : {user: flags.user}),
    command: command.length === 0 ? null : [...command],
    terminal: isTerminal ? sizeOf(stdout) : null,
    term:
      isTerminal && /^[A-Za-z0-9][\w+.-]*$/.test(environment.TERM ?? '') ? (environment.TERM ?? null) : null,
  };
  let stopInput = () => {};
  try {
    for await (const event of client.shell(branch, request, {signal: left.signal})) {
      switch (event.type) {
        case 'started':
          stopInput = passInput(client, {branch, id: event.id, isTerminal, streams, onLost: leave});
          break;
        case 'output':
          await written(event.stream === 'stdout' ? stdout : stderr, Buffer.from(event.base64, 'base64'));
          break;
        case 'exited':
          return event.code ?? 128 + (signalNumbers[event.signal ?? ''] ?? 0);
        case 'failed':
          stderr.write(`branchtab: ${event.message}\n`);
          return exitCodes.failed;
      }
    }
  } catch (error) {
    if (!left.signal.aborted) throw error;
    return exitCodes.failed;
  } finally {
    stopInput();
    for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.off(name, leave);
  }
  throw new AppError(
    'CONTAINER_UNAVAILABLE',
    'The connection to the container ended before the program did.',
  );
}

function sizeOf({columns, rows}: NodeJS.WriteStream): ShellSize {
  return {columns: columns || 80, rows: rows || 24};
}

/** Sends what is typed, one piece after another, and the size of the terminal. Returns what puts the terminal back. */
function passInput(
  client: ControllerClient,
  {
    branch,
    id,
    isTerminal,
    streams: {stdin, stdout},
    onLost,
  }: {branch: string; id: string; isTerminal: boolean; streams: ShellStreams; onLost: () => void},
): () => void {
  let waiting: Buffer[] = [];
  let ended = false;
  let sending: Promise<void> | null = null;
  const send = async () => {
    while (waiting.length > 0) {
      const all = Buffer.concat(waiting);
      waiting = all.byteLength > maxShellInputBytes ? [all.subarray(maxShellInputBytes)] : [];
      await client.shellInput(branch, id, all.subarray(0, maxShellInputBytes), {end: false});
    }
    if (ended && !isTerminal) await client.shellInput(branch, id, new Uint8Array(), {end: true});
  };
  const flush = () => {
    if (sending !== null) return;
    stdin.pause();
    sending = send()
      .catch((error: unknown) => {
        // A program that has ended takes no more; anything else and nobody would hear what is typed.
        if (!(error instanceof AppError && error.code === 'SHELL_NOT_FOUND')) onLost();
      })
      .finally(() => {
        sending = null;
        if (!ended) stdin.resume();
      });
  };
  const onData = (bytes: Buffer) => {
    waiting.push(bytes);
    flush();
  };
  const onEnd = () => {
    ended = true;
    void (sending ?? Promise.resolve()).then(flush);
  };
  const onResize = () => {
    client.resizeShell(branch, id, sizeOf(stdout)).catch(() => {
      // The program goes on with the size that it has.
    });
  };
  stdin.on('data', onData).on('end', onEnd);
  if (isTerminal) {
    stdin.setRawMode(true);
    stdout.on('resize', onResize);
  }
  stdin.resume();
  return () => {
    stdin.off('data', onData).off('end', onEnd).pause();
    if (!isTerminal) return;
    stdin.setRawMode(false);
    stdout.off('resize', onResize);
  };
}

/** Resolves when more may be written. */
function written(stream: NodeJS.WriteStream, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (stream.write(bytes)) resolve();
    else stream.once('drain', () => resolve());
  });
}
