import {spawn} from 'node:child_process';
import {closeSync, openSync} from 'node:fs';

export interface DetachedProcess {
  readonly pid: number;
  /** First line of stdout without its end; null when stdout ends before, or the line is longer than `maxLineBytes`. */
  readonly firstLine: Promise<string | null>;
  /** Lets go of the process and its output: it goes on without us. */
  release(): void;
}

export interface DetachedProcessOptions {
  readonly command: readonly string[];
  /** The complete environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** File that stderr is appended to; made with mode 0600. */
  readonly stderrPath: string;
  readonly maxLineBytes: number;
}

/**
 * Starts a program in a session of its own that outlives us. Throws the system's error (ENOENT, EACCES)
 * when it cannot be started.
 */
export async function spawnDetached(options: DetachedProcessOptions): Promise<DetachedProcess> {
  const {command, env, cwd, stderrPath, maxLineBytes} = options;
  const [program = '', ...args] = command;
  const stderr = openSync(stderrPath, 'a', 0o600);
  try {
    const child = spawn(program, args, {cwd, env, detached: true, stdio: ['ignore', 'pipe', stderr]});
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const {pid, stdout} = child;
    if (pid === undefined || stdout === null) throw new Error(`${program} was started without a pid`);
    return {
      pid,
      firstLine: readFirstLine(stdout, maxLineBytes),
      release() {
        stdout.destroy();
        child.unref();
      },
    };
  } finally {
    closeSync(stderr);
  }
}

function readFirstLine(stream: NodeJS.ReadableStream, maxBytes: number): Promise<string | null> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf(0x0a);
      if (end !== -1) resolve(bytes.toString('utf8', 0, end));
      else if (bytes.length > maxBytes) resolve(null);
    });
    stream.on('close', () => resolve(null));
    stream.on('error', () => resolve(null));
  });
}
