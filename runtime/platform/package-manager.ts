import {execFile} from 'node:child_process';

export type PackageManagerResult =
  | {readonly ok: true}
  /** The end of what it wrote; empty when it could not be started. */
  | {readonly ok: false; readonly output: string; readonly timedOut: boolean};

const keptCharacters = 2000;
const maxOutputBytes = 16 * 1024 * 1024;

/**
 * Runs `bun <args>` in `directory`. `executable` is Bun, or our own single file, which has Bun in it. No lifecycle
 * script of a package is run.
 */
export function runPackageManager(
  args: readonly string[],
  {
    executable,
    directory,
    environment,
    withinMs,
  }: {
    executable: string;
    directory: string;
    environment: Readonly<Record<string, string>>;
    withinMs: number;
  },
): Promise<PackageManagerResult> {
  const options = {
    cwd: directory,
    env: {...environment, BUN_BE_BUN: '1', NO_COLOR: '1'},
    timeout: withinMs,
    killSignal: 'SIGKILL',
    maxBuffer: maxOutputBytes,
  } as const;
  return new Promise((resolve) => {
    execFile(executable, [...args, '--ignore-scripts'], options, (error, stdout, stderr) => {
      if (error === null) resolve({ok: true});
      else {
        const output = `${stdout}${stderr}`.trim().slice(-keptCharacters);
        resolve({ok: false, output, timedOut: error.killed === true});
      }
    });
  });
}
