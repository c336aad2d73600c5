import {dirname} from 'node:path';
import {fileURLToPath} from 'node:url';
import {isSingleFile} from '../runtime/platform/child-process.ts';

/** The checkout of Branchtab that this program runs from; null for the single file. */
export function ownCheckout(): string | null {
  return isSingleFile(Bun.main) ? null : dirname(dirname(fileURLToPath(import.meta.url)));
}
