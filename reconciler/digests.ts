import {createHash} from 'node:crypto';
import {environmentText} from '../schemas/control.ts';
import type {Desired} from './desired.ts';
import type {DesiredDigests} from './plan.ts';

/** The digests by which a runtime names its environment and deployment; `schemas/control.ts` defines both. */
export function desiredDigests(desired: Desired): DesiredDigests | null {
  if (desired.kind !== 'served') return null;
  const lines = desired.scripts.map(({path, sha256}) => `${path}\0${sha256}\n`).sort();
  return {
    environment: digest(environmentText(desired)),
    deployment: digest(lines.join('')),
  };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
