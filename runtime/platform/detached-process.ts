import {spawn} from 'node:child_process';
import {closeSync, openSync} from 'node:fs';

export interface DetachedProcess {
  readonly pid: number;
  /** Next line of stdout without its end; null when stdout ends before, or the line is longer than `maxLineBytes`. */
  nextLine(): Promise<string | null>;
  /** Writes a line to its stdin and closes that; only with `stdin`. */
  tell(line: string): void;
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
  /** Character that ends a line of its stdout; a newline unless given. */
  readonly lineEnd?: string;
  /** True where it waits for a line of ours; its stdin is empty otherwise. */
  readonly stdin?: boolean;
}

/**
 * Starts a program in a session of its own that outlives us. Throws the system's error (ENOENT, EACCES)
 * when it cannot be started.
 */
export async function spawnDetached(options: DetachedProcessOptions): Promise<DetachedProcess> {
  const {command, env, cwd, stderrPath, maxLineBytes, lineEnd = '\n', stdin = false} = options;
  const [program = '', ...args] = command;
  const stderr = openSync(stderrPath, 'a', 0o600);
  try {
    const child = spawn(program, args, {
      cwd,
      env,
      detached: true,
      stdio: [stdin ? 'pipe' : 'ignore', 'pipe', stderr],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const {pid, stdout} = child;
    if (pid === undefined || stdout === null) throw new Error(`${program} was started without a pid`);
    child.stdin?.on('error', () => {
      // It ended without reading; the end of its stdout says so.
    });
    return {
      pid,
      nextLine: readLines(stdout, {maxBytes: maxLineBytes, lineEnd}),
      tell: (line) => void child.stdin?.end(`${line}\n`),
      release() {
        stdout.destroy();
        child.stdin?.destroy();
        child.unref();
      },
    };
  } finally {
    closeSync(stderr);
  }
}

function readLines(
  stream: NodeJS.ReadableStream,
  {maxBytes, lineEnd}: {maxBytes: number; lineEnd: string},
): () => Promise<string | null> {
  let bytes = Buffer.alloc(0);
  let ended = false;
  let wake = () => {};
  const end = () => {
    ended = true;
    wake();
  };
  stream.on('data', (chunk: Buffer) => {
    // Nobody waits for what comes after a line that is too long.
    if (bytes.length <= maxBytes) bytes = Buffer.concat([bytes, chunk]);
    wake();
  });
  stream.on('close', end);
  stream.on('error', end);
  return async () => {
    for (;;) {
      const at = bytes.indexOf(lineEnd);
      if (at !== -1) {
        const line = bytes.toString('utf8', 0, at);
        bytes = bytes.subarray(at + 1);
        return line;
      }
      if (ended || bytes.length > maxBytes) return null;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}
