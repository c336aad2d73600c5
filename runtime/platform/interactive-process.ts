import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import type {Readable} from 'node:stream';
import {becoming, type Command, type Identity} from './become.ts';

/** How a program ended. */
export type InteractiveEnd =
  | {readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null}
  | {readonly kind: 'failed_to_start'; readonly message: string};

/** A program that a person sits before. */
export interface InteractiveProcess {
  readonly ended: Promise<InteractiveEnd>;
  /** Resolves when more may come. */
  write(bytes: Uint8Array): Promise<void>;
  /** Of the input. A terminal has none; whoever wants to end types it. */
  endInput(): void;
  resize(size: {columns: number; rows: number}): void;
  /** False: output waits in the program until it is true again. A terminal cannot wait. */
  setFlowing(flowing: boolean): void;
  /** Hangs up, and kills what is left of its group after `graceMs`. */
  end(graceMs: number): void;
}

interface InteractiveRequest {
  readonly command: Command;
  /** Null for our own user. */
  readonly identity: Identity | null;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly terminal: {readonly columns: number; readonly rows: number} | null;
  readonly onOutput: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;
}

export const shells = ['/bin/bash', '/bin/sh'] as const;

/** The best shell there is. */
export function findShell(): string {
  return shells.find((path) => existsSync(path)) ?? '/bin/sh';
}

/** Starts a program in a session of its own, at a pseudo terminal where one is asked for. */
export function startInteractive(request: InteractiveRequest): InteractiveProcess {
  const program = Bun.which(request.command[0], {
    PATH: request.environment.PATH ?? '',
    cwd: request.directory,
  });
  const become = {...request, ...becoming(request.identity, request.command, program)};
  return request.terminal === null ? startPiped(become) : startAtTerminal(become, request.terminal);
}

function startPiped({
  command,
  identity,
  directory,
  environment,
  onOutput,
}: InteractiveRequest): InteractiveProcess {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: directory,
    env: {...environment},
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...identity,
  });
  const outputs: [Readable, 'stdout' | 'stderr'][] = [
    [child.stdout, 'stdout'],
    [child.stderr, 'stderr'],
  ];
  for (const [stream, name] of outputs) stream.on('data', (bytes: Buffer) => onOutput(name, bytes));
  // A program that reads no more input has ended or soon will; its end says more.
  child.stdin.on('error', () => {});
  return {
    ended: new Promise((resolve) => {
      child.on('error', (error) => resolve({kind: 'failed_to_start', message: error.message}));
      child.on('close', (code, signal) => resolve({kind: 'exited', code, signal}));
    }),
    write: (bytes) =>
      new Promise((resolve) => {
        if (child.stdin.destroyed || child.stdin.write(bytes, () => resolve())) resolve();
      }),
    endInput: () => void child.stdin.end(),
    resize() {},
    setFlowing(flowing) {
      for (const [stream] of outputs) flowing ? stream.resume() : stream.pause();
    },
    end(graceMs) {
      child.stdin.destroy();
      endGroup(child.pid, graceMs);
    },
  };
}

function startAtTerminal(
  {command, identity, directory, environment, onOutput}: InteractiveRequest,
  {columns, rows}: {columns: number; rows: number},
): InteractiveProcess {
  let child: ReturnType<typeof spawnAtTerminal>;
  try {
    child = spawnAtTerminal();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      ended: Promise.resolve({kind: 'failed_to_start', message}),
      write: async () => {},
      endInput() {},
      resize() {},
      setFlowing() {},
      end() {},
    };
  }

  function spawnAtTerminal() {
    // Bun starts nobody else at a terminal.
    if (identity !== null) throw new Error(`${command[0]} is not there, or setpriv of util-linux is not`);
    return Bun.spawn([...command], {
      cwd: directory,
      env: {...environment},
      terminal: {cols: columns, rows, data: (_terminal, bytes) => onOutput('stdout', bytes)},
    });
  }

  return {
    ended: child.exited.then(() => ({
      kind: 'exited',
      code: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
    })),
    async write(bytes) {
      child.terminal?.write(bytes);
    },
    endInput() {},
    resize: (size) => child.terminal?.resize(size.columns, size.rows),
    setFlowing() {},
    end(graceMs) {
      child.terminal?.close();
      endGroup(child.pid, graceMs);
    },
  };
}

function endGroup(pid: number | undefined, graceMs: number): void {
  if (pid === undefined) return;
  const signal = (name: NodeJS.Signals) => {
    try {
      process.kill(-pid, name);
    } catch {
      // No process of the group is left, which is what the signal is for.
    }
  };
  signal('SIGHUP');
  setTimeout(() => signal('SIGKILL'), graceMs).unref();
}
