import {type ChildProcessByStdio, spawn} from 'node:child_process';
import type {Readable, Writable} from 'node:stream';
import {AppError} from '../../schemas/errors.ts';

/** Runs git plumbing as child processes with argument arrays. Every child gets exactly `environment`. */
export interface Git {
  /**
   * One command, run to its end. A non-zero exit code is a result, not an error. Throws AppError
   * REPOSITORY_UNREADABLE when git cannot be started, is ended by a signal, writes more than `maxOutputBytes` or has not
   * ended after two minutes; throws the signal's reason when it aborts (the child is ended first).
   */
  run(args: readonly string[], options: {signal: AbortSignal; maxOutputBytes?: number}): Promise<GitResult>;
  /** A command that stays: text goes in by `write`, bytes come out through `onOutput`. */
  start(args: readonly string[], events: GitChildEvents): GitChild;
  /** Number of child processes started so far. */
  started(): number;
}

export interface GitResult {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

export interface GitChildEvents {
  onOutput(chunk: Uint8Array): void;
  /** Called once; `reason` says how the child ended, with the end of what it wrote to stderr. */
  onEnd(reason: string): void;
}

export interface GitChild {
  readonly pid: number | undefined;
  write(text: string): void;
  /** Ends the child. `onEnd` is called when it is gone. */
  stop(): void;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const defaultMaxOutputBytes = 256 * 1024 * 1024;
const keptStderrBytes = 16 * 1024;
/** Plumbing on a repository of this machine is over in seconds. Whoever waits for it looks at nothing else meanwhile. */
const longestRunMs = 2 * 60_000;
/** By then a child that was killed is gone; where nobody says so, it is not waited for. */
const killedWithinMs = 5000;

export function createGit({
  environment,
  timeoutMs = longestRunMs,
}: {
  environment: Readonly<Record<string, string>>;
  /** For one command that is run to its end. */
  timeoutMs?: number;
}): Git {
  let started = 0;

  function launch(args: readonly string[]): Child {
    started += 1;
    // The root exists always; which repository is meant stands in GIT_DIR or behind -C.
    return spawn('git', args, {cwd: '/', env: environment, stdio: ['pipe', 'pipe', 'pipe']});
  }

  return {
    started: () => started,
    run: (args, options) => runToEnd(() => launch(args), {...options, timeoutMs}),
    start(args, events) {
      const child = launch(args);
      const stderr = keepEnd(child.stderr);
      const end = once(events.onEnd);
      child.stdout.on('data', (chunk: Uint8Array) => events.onOutput(chunk));
      // A write to a child that has ended fails here; `close` or `error` below tells the caller.
      child.stdin.on('error', () => {});
      child.on('error', (error) => end(startFailure(error).message));
      child.on('close', (code, signal) =>
        end(`${ending(code, signal)}${stderr() === '' ? '' : `: ${stderr()}`}`),
      );
      return {
        pid: child.pid,
        write: (text) => void child.stdin.write(text),
        stop: () => void child.kill('SIGKILL'),
      };
    },
  };
}

function runToEnd(
  launch: () => Child,
  {
    signal,
    timeoutMs,
    maxOutputBytes = defaultMaxOutputBytes,
  }: {signal: AbortSignal; timeoutMs: number; maxOutputBytes?: number},
): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const child = launch();
    const chunks: Uint8Array[] = [];
    let outputBytes = 0;
    let failure: unknown = null;
    const fail = (reason: unknown) => {
      failure ??= reason;
      child.kill('SIGKILL');
      // What the child itself started would keep the pipes open, and us waiting.
      child.stdout.destroy();
      child.stderr.destroy();
      setTimeout(() => reject(failure), killedWithinMs).unref();
    };
    const onAbort = () => fail(signal.reason);
    signal.addEventListener('abort', onAbort, {once: true});
    const late = setTimeout(() => fail(tookTooLong(timeoutMs)), timeoutMs);
    late.unref();
    const settled = () => {
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
    };

    const stderr = keepEnd(child.stderr);
    child.stdin.on('error', () => {});
    child.stdin.end();
    child.stdout.on('data', (chunk: Uint8Array) => {
      outputBytes += chunk.byteLength;
      if (outputBytes > maxOutputBytes) fail(tooMuchOutput(maxOutputBytes));
      else chunks.push(chunk);
    });
    child.on('error', (error) => {
      settled();
      reject(startFailure(error));
    });
    child.on('close', (code, endSignal) => {
      settled();
      if (failure !== null) reject(failure);
      else if (code === null)
        reject(new AppError('REPOSITORY_UNREADABLE', `git ${ending(code, endSignal)}.`));
      else resolve({exitCode: code, stdout: Buffer.concat(chunks), stderr: stderr()});
    });
  });
}

function startFailure(error: Error): AppError {
  return new AppError(
    'REPOSITORY_UNREADABLE',
    `git cannot be started: ${error.message}. Install git and make sure that it is in PATH.`,
    {cause: error},
  );
}

function tooMuchOutput(maxOutputBytes: number): AppError {
  return new AppError(
    'REPOSITORY_UNREADABLE',
    `git wrote more than ${maxOutputBytes} bytes; the output was dropped.`,
  );
}

function tookTooLong(timeoutMs: number): AppError {
  return new AppError(
    'REPOSITORY_UNREADABLE',
    `git had not ended after ${timeoutMs / 1000} s and was given up; is the disk of the repository slow or away?`,
  );
}

function ending(code: number | null, signal: NodeJS.Signals | null): string {
  return code === null ? `was ended by ${signal ?? 'a signal'}` : `exited with code ${code}`;
}

function keepEnd(stream: Readable): () => string {
  let kept = Buffer.alloc(0);
  stream.on('data', (chunk: Uint8Array) => {
    kept = Buffer.concat([kept, chunk]).subarray(-keptStderrBytes);
  });
  return () => kept.toString('utf8').trim();
}

function once(call: (reason: string) => void): (reason: string) => void {
  let called = false;
  return (reason) => {
    if (called) return;
    called = true;
    call(reason);
  };
}
