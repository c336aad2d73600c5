import {
  listProcesses,
  namespacePids,
  readProcess,
  withDescendants,
} from '../../runtime/platform/processes.ts';

/**
 * True where one of the container's processes, which descend from `firstPid`, has the number `pidInside` in its own
 * pid namespace. Null where none of them can be seen from here.
 */
export async function holdsProcess(firstPid: number, pidInside: number): Promise<boolean | null> {
  const first = readProcess(firstPid);
  if (first === null) return null;
  return withDescendants(await listProcesses(), [first]).some(
    ({pid}) => namespacePids(pid).at(-1) === pidInside,
  );
}
