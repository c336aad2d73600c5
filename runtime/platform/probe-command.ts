import {execFile} from 'node:child_process';

export type ProbeResult = {readonly works: true} | {readonly works: false; readonly reason: string};

/** Runs a short command to see whether it works here; the reason is its own last words or the system's error. */
export function probeCommand(
  command: readonly string[],
  {timeoutMs, env}: {timeoutMs: number; env: Readonly<Record<string, string>>},
): Promise<ProbeResult> {
  const [program = '', ...args] = command;
  const options = {env: {...env}, cwd: '/', timeout: timeoutMs, killSignal: 'SIGKILL'} as const;
  return new Promise((resolve) => {
    execFile(program, args, options, (error, _stdout, stderr) => {
      if (error === null) resolve({works: true});
      else if (error.code === 'ENOENT') resolve({works: false, reason: `${program} is not installed`});
      else resolve({works: false, reason: stderr.trim().slice(-500) || error.message});
    });
  });
}
