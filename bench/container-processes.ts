import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {readRecord} from '../reconciler/containers/container-record.ts';
import {processRecordSchema} from '../reconciler/containers/process/process-record.ts';

/** Process ids of a container. */
export interface ContainerProcesses {
  readonly runtime: number;
  /** What is around the runtime for its sandbox and its network. */
  readonly around: readonly number[];
}

/** Of all containers of a state directory that the provider `process` runs. */
export async function containerProcesses(stateDirectory: string): Promise<ContainerProcesses[]> {
  const directory = join(stateDirectory, 'containers');
  const records = await Promise.all(
    (await readdir(directory)).map((name) => readRecord(join(directory, name), processRecordSchema)),
  );
  return records.flatMap((record) => {
    if ('problem' in record || record.process === null) return [];
    const {runtime, roots} = record.process;
    return [{runtime: runtime.pid, around: roots.map(({pid}) => pid).filter((pid) => pid !== runtime.pid)}];
  });
}

/** Those of all containers with these ids, by the variable that each of their processes has. */
export async function markedProcesses(
  ids: readonly string[],
): Promise<{runtimes: readonly number[]; all: readonly number[]}> {
  const runtimes: number[] = [];
  const all: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (!ids.some((id) => environment.includes(`=${id}\0`))) continue;
    all.push(Number(name));
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    // What is around it has the same words among its arguments.
    if (/^[^\0]*\/bun\0(?:-[^\0]*\0)*[^\0]*\/start\.js\0runtime\0/.test(command)) runtimes.push(Number(name));
  }
  return {runtimes, all};
}
