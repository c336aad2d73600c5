import {type ChildProcess, spawn} from 'node:child_process';
import type {Readable} from 'node:stream';

/** How a job ended. */
export type JobEnd =
  | {readonly kind: 'exited'; readonly code: number}
  | {readonly kind: 'signalled'; readonly signal: string}
  | {readonly kind: 'failed_to_start'; readonly message: string};

/** Decoded output: all of it, or its head and tail with a line between that says how much is missing. */
export interface JobOutput {
  readonly text: string;
  readonly truncated: boolean;
}

export interface JobResult {
  readonly end: JobEnd;
  readonly stdout: JobOutput;
  readonly stderr: JobOutput;
}

export interface JobProcess {
  /** Resolves when the job's own process has ended; processes that it left behind may go on. Never rejects. */
  readonly ended: Promise<JobResult>;
  /** Reaches every process of the job's group; does nothing when there is none any more. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

export interface JobRequest {
  /** Program and arguments; the program is an absolute path. */
  readonly command: readonly [string, ...string[]];
  readonly directory: string;
  /** Exactly these variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** null gives an empty standard input. */
  readonly stdin: string | null;
  /** null runs the job as our own user. */
  readonly identity: {readonly uid: number; readonly gid: number} | null;
  /** Bytes kept of the beginning and again of the end of each stream. */
  readonly keptBytes: number;
}

/** A process left behind may hold the output open; what the job itself wrote is here within this time. */
const drainMs = 200;

/** Starts a job as the leader of a session and process group of its own. Never throws. */
export function startJob({
  command,
  directory,
  environment,
  stdin,
  identity,
  keptBytes,
}: JobRequest): JobProcess {
  const [program, ...args] = command;
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: directory,
      env: {...environment},
      detached: true,
      stdio: 'pipe',
      ...(identity ?? {}),
    });
  } catch (error) {
    return notStarted(error);
  }
  // A job that does not read its input closes it; that is its own affair.
  child.stdin?.on('error', () => {});
  child.stdin?.end(stdin ?? '');
  const stdout = capture(child.stdout, keptBytes);
  const stderr = capture(child.stderr, keptBytes);

  const ended = new Promise<JobResult>((resolve) => {
    const finish = (end: JobEnd) => resolve({end, stdout: stdout(), stderr: stderr()});
    child.once('error', (error) => finish({kind: 'failed_to_start', message: error.message}));
    child.once('exit', (code, signal) => {
      const end: JobEnd = signal === null ? {kind: 'exited', code: code ?? 0} : {kind: 'signalled', signal};
      const timer = setTimeout(finish, drainMs, end);
      child.once('close', () => {
        clearTimeout(timer);
        finish(end);
      });
    });
  });
  return {
    ended,
    signal(name) {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // No process of the group is left, which is what the signal is for.
      }
    },
  };
}

function notStarted(error: unknown): JobProcess {
  const message = error instanceof Error ? error.message : String(error);
  const nothing = {text: '', truncated: false};
  const result: JobResult = {end: {kind: 'failed_to_start', message}, stdout: nothing, stderr: nothing};
  return {ended: Promise.resolve(result), signal() {}};
}

/** Reads a stream to its end whatever is kept, so that a job never waits for us. */
function capture(stream: Readable | null, keptBytes: number): () => JobOutput {
  const head: Buffer[] = [];
  const tail: Buffer[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let totalBytes = 0;
  // A broken pipe ends the output early; how the job ended is told by its exit.
  stream?.on('error', () => {});
  stream?.on('data', (chunk: Buffer) => {
    totalBytes += chunk.length;
    const first = chunk.subarray(0, keptBytes - headBytes);
    if (first.length > 0) head.push(first);
    headBytes += first.length;
    const rest = chunk.subarray(first.length).subarray(-keptBytes);
    if (rest.length === 0) return;
    tail.push(rest);
    tailBytes += rest.length;
    for (
      let oldest = tail[0];
      oldest !== undefined && tailBytes - oldest.length >= keptBytes;
      oldest = tail[0]
    ) {
      tail.shift();
      tailBytes -= oldest.length;
    }
  });
  return () => {
    const start = Buffer.concat(head);
    const end = Buffer.concat(tail).subarray(-keptBytes);
    const missingBytes = totalBytes - start.length - end.length;
    if (missingBytes === 0) return {text: Buffer.concat([start, end]).toString(), truncated: false};
    return {text: `${start}\n[... ${missingBytes} bytes left out ...]\n${end}`, truncated: true};
  };
}
