/** A supervised child process that talks to its parent in JSON messages. */
export interface Child {
  readonly pid: number;
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  send(message: unknown): void;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/**
 * Starts `command` with exactly `environment`. Its standard output and error both go to our standard error,
 * because our standard output may be a protocol. Throws when the program cannot be started.
 */
export function startChild({
  command,
  environment,
  directory,
  onMessage,
}: {
  command: readonly string[];
  environment: Readonly<Record<string, string>>;
  directory: string;
  onMessage: (message: unknown) => void;
}): Child {
  const child = Bun.spawn({
    cmd: [...command],
    env: {...environment},
    cwd: directory,
    stdin: 'ignore',
    stdout: 2,
    stderr: 2,
    serialization: 'json',
    ipc: (message: unknown) => onMessage(message),
  });
  return {
    pid: child.pid,
    exited: child.exited.then(() => child.exitCode),
    send(message) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      try {
        child.send(message);
      } catch {
        // Its end of the channel is gone before its exit is known; `exited` tells the rest.
      }
    },
    kill: (signal) => child.kill(signal),
  };
}

/** True for the path of a compiled single file's main module: such a file has a file system of its own inside. */
export function isSingleFile(mainPath: string): boolean {
  return mainPath.startsWith('/$bunfs/');
}

/** The command that starts this program again: the compiled single file, or Bun with the script it runs. */
export function ownCommand(mainPath: string): string[] {
  // Nothing that a branch leaves in the working directory shall configure the process that we start there.
  return isSingleFile(mainPath)
    ? [process.execPath]
    : [process.execPath, '--no-install', '--no-env-file', mainPath];
}
