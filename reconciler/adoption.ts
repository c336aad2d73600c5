import type * as z from 'zod';
import {suspensionSchema} from '../schemas/suspension.ts';
import {newBranchRecord, rollbackSchema} from './branch-record.ts';
import {type Container, labelNames} from './containers/provider.ts';
import type {ControllerContext} from './controller-context.ts';

/** Containers that we made and have no record of: the state was lost or is older. */
export async function adoptContainers(
  containers: readonly Container[],
  {options: {records, clock, log}, table}: ControllerContext,
): Promise<void> {
  for (const container of containers) {
    const {
      [labelNames.repository]: repository,
      [labelNames.path]: path,
      [labelNames.branch]: branch,
    } = container.labels;
    if (repository === undefined || path === undefined || branch === undefined) continue;
    const known = records.get(container.name);
    const record = known ?? newBranchRecord({repository, path, branch, live: false, key: container.name});
    record.container_id = container.id;
    record.trashed_at = container.labels[labelNames.trashedAt] ?? null;
    if (known === undefined) {
      record.rollback = labelled(container, labelNames.rollback, rollbackSchema);
      record.suspension = labelled(container, labelNames.suspension, suspensionSchema);
      log.warn('a container without a record is adopted', {id: container.id, branch});
      record.missing = {
        since: new Date(clock.now()).toISOString(),
        proven: false,
        held: false,
        cause: 'branch_deleted',
      };
      await records.save(record);
    }
    table.place(container.name, container);
  }
}

/** Null also where the label cannot be understood: then it says nothing. */
function labelled<T>({labels}: Container, name: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(labels[name] ?? ''));
  } catch {
    // See above.
    return null;
  }
}
