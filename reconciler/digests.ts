import {createHash} from 'node:crypto';
import {deploymentText} from '../schemas/deployment-text.ts';
import type {Desired} from './desired.ts';
import type {DesiredDigests} from './plan.ts';

/** The digests by which a runtime names its environment and deployment; `schemas/control.ts` defines both. */
export function desiredDigests(desired: Desired): DesiredDigests | null {
  if (desired.kind !== 'served') return null;
  const names = Object.keys(desired.variables).sort();
  const variables = Object.fromEntries(names.map((name) => [name, desired.variables[name]]));
  const {scripts, mounts} = desired;
  return {
    environment: digest(JSON.stringify(variables)),
    deployment: digest(deploymentText({files: [...scripts], mounts: [...mounts]})),
  };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
