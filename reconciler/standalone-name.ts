import {AppError} from '../schemas/errors.ts';

/** Begins the host name of its kits. */
const hostLabel = /^[a-z0-9](?:[a-z0-9-]{0,47}[a-z0-9])?$/;
const idShape = /^[0-9a-f]{24}$/;
/** A branch of that key would take the container for its own. */
const branchKeyShape = /-[0-9a-f]{8}$/;

/** Throws INVALID_NAME for what cannot name a standalone container. */
export function checkStandaloneName(name: string): void {
  if (hostLabel.test(name) && !idShape.test(name) && !branchKeyShape.test(name)) return;
  throw new AppError(
    'INVALID_NAME',
    `${JSON.stringify(name.slice(0, 80))} is not a name for a container. Use 1 to 49 of a-z, 0-9 and "-", no "-" at either end; 24 hex digits and names that end in "-" and 8 hex digits are kept for ids and branches.`,
  );
}
