import {spawn} from 'node:child_process';

/** How a program ended that was asked to look into something. */
export type ToolResult =
  | {readonly ended: true; readonly exitCode: number; readonly output: string}
  | {readonly ended: false; readonly why: 'timed_out' | 'not_started'};

const maxOutputCharacters = 1024 * 1024;

/**
 * Runs `executable`, Bun or our own single file, on a program of a package in `directory`, with what it prints up to
 * 1 MiB. It and all that it started are ended after `withinMs`. It finds no variable of ours.
 */
export function runTool(
  args: readonly string[],
  {executable, directory, withinMs}: {executable: string; directory: string; withinMs: number},
): Promise<ToolResult> {
  const child = spawn(executable, args, {
    cwd: directory,
    env: {BUN_BE_BUN: '1', NO_COLOR: '1', HOME: directory, PATH: '/usr/local/bin:/usr/bin:/bin'},
    // A group of its own: the program may hand its work to a child.
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < maxOutputCharacters) output += text;
  });
  return new Promise((resolve) => {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      endGroup(child.pid);
    }, withinMs);
    child.on('error', () => {
      clearTimeout(timer);
      resolve({ended: false, why: 'not_started'});
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      // Whoever closed its output and stayed.
      endGroup(child.pid);
      if (timedOut || code === null) resolve({ended: false, why: 'timed_out'});
      else resolve({ended: true, exitCode: code, output});
    });
  });
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
