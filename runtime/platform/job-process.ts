import {type ChildProcess, spawn} from 'node:child_process';
import {existsSync, writeFileSync} from 'node:fs';
import type {Readable} from 'node:stream';
import {becoming, type Command, type Identity} from './become.ts';
import type {SecretMask} from './secret-mask.ts';

/** How a job ended. */
export type JobEnd =
  | {readonly kind: 'exited'; readonly code: number}
  | {readonly kind: 'signalled'; readonly signal: string}
  | {readonly kind: 'failed_to_start'; readonly message: string};

export const outputStreams = ['stdout', 'stderr'] as const;
export type OutputStream = (typeof outputStreams)[number];

/** Decoded output: all of it, or head and tail with a line between that says how much is missing. */
export interface JobOutput {
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface JobProcess {
  /** Resolves when the job's own process has ended; processes that it left behind may go on. Never rejects. */
  readonly ended: Promise<JobEnd>;
  /** Resolves when all output has come in, or a moment after the end, since a process left behind may hold it open. */
  readonly drained: Promise<void>;
  /** Bytes that came in so far, whether they are kept or not. */
  readonly outputBytes: number;
  output(): JobOutput;
  /** Calls back with the output that comes in from now on. Returns the unsubscribe function. */
  onOutput(listener: (stream: OutputStream, text: string) => void): () => void;
  /** Resolves when no process of the job's group is left. */
  groupEnded(signal: AbortSignal): Promise<void>;
  /** Reaches every process of the job's group; does nothing when there is none any more. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

export interface JobRequest {
  /** Program and arguments; the program is an absolute path. */
  readonly command: Command;
  readonly directory: string;
  /** Exactly these variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** null gives an empty standard input. */
  readonly stdin: string | null;
  /** null runs the job as our own user. */
  readonly identity: Identity | null;
  /** Bytes kept of the beginning and again of the end of each stream. */
  readonly keptBytes: number;
  /** Applied to all output before anybody sees it. */
  readonly mask: SecretMask;
}

/** What the job itself wrote is here within this time after its end. */
const drainMs = 200;

/** Between two looks whether a group that was told to end has done so. */
const groupPollMs = 20;

/** Starts a job as the leader of a session and process group of its own. Never throws. */
export function startJob({
  command,
  directory,
  environment,
  stdin,
  identity,
  keptBytes,
  mask,
}: JobRequest): JobProcess {
  const captures = {stdout: createCapture(keptBytes, mask), stderr: createCapture(keptBytes, mask)};
  const drained = Promise.withResolvers<void>();
  let child: ChildProcess | null = null;
  let groupIsGone = false;

  function groupExists(): boolean {
    if (child?.pid === undefined || groupIsGone) return false;
    try {
      process.kill(-child.pid, 0);
      return true;
    } catch {
      // Once it is gone its number may be given to others; never ask again.
      groupIsGone = child.exitCode !== null || child.signalCode !== null;
      return !groupIsGone;
    }
  }

  const ended = new Promise<JobEnd>((resolve) => {
    const failed = (error: unknown) => {
      groupIsGone = true;
      drained.resolve();
      resolve({kind: 'failed_to_start', message: error instanceof Error ? error.message : String(error)});
    };
    try {
      child = spawnAs(identity, command, {directory, environment, hasInput: stdin !== null});
    } catch (error) {
      failed(error);
      return;
    }
    preferAsVictim(child.pid);
    // A job that does not read its input closes it; that is its own affair.
    child.stdin?.on('error', () => {});
    child.stdin?.end(stdin ?? '');
    for (const stream of outputStreams) captures[stream].read(child[stream]);
    child.once('error', failed);
    child.once('close', () => drained.resolve());
    child.once('exit', (code, signal) => {
      groupExists();
      setTimeout(drained.resolve, drainMs);
      resolve(signal === null ? {kind: 'exited', code: code ?? 0} : {kind: 'signalled', signal});
    });
  });

  return {
    ended,
    drained: drained.promise,
    get outputBytes() {
      return captures.stdout.bytes + captures.stderr.bytes;
    },
    output() {
      const stdout = captures.stdout.text();
      const stderr = captures.stderr.text();
      return {stdout: stdout.text, stderr: stderr.text, truncated: stdout.truncated || stderr.truncated};
    },
    onOutput(listener) {
      const unsubscribes = outputStreams.map((stream) =>
        captures[stream].listen((text) => listener(stream, text)),
      );
      return () => {
        for (const unsubscribe of unsubscribes) unsubscribe();
      };
    },
    async groupEnded(signal) {
      while (!signal.aborted && groupExists())
        await new Promise((resolve) => setTimeout(resolve, groupPollMs));
    },
    signal(name) {
      if (child?.pid === undefined || !groupExists()) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // No process of the group is left, which is what the signal is for.
      }
    },
  };
}

/** Where memory runs short, a job goes before the runtime that has to tell of it. */
function preferAsVictim(pid: number | undefined): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, '500');
  } catch {
    // It has ended, or there is no procfs.
  }
}

function spawnAs(
  identity: JobRequest['identity'],
  command: JobRequest['command'],
  {
    directory,
    environment,
    hasInput,
  }: {directory: string; environment: Readonly<Record<string, string>>; hasInput: boolean},
): ChildProcess {
  const options = {
    cwd: directory,
    env: {...environment},
    detached: true,
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'] as ['pipe' | 'ignore', 'pipe', 'pipe'],
  };
  const [wanted] = command;
  const how = becoming(identity, command, existsSync(wanted) ? wanted : null);
  const [program, ...args] = how.command;
  return spawn(program, args, {...options, ...how.identity});
}

interface ChunkListener {
  chunk(bytes: Buffer): void;
  /** No more comes: what was held back may go. */
  end(): void;
}

interface Capture {
  readonly bytes: number;
  /** Reads the stream to its end whatever is kept, so that a job never waits for us. */
  read(stream: Readable | null): void;
  text(): {text: string; truncated: boolean};
  listen(listener: (text: string) => void): () => void;
}

function createCapture(keptBytes: number, mask: SecretMask): Capture {
  const head: Buffer[] = [];
  const tail: Buffer[] = [];
  const listeners = new Set<ChunkListener>();
  let headBytes = 0;
  let tailBytes = 0;
  let totalBytes = 0;

  function keep(chunk: Buffer): void {
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
  }

  return {
    get bytes() {
      return totalBytes;
    },
    read(stream) {
      // A broken pipe ends the output early; how the job ended is told by its exit.
      stream?.on('error', () => {});
      stream?.on('data', (chunk: Buffer) => {
        keep(chunk);
        for (const listener of listeners) listener.chunk(chunk);
      });
      stream?.on('end', () => {
        for (const listener of listeners) listener.end();
      });
    },
    text() {
      const start = Buffer.concat(head);
      const end = Buffer.concat(tail).subarray(-keptBytes);
      const missingBytes = totalBytes - start.length - end.length;
      if (missingBytes === 0)
        return {text: mask.text(Buffer.concat([start, end]).toString()), truncated: false};
      const first = mask.text(start.toString(), {cutEnd: true});
      const last = mask.text(end.toString(), {cutStart: true});
      return {text: `${first}\n[... ${missingBytes} bytes left out ...]\n${last}`, truncated: true};
    },
    listen(listener) {
      const decoder = new TextDecoder();
      const masked = mask.stream();
      const pass = (text: string) => {
        if (text !== '') listener(text);
      };
      const each: ChunkListener = {
        chunk: (bytes) => pass(masked.push(decoder.decode(bytes, {stream: true}))),
        end: () => pass(masked.end()),
      };
      listeners.add(each);
      return () => {
        listeners.delete(each);
      };
    },
  };
}
