import {createHash} from 'node:crypto';
import {environmentText} from '../schemas/control.ts';
import {deploymentText} from '../schemas/deployment-text.ts';
import type {Desired} from './desired.ts';
import type {DesiredDigests} from './plan.ts';

/** The digests by which a runtime names its environment and deployment; `schemas/control.ts` defines both. */
export function desiredDigests(desired: Desired): DesiredDigests | null {
  if (desired.kind !== 'served') return null;
  const {scripts, mounts} = desired;
  return {
    environment: digest(environmentText(desired)),
    deployment: digest(deploymentText({files: [...scripts], mounts: [...mounts]})),
  };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
