import {readdir} from 'node:fs/promises';
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
