import type {Rollback} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import type {CurrentDeployment, DeploymentStore} from './deployment-store.ts';

/** A kept set of scripts by its commit or digest. Throws VERSION_NOT_FOUND. */
export async function keptVersion(
  store: Pick<DeploymentStore, 'version'>,
  wanted: Rollback,
): Promise<CurrentDeployment> {
  const found = await store.version(wanted);
  if (found !== null) return found;
  const name = 'commit' in wanted ? `commit ${wanted.commit}` : `digest ${wanted.digest}`;
  throw new AppError(
    'VERSION_NOT_FOUND',
    `The scripts of ${name} are not kept here. GET /api/v1/exec/deployments lists those that are.`,
  );
}
