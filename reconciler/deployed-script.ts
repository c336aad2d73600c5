import {createHash} from 'node:crypto';
import type {ScriptFile} from './observation.ts';

/** A file of a deployment. */
export function deployedScript(path: string, bytes: Uint8Array): ScriptFile {
  return {path, sha256: createHash('sha256').update(bytes).digest('hex'), bytes};
}
