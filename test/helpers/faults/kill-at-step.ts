import {fileStep, startsProcess} from './durable-step.ts';
import {adoptOrphans, resume, type Stop, seizeThreads, waitForStop} from './ptrace.ts';

/**
 * `bun kill-at-step.ts <step> <directory> <program> [argument...]`: starts a program, and from its line `ready` on
 * counts what it does to files below the directory and which processes it starts, one step each. Right before the
 * step of that number it is killed. What it had started goes on, and is waited for. Prints what the program wrote
 * after `ready`, the steps that it took, and whether it was killed.
 */
const [wanted = '', directory = '', ...command] = process.argv.slice(2);
adoptOrphans();
const child = Bun.spawn({cmd: command, stdin: 'pipe', stdout: 'pipe', stderr: 'inherit'});
const reader = child.stdout.getReader();
const decoder = new TextDecoder();
let output = '';
while (!output.includes('ready\n')) {
  const {done, value} = await reader.read();
  if (done) throw new Error(`The program ended before it was ready: ${output}`);
  output += decoder.decode(value, {stream: true});
}

seizeThreads(child.pid);
child.stdin.write('go\n');
// It waits in a call that the kernel begins again; nothing of it runs before the loop below.
await child.stdin.flush();
const steps: string[] = [];
const starting = new Set<number>();
let killed = false;
for (let stop = waitForStop(); stop !== null; stop = waitForStop()) {
  if (stop.kind === 'ended') continue;
  const step = stepAt(stop);
  if (step !== null) {
    steps.push(step);
    killed ||= steps.length === Number(wanted);
    if (killed) process.kill(child.pid, 'SIGKILL');
  }
  resume({tid: stop.tid, signal: stop.kind === 'signal' ? stop.signal : 0});
}
for (let part = await reader.read(); !part.done; part = await reader.read())
  output += decoder.decode(part.value, {stream: true});
process.stdout.write(
  JSON.stringify({
    killed,
    steps: killed ? steps.slice(0, Number(wanted)) : steps,
    output: output.slice(output.indexOf('ready\n') + 6),
  }),
);
process.exit(0);

function stepAt(stop: Exclude<Stop, {kind: 'ended'}>): string | null {
  if (stop.kind === 'exit' && starting.delete(stop.tid)) return 'after the start of a process';
  if (stop.kind !== 'entry') return null;
  if (!startsProcess(stop)) return fileStep(stop, directory);
  starting.add(stop.tid);
  return 'start of a process';
}
